import ApusClient
import ApusIO
import ArgumentParser

/// Where the server is and how long to wait for it.
struct ConnectionOptions: ParsableArguments {
  @Option(
    name: .customLong("to"),
    help: ArgumentHelp(
      "The server's address: unix:PATH, shm:PATH, tcp://HOST:PORT or tls://HOST:PORT.", valueName: "address"))
  var address: String

  @Option(help: ArgumentHelp("Seconds to wait for an answer; 0 waits without limit.", valueName: "s"))
  var timeout = 10.0

  @Option(
    help: ArgumentHelp(
      "Certificate authorities (PEM) that a tls:// server's certificate may come from. "
        + "Default: the system's.", valueName: "file"))
  var ca: String?

  @Option(help: ArgumentHelp("This client's certificate (PEM), where the server asks.", valueName: "file"))
  var cert: String?

  @Option(help: ArgumentHelp("The private key of --cert (PEM).", valueName: "file"))
  var key: String?

  @Option(
    help: ArgumentHelp("File that holds a token, as `apus auth token create` gives.", valueName: "file"))
  var tokenFile: String?

  func validate() throws {
    guard (cert == nil) == (key == nil) else { throw ValidationError("--cert and --key go together") }
    do { _ = try Address(address) } catch { throw ValidationError(error.description) }
    guard timeout >= 0, timeout <= 1e9 else { throw ValidationError("--timeout takes seconds, 0 or more") }
  }

  /// The time-out of a call, in nanoseconds; 0: none.
  var timeoutNanoseconds: UInt64 { UInt64(timeout * 1e9) }

  /// - Throws: `ClientError.invalidOptions` when the token's file cannot be read.
  func security() throws(ClientError) -> SecurityOptions {
    var security = SecurityOptions()
    security.authorityFile = ca
    security.certificateFile = cert
    security.keyFile = key
    guard let tokenFile else { return security }
    do {
      let text = String(decoding: try fileBytes(tokenFile, atMost: 4096), as: UTF8.self)
      security.token = String(text.split(whereSeparator: \.isWhitespace).first ?? "")
    } catch { throw .invalidOptions(error.description) }
    if security.token == "" { throw .invalidOptions("\(tokenFile) is empty; it should hold a token") }
    return security
  }

  /// Connects and hands the client to `body`.
  ///
  /// - Throws: `ExitCode`, after its reason was written to standard error.
  func withClient<Value>(_ body: (SynchronousClient) throws -> Value) throws -> Value {
    do {
      var options = ClientOptions()
      options.security = try security()
      return try body(try SynchronousClient(address, options: options))
    } catch let error as ClientError {
      throw failure(explanation(error), status: exitStatus(error))
    }
  }

  private func exitStatus(_ error: ClientError) -> Int32 {
    switch error {
    case .invalidInput, .invalidOptions: 2
    default: 1
    }
  }

  /// Where the server would listen: lanes are opened over its Unix socket.
  private var listenAddress: String {
    address.hasPrefix("shm:") ? "unix:" + address.dropFirst("shm:".count) : address
  }

  /// The error in one line, with what to do.
  private func explanation(_ error: ClientError) -> String {
    switch error {
    case .connectionFailed where address.hasPrefix("tls://"): error.description
    case .connectionFailed:
      "\(error); is the server running there? Start it with: apus serve --listen \(listenAddress)"
    case .status(let status)
    where status.retryAfterNanoseconds > 0 && status.codeName == "RESOURCE_EXHAUSTED":
      "\(error); try again in \(duration(nanoseconds: status.retryAfterNanoseconds))"
    case .timedOut:
      "\(address) did not answer within \(formatted(timeout, "%g")) s; allow more with --timeout"
    case .protocolBroken: "\(error); is \(address) an Apus server of this version?"
    default: error.description
    }
  }
}
