import ApusClient
import ApusIO
import ArgumentParser

/// Where the server is and how long to wait for it.
struct ConnectionOptions: ParsableArguments {
  @Option(
    name: .customLong("to"),
    help: ArgumentHelp("The server's address: unix:PATH or tcp://HOST:PORT.", valueName: "address"))
  var address: String

  @Option(help: ArgumentHelp("Seconds to wait for an answer; 0 waits without limit.", valueName: "s"))
  var timeout = 10.0

  func validate() throws {
    do { _ = try Address(address) } catch { throw ValidationError(error.description) }
    guard timeout >= 0, timeout <= 1e9 else { throw ValidationError("--timeout takes seconds, 0 or more") }
  }

  /// The time-out of a call, in nanoseconds; 0: none.
  var timeoutNanoseconds: UInt64 { UInt64(timeout * 1e9) }

  /// Connects and hands the client to `body`.
  ///
  /// - Throws: `ExitCode`, after its reason was written to standard error.
  func withClient<Value>(_ body: (SynchronousClient) throws -> Value) throws -> Value {
    do {
      return try body(try SynchronousClient(address))
    } catch let error as ClientError {
      throw failure(explanation(error), status: exitStatus(error))
    }
  }

  private func exitStatus(_ error: ClientError) -> Int32 {
    if case .invalidInput = error { return 2 }
    return 1
  }

  /// The error in one line, with what to do.
  private func explanation(_ error: ClientError) -> String {
    switch error {
    case .connectionFailed:
      "\(error); is the server running there? Start it with: apus serve --listen \(address)"
    case .timedOut:
      "\(address) did not answer within \(formatted(timeout, "%g")) s; allow more with --timeout"
    case .protocolBroken: "\(error); is \(address) an Apus server of this version?"
    default: error.description
    }
  }
}
