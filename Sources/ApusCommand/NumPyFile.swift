import ApusFormats
import ApusIO
import Glibc

/// Why a `.npy` file cannot be read or written.
enum NumPyFileError: Error, Equatable, CustomStringConvertible {
  /// The kernel refused: what cannot be done with the file, and the error's number.
  case system(String, Int32)
  case content(NumPyError)

  var description: String {
    switch self {
    case .system(let operation, let number): "cannot be \(operation): \(String(cString: strerror(number)))"
    case .content(let error): error.description
    }
  }
}

extension NumPyFile {
  /// Longest file that is read, in bytes.
  static let maximumBytes = 1 << 30

  /// Reads a file, or a pipe to its end, of at most `maximumBytes`.
  init(path: String) throws(NumPyFileError) {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw .system("opened", errno) }
    let descriptor = Descriptor(owning: number)
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = Glibc.read(descriptor.number, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw .system("read", errno) }
      if count == 0 { break }
      guard bytes.count + count <= Self.maximumBytes else {
        throw .content(
          .unsupported("the file is longer than \(Self.maximumBytes >> 20) MiB; split the array"))
      }
      bytes.append(contentsOf: chunk[..<count])
    }
    do throws(NumPyError) { try self.init(parsing: bytes) } catch { throw .content(error) }
  }

  /// Writes a file of 32-bit floats, in place of one that is there.
  func write(to path: String) throws(NumPyFileError) {
    let number = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard number >= 0 else { throw .system("written", errno) }
    let descriptor = Descriptor(owning: number)
    let bytes = encoded()
    var position = 0
    while position < bytes.count {
      let count = bytes[position...].withUnsafeBytes {
        Glibc.write(descriptor.number, $0.baseAddress, $0.count)
      }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw .system("written", errno) }
      position += count
    }
  }
}
