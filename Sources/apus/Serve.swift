import ApusBase
import ApusEngine
import ApusIO
import ApusServer
import ArgumentParser
import CLinux
import Glibc
import Logging

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve the models of a folder until SIGTERM or Ctrl-C.",
    discussion: """
      The folder holds NAME/VERSION/ with one model file (.pth or .safetensors) and an optional model.yaml:

        apus serve --models models/repository --listen unix:/tmp/apus.sock --listen tcp://127.0.0.1:7070

      The socket file appears when every model has been loaded or refused. SIGTERM drains: running calls are
      answered, then the process ends with status 0.
      """)

  @Option(help: "Where to listen: unix:PATH or tcp://HOST:PORT. May be given more than once.")
  var listen: [String] = []

  @Option(help: "The folder with the models.")
  var models = "models"

  @Option(help: "Threads that serve and compute. Default: one for each processor.")
  var threads: Int?

  @Option(
    help: """
      Longest time to poll for the next call before sleeping, in microseconds; 0 turns polling off. Default: \
      50, and 0 where there is only one processor, which the client needs.
      """)
  var spinUs: Int?

  @Flag(help: "Listen on other addresses than this machine's own without encryption.")
  var insecure = false

  func validate() throws {
    if let threads, !(1...256).contains(threads) { throw ValidationError("--threads takes 1 to 256") }
    if let spinUs, !(0...1_000_000).contains(spinUs) { throw ValidationError("--spin-us takes 0 to 1000000") }
    for address in try addresses() where !address.isLocal && !insecure {
      throw ValidationError(
        "\(address) can be reached from other machines and would be open to all of them; "
          + "listen on 127.0.0.1 or a Unix socket, or say --insecure")
    }
  }

  private func addresses() throws -> [Address] {
    if listen.isEmpty { return [.unix(path: defaultSocketPath())] }
    do { return try listen.map { text throws(Address.Invalid) in try Address(text) } } catch {
      throw ValidationError("\(error)")
    }
  }

  func run() throws {
    let log = Logger(label: "apus") { StreamLogHandler.standardError(label: $0) }
    _ = clinux_raise_descriptor_limit()
    do {
      // Before any thread starts, so that all inherit the mask.
      let signals = try SignalSource()
      let catalog = try loadCatalog(models, log)
      var configuration = Server.Configuration()
      configuration.listen = try addresses()
      configuration.threads = threads ?? Int(clinux_processors())
      configuration.spinNanoseconds = UInt64(spinUs ?? (clinux_processors() > 1 ? 50 : 0)) * 1000
      // Reading arguments and models went through far more code and heap than serving does.
      clinux_release_memory()
      let server = try Server(catalog: catalog, configuration)
      for address in server.addresses { log.info("listening on \(address)") }
      waitForEnd(signals, log)
      server.drain()
      log.info("drained")
    } catch let error as SystemError {
      throw CommandFailure("\(error)")
    }
  }

  private func waitForEnd(_ signals: borrowing SignalSource, _ log: Logger) {
    while true {
      let signal = signals.wait()
      if signal == SIGHUP { continue }
      log.info("draining after signal \(signal)")
      return
    }
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
