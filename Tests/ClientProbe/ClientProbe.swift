import ApusClient
import Glibc

/// A client for the tests to count in: `client-probe ADDRESS MODEL FLOATS CALLS [CA CERTIFICATE KEY]`, the
/// last three for TLS. `FLOATS` may be `ROWSxFLOATS`. It warms up, says so with a byte, waits for one, makes
/// the calls, says so, and ends after another byte. Between the two bytes nothing but the calls happens. With
/// `APUS_PROBE=asynchronous` the client is the asynchronous one; `APUS_PROBE_SPIN` is how long it polls, in
/// nanoseconds.
@main struct ClientProbe {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 5 || arguments.count == 8, let calls = Int(arguments[4]) else { exit(2) }
    let sizes = arguments[3].split(separator: "x").compactMap { Int($0) }
    guard let floats = sizes.last else { exit(2) }
    let rows = sizes.count == 1 ? 1 : sizes[0]
    var options = ClientOptions()
    options.spinNanoseconds = getenv("APUS_PROBE_SPIN").flatMap { UInt64(String(cString: $0)) }
    if arguments.count == 8 {
      options.security.authorityFile = arguments[5]
      options.security.certificateFile = arguments[6]
      options.security.keyFile = arguments[7]
    }
    let call = ClassifyCall(arguments[2], shape: [rows, floats])
    let input = [Float](repeating: 0.5, count: rows * floats)
    guard getenv("APUS_PROBE") == nil else {
      return try callAsynchronously(arguments[1], options, call, input, calls)
    }
    let client = try SynchronousClient(arguments[1], options: options)
    var result = ClassifyResult()
    if rows == 1 {
      for _ in 0..<200 { try client.classify(input, call, into: &result) }
    } else {
      try client.classify(Array(input[..<floats]), ClassifyCall(call.model), into: &result)
    }
    meetTest()
    for _ in 0..<calls { try client.classify(input, call, into: &result) }
    meetTest()
  }

  private static func callAsynchronously(
    _ address: String, _ options: ClientOptions, _ call: ClassifyCall, _ input: [Float], _ calls: Int
  ) throws {
    let client = try ApusClient(address, options: options)
    // Keeps the last answer, as the caller of the other client does.
    nonisolated(unsafe) var result = ClassifyResult()
    waitFor {
      let row = input.count / call.shape[0]
      result = try await client.classify(Array(input[..<row]), ClassifyCall(call.model))
    }
    meetTest()
    for _ in 0..<calls {
      result = ClassifyResult()
      waitFor { result = try await client.classify(input, call) }
    }
    meetTest()
    withExtendedLifetime(result) {}
    client.close()
  }

  /// Runs asynchronous work to its end.
  private static func waitFor(_ work: @escaping @Sendable () async throws -> Void) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { exit(3) }
    let (reading, writing) = (ends[0], ends[1])
    Task {
      do { try await work() } catch { exit(4) }
      var byte: UInt8 = 0
      _ = write(writing, &byte, 1)
    }
    var byte: UInt8 = 0
    _ = read(reading, &byte, 1)
    close(reading)
    close(writing)
  }

  /// Says that a step is done and waits for leave to go on.
  private static func meetTest() {
    var byte = UInt8(ascii: "\n")
    guard write(STDOUT_FILENO, &byte, 1) == 1, read(STDIN_FILENO, &byte, 1) == 1 else { exit(3) }
  }
}
