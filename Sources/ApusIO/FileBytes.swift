import CLinux
import Glibc

/// Reads a whole small file, such as a certificate.
///
/// - Throws: `SystemError`; EFBIG for a file of more than `limit` bytes.
package func fileBytes(_ path: String, atMost limit: Int) throws(SystemError) -> [UInt8] {
  let number = open(path, O_RDONLY | O_CLOEXEC)
  let file = Descriptor(owning: try check(number < 0 ? -errno : number, "open \(path)"))
  return try bytes(of: file.number, path, atMost: limit)
}

/// Reads standard input to its end.
///
/// - Throws: `SystemError`; EFBIG for more than `limit` bytes.
package func standardInputBytes(atMost limit: Int) throws(SystemError) -> [UInt8] {
  try bytes(of: STDIN_FILENO, "standard input", atMost: limit)
}

private func bytes(of number: Int32, _ name: String, atMost limit: Int) throws(SystemError) -> [UInt8] {
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 16 << 10)
  while true {
    let count = read(number, &piece, piece.count)
    if count < 0, errno == EINTR { continue }
    guard count >= 0 else { throw SystemError("read \(name)", errorNumber: errno) }
    if count == 0 { return bytes }
    guard bytes.count + count <= limit else { throw SystemError("read \(name)", errorNumber: EFBIG) }
    bytes += piece[..<count]
  }
}
