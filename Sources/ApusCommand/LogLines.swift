import ApusIO
import Glibc

/// Reads a file line by line in pieces, whatever its size. A line over `longestLine` is no log line: it is
/// passed over and counted.
struct LogLines: ~Copyable {
  static let longestLine = 64 << 10
  private static let pieceBytes = 256 << 10

  private let path: String
  private var file: Descriptor
  private var buffer: [UInt8]
  /// Bytes of `buffer` that have been read and are not a whole line.
  private var held = 0
  private var isInLongLine = false
  private(set) var longLines = 0

  /// - Parameter path: `-` for standard input.
  init(_ path: String) throws(SystemError) {
    self.path = path
    file = try Self.open(path)
    buffer = [UInt8](repeating: 0, count: Self.longestLine + Self.pieceBytes)
  }

  private static func open(_ path: String) throws(SystemError) -> Descriptor {
    let number = path == "-" ? dup(STDIN_FILENO) : Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw SystemError("open \(path)", errorNumber: errno) }
    return Descriptor(owning: number)
  }

  /// Reads one piece.
  ///
  /// - Returns: whether there was anything.
  mutating func read(_ line: (UnsafeRawBufferPointer) -> Void) throws(SystemError) -> Bool {
    let (number, held) = (file.number, held)
    var count = 0
    repeat {
      count = buffer.withUnsafeMutableBytes { bytes in
        Glibc.read(
          number, bytes.baseAddress.unsafelyUnwrapped + held, min(Self.pieceBytes, bytes.count - held))
      }
    } while count < 0 && errno == EINTR
    guard count >= 0 else { throw SystemError("read \(path)", errorNumber: errno) }
    split(held + count, line)
    return count > 0
  }

  private mutating func split(_ end: Int, _ line: (UnsafeRawBufferPointer) -> Void) {
    var start = 0
    var (isLong, longLines) = (isInLongLine, 0)
    buffer.withUnsafeMutableBytes { bytes in
      let base = bytes.baseAddress.unsafelyUnwrapped
      while start < end, let found = memchr(base + start, 0x0A, end - start) {
        let place = UnsafeRawPointer(found) - UnsafeRawPointer(base)
        let text = UnsafeRawBufferPointer(rebasing: bytes[start..<place])
        if isLong || text.count > Self.longestLine { longLines += 1 } else if !text.isEmpty { line(text) }
        isLong = false
        start = place + 1
      }
      if end - start > Self.longestLine {
        isLong = true
        start = end
      } else if start > 0, end > start {
        memmove(base, base + start, end - start)
      }
    }
    isInLongLine = isLong
    self.longLines += longLines
    held = end - start
  }

  /// What stands behind the last line feed, at the end.
  mutating func finish(_ line: (UnsafeRawBufferPointer) -> Void) {
    if isInLongLine { longLines += 1 }
    let count = held
    if !isInLongLine, count > 0 {
      buffer.withUnsafeBytes { line(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
    held = 0
    isInLongLine = false
  }

  /// Whether another file has the name now, as after logrotate; it is then read from its start.
  mutating func followRename() -> Bool {
    var (own, named) = (stat(), stat())
    guard path != "-", fstat(file.number, &own) == 0, stat(path, &named) == 0,
      own.st_ino != named.st_ino || own.st_dev != named.st_dev, let other = try? Self.open(path)
    else { return false }
    file = other
    held = 0
    isInLongLine = false
    return true
  }
}
