import ApusBase
import ApusIO

/// The text that `--text` gives; `-` is what standard input holds, less a line break at its end.
///
/// - Throws: `ExitCode`, after its reason was written to standard error.
func readText(_ argument: String) throws -> String {
  guard argument == "-" else { return argument }
  var bytes: [UInt8]
  do throws(SystemError) { bytes = try standardInputBytes(atMost: Limits().bodyBytes) } catch {
    throw failure("--text -: \(error)", status: 2)
  }
  if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw failure("--text -: standard input is not UTF-8; convert it, for example with iconv", status: 2)
  }
  return text
}
