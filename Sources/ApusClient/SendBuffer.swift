import ApusBase

/// Frames that wait to be sent, one after another.
///
/// Invariant of the unsafe code here: `0 ≤ start ≤ end ≤ memory.bytes.count`.
struct SendBuffer: ~Copyable {
  private var memory: AlignedBuffer
  private var start = 0
  private var end = 0

  init(byteCount: Int) { memory = AlignedBuffer(byteCount: byteCount) }

  var isEmpty: Bool { start == end }

  /// So many unsent bytes do not keep a frame out that is larger than the buffer: a greeting, a few cancels.
  private static let smallBytes = 4096

  /// Whether `append` takes a frame of so many bytes now. A buffer that is all but empty takes any.
  func hasRoom(for frameBytes: Int) -> Bool {
    end - start <= Self.smallBytes || frameBytes <= memory.bytes.count - (end - start)
  }

  /// The place of a further frame, to be written whole. The caller has asked `hasRoom(for:)`.
  mutating func append(_ frameBytes: Int) -> UnsafeMutableRawPointer {
    precondition(hasRoom(for: frameBytes))
    if frameBytes > memory.bytes.count - end { makeRoom(frameBytes) }
    let place = memory.baseAddress + end
    end += frameBytes
    return place
  }

  /// Grows to hold so many unsent bytes.
  mutating func reserve(_ byteCount: Int) {
    if byteCount > memory.bytes.count { makeRoom(max(0, byteCount - (end - start))) }
  }

  private mutating func makeRoom(_ frameBytes: Int) {
    let unsentBytes = end - start
    if frameBytes > memory.bytes.count - unsentBytes {
      let larger = AlignedBuffer(byteCount: unsentBytes + frameBytes)
      larger.baseAddress.copyMemory(from: memory.baseAddress + start, byteCount: unsentBytes)
      memory = larger
    } else {
      memory.baseAddress.copyMemory(from: memory.baseAddress + start, byteCount: unsentBytes)
    }
    (start, end) = (0, unsentBytes)
  }

  var unsent: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory.baseAddress + start, count: end - start)
  }

  mutating func sent(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= end - start)
    start += byteCount
    if start == end { (start, end) = (0, 0) }
  }

  mutating func removeAll() { (start, end) = (0, 0) }
}
