import ApusBase
import ApusEngine
import ApusIO
import ApusModels
import ApusServer
import ArgumentParser
import CLinux
import Glibc
import Logging

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve the models of a folder until SIGTERM or Ctrl-C.",
    discussion: """
      The folder holds NAME/VERSION/ with one model file (.pth or .safetensors) and an optional model.yaml:

        apus serve --models models/repository --listen unix:/tmp/apus.sock --listen tcp://127.0.0.1:7070
        apus serve --config apus.yaml

      A value comes from a flag, else from a variable APUS_…, else from the file, else it is the default; \
      apus config print shows all of them.

      The socket file appears when every model has been loaded or refused. SIGTERM drains: running calls are
      answered, then the process ends with status 0.
      """)

  @Option(help: ArgumentHelp("The configuration. Default: $APUS_CONFIG, else none.", valueName: "file"))
  var config: String?

  @Option(
    help: ArgumentHelp(
      "Where to listen: unix:PATH, tcp://HOST:PORT or tls://HOST:PORT. May be given more than once.",
      valueName: "address"))
  var listen: [String] = []

  @Option(
    help: ArgumentHelp(
      "Where to serve HTTP too: HOST:PORT, or https://HOST:PORT. May be given more than once.",
      valueName: "address"))
  var http: [String] = []

  @Option(
    help: ArgumentHelp(
      "The folder with the models, or the URL of a store: s3://BUCKET/PREFIX, https://… Default: models.",
      valueName: "folder"))
  var models: String?

  @Option(
    help: ArgumentHelp("Threads that serve and compute. Default: one for each processor.", valueName: "n"))
  var threads: String?

  @Option(
    help: ArgumentHelp(
      "Threads that compute slow models beside them. Default: one less than these, one at least.",
      valueName: "n"))
  var workers: String?

  @Option(
    help: ArgumentHelp(
      """
      Longest time to poll for the next call before sleeping, in microseconds; 0 turns polling off. Default: \
      50, and 0 where there is only one processor, which the client needs.
      """, valueName: "n"))
  var spinUs: String?

  @Flag(help: "Listen on other addresses than this machine's own without encryption.")
  var insecure = false

  @Option(help: ArgumentHelp("The server's certificate and those that sign it, in PEM.", valueName: "file"))
  var tlsCert: String?

  @Option(help: ArgumentHelp("The certificate's private key, in PEM.", valueName: "file"))
  var tlsKey: String?

  @Option(
    help: ArgumentHelp(
      "Certificates of those who may sign clients' certificates, in PEM; then every client must show one.",
      valueName: "file"))
  var tlsClientCa: String?

  @Option(help: ArgumentHelp("The policy: who may do what.", valueName: "file"))
  var policy: String?

  @Option(help: ArgumentHelp("How lines are logged: auto, json or text.", valueName: "format"))
  var logFormat: String?

  @Option(
    help: ArgumentHelp(
      "The least level that is logged: trace, debug, info, notice, warning or error.",
      valueName: "level"))
  var logLevel: String?

  /// The texts that were given, by key.
  var flags: [(key: ConfigurationKey, texts: [String])] {
    [
      (.listen, listen), (.http, http), (.models, texts(models)), (.threads, texts(threads)),
      (.workers, texts(workers)), (.spinMicroseconds, texts(spinUs)), (.insecure, insecure ? ["true"] : []),
      (.tlsCertificate, texts(tlsCert)), (.tlsKey, texts(tlsKey)), (.tlsClientCA, texts(tlsClientCa)),
      (.policy, texts(policy)), (.logFormat, texts(logFormat)), (.logLevel, texts(logLevel)),
    ]
  }

  private func texts(_ text: String?) -> [String] { text.map { [$0] } ?? [] }

  func run() throws {
    var told = try configuration()
    // The other executable takes over before a passed socket is looked at.
    if !told.http.isEmpty, Gateway.starter == nil { throw GatewayExecutable.run() }
    let passed = try passedSockets()
    let sockets: (opened: [Address], passed: [PassedSocket])
    do throws(ConfigurationError) { sockets = try told.adopt(passed) } catch {
      throw failure(error.description, status: 2)
    }
    var logs = ServeLog(told) { [self] () throws(ConfigurationError) in
      try ServeConfiguration(file: config, flags: flags, environment: environmentVariables())
    }
    let log = logs.log
    _ = clinux_raise_descriptor_limit()
    clinux_keep_large_memory_apart()
    do {
      // While signals end the process at once: this may take long.
      let store = try RemoteStore.open(told, log)
      // Before any thread starts, so that all inherit the mask.
      let signals = try SignalSource()
      let security = try ServeSecurity(told, log)
      try logs.startAccess(told.accessLog)
      var configuration = Server.Configuration()
      configuration.listen = sockets.opened
      configuration.passed = sockets.passed
      configuration.socketMode = told.socketMode
      configuration.threads = told.threads
      configuration.workers = told.workers
      configuration.spinNanoseconds = told.spinNanoseconds
      configuration.limits = told.limits
      configuration.credentials = security.credentials
      configuration.access = security.access
      configuration.localServices = told.http.isEmpty ? 0 : told.httpThreads
      configuration.accessLog = logs.access
      // From before the models are read, so that no change is missed.
      let watch = store == nil ? watchModels(told.models, log) : nil
      let (server, counts) = try start(configuration, told, store?.cache ?? told.models, logs)
      for address in server.addresses { log.info("listening on \(address)") }
      let gateway = try startGateway(server, told, security, log)
      let manager = ServiceManager()
      manager.ready(models: counts.ready, failed: counts.failed)
      try store?.follow { () throws(SystemError) in try server.rescanModels() }
      var loop = ServeLoop(
        server: server, security: security, manager: manager, logs: logs,
        models: watch)
      loop.run(signals)
      manager.stopping()
      store?.end()
      if let gateway {
        server.announceDrain()
        gateway.drain()
      }
      server.drain()
      logs.stop()
      log.info("drained")
    } catch let error as SystemError {
      throw CommandFailure("\(error)")
    } catch let error as ModelError {
      throw CommandFailure("\(error)")
    }
  }

  /// Loads the models and serves them. Here alone, nothing keeps one that goes out of service.
  private func start(
    _ configuration: Server.Configuration, _ told: ServeConfiguration, _ models: String, _ logs: ServeLog
  ) throws -> (server: Server, counts: (ready: Int, failed: Int)) {
    var configuration = configuration
    var platform = try loadPlatform(models, told, logs)
    let catalog = try platform.catalog()
    configuration.administration = try Administration(platform)
    // Reading arguments and models went through far more code and heap than serving does.
    clinux_release_memory()
    return (try Server(catalog: catalog, configuration), platform.counts)
  }

  private func watchModels(_ folder: String, _ log: Logger) -> FolderWatch? {
    // Names and versions.
    do throws(SystemError) { return try FolderWatch.begin(folder, depth: 2) } catch {
      log.warning("\(error); send SIGHUP when models have changed")
      return nil
    }
  }

  private func configuration() throws -> ServeConfiguration {
    do throws(ConfigurationError) {
      return try ServeConfiguration(file: config, flags: flags, environment: environmentVariables())
    } catch {
      throw failure(error.description, status: 2)
    }
  }

  /// - Returns: nil without an address for HTTP. Where it cannot start, the server drains.
  private func startGateway(
    _ server: Server, _ told: ServeConfiguration, _ security: ServeSecurity, _ log: Logger
  ) throws -> (any RunningGateway)? {
    guard let start = Gateway.starter, !told.http.isEmpty else { return nil }
    var settings = GatewaySettings()
    settings.addresses = told.http
    settings.threads = told.httpThreads
    settings.spinNanoseconds = told.spinNanoseconds
    settings.limits = told.limits
    settings.defaultModel = told.defaultModel
    settings.credentials = security.httpCredentials
    do {
      let gateway = try start(server, settings)
      for address in gateway.addresses { log.info("serving HTTP on \(address.url)") }
      return gateway
    } catch {
      server.drain()
      throw CommandFailure("\(error)")
    }
  }

  /// Before any file is opened that stays open, so that none is mistaken for a passed socket.
  private func passedSockets() throws -> [PassedSocket] {
    do throws(SystemError) { return try PassedSocket.takeAll() } catch { throw CommandFailure("\(error)") }
  }
}

/// A Unix socket in the runtime directory: the user's, or root's, or the one for temporary files.
func defaultSocketPath() -> String {
  if let directory = getenv("XDG_RUNTIME_DIR") { return String(cString: directory) + "/apus.sock" }
  return access("/run", W_OK) == 0 ? "/run/apus.sock" : "/tmp/apus-\(getuid()).sock"
}

/// A failure that ends the process with status 1 and one line.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
