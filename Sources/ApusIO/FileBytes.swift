import CLinux
import Glibc

/// Reads a whole small file, such as a certificate.
///
/// - Throws: `SystemError`; EFBIG for a file of more than `limit` bytes.
package func fileBytes(_ path: String, atMost limit: Int) throws(SystemError) -> [UInt8] {
  let number = open(path, O_RDONLY | O_CLOEXEC)
  let file = Descriptor(owning: try check(number < 0 ? -errno : number, "open \(path)"))
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 16 << 10)
  while true {
    let count = read(file.number, &piece, piece.count)
    if count < 0, errno == EINTR { continue }
    guard count >= 0 else { throw SystemError("read \(path)", errorNumber: errno) }
    if count == 0 { return bytes }
    guard bytes.count + count <= limit else { throw SystemError("read \(path)", errorNumber: EFBIG) }
    bytes += piece[..<count]
  }
}
