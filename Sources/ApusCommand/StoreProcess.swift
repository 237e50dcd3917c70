import ApusIO
@preconcurrency import Glibc

/// A pipe, closed on exec.
struct StorePipe: ~Copyable, Sendable {
  let reading: Descriptor
  let writing: Descriptor

  init() throws(SystemError) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutableBytes(of: &ends) {
      pipe($0.baseAddress?.assumingMemoryBound(to: Int32.self))
    }
    guard result == 0 else { throw SystemError("make a pipe", errorNumber: errno) }
    for end in [ends.0, ends.1] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    reading = Descriptor(owning: ends.0)
    writing = Descriptor(owning: ends.1)
  }

  /// Closes the other end, and gives this one away.
  consuming func takeReading() -> Descriptor { reading }

  func signal() { _ = write(writing.number, "x", 1) }

  func isSignalled(withinSeconds seconds: Int) -> Bool {
    var entry = pollfd(fd: reading.number, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, Int32(seconds * 1000)) > 0
  }
}

/// What there is to do about the output of a process.
enum StoreEvent { case readable, signal, nothing }

/// Waits until there is output, or a signal, which goes before it.
func waitForStore(_ output: borrowing Descriptor, _ ending: borrowing StorePipe, seconds: Int) -> StoreEvent {
  var entries = (
    pollfd(fd: ending.reading.number, events: Int16(POLLIN), revents: 0),
    pollfd(fd: output.number, events: Int16(POLLIN), revents: 0)
  )
  let count = withUnsafeMutableBytes(of: &entries) {
    poll($0.baseAddress?.assumingMemoryBound(to: pollfd.self), 2, Int32(seconds * 1000))
  }
  guard count > 0 else { return .nothing }
  return entries.0.revents != 0 ? .signal : .readable
}

/// Lines out of the pieces that a pipe gives.
struct StoreLines {
  /// Of a longer line the rest is dropped.
  private static let longestBytes = 64 << 10
  private var begun: [UInt8] = []

  /// Reads once.
  ///
  /// - Returns: whole lines; nil at the end.
  mutating func read(from file: borrowing Descriptor) -> [String]? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = Glibc.read(file.number, &buffer, buffer.count)
    if count < 0, errno == EINTR { return [] }
    guard count > 0 else { return nil }
    var lines: [String] = []
    for byte in buffer[..<count] {
      if byte == UInt8(ascii: "\n") {
        lines.append(String(decoding: begun, as: UTF8.self))
        begun = []
      } else if begun.count < Self.longestBytes {
        begun.append(byte)
      }
    }
    return lines
  }
}
