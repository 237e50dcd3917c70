import ApusClient
import Glibc

/// A client for the tests to count in: `client-probe ADDRESS MODEL FLOATS CALLS [CA CERTIFICATE KEY]`, the
/// last three for TLS. It warms up, says so with a byte, waits for one, makes the calls, says so, and ends
/// after another byte. Between the two bytes nothing but the calls happens.
@main struct ClientProbe {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 5 || arguments.count == 8, let floats = Int(arguments[3]),
      let calls = Int(arguments[4])
    else { exit(2) }
    var options = ClientOptions()
    if arguments.count == 8 {
      options.security.authorityFile = arguments[5]
      options.security.certificateFile = arguments[6]
      options.security.keyFile = arguments[7]
    }
    let client = try SynchronousClient(arguments[1], options: options)
    let call = ClassifyCall(arguments[2])
    let input = [Float](repeating: 0.5, count: floats)
    var result = ClassifyResult()
    for _ in 0..<200 { try client.classify(input, call, into: &result) }
    meetTest()
    for _ in 0..<calls { try client.classify(input, call, into: &result) }
    meetTest()
  }

  /// Says that a step is done and waits for leave to go on.
  private static func meetTest() {
    var byte = UInt8(ascii: "\n")
    guard write(STDOUT_FILENO, &byte, 1) == 1, read(STDIN_FILENO, &byte, 1) == 1 else { exit(3) }
  }
}
