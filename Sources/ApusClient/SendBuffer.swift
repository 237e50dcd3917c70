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

  /// Whether `append` takes a frame of so many bytes now. An empty buffer takes any.
  func hasRoom(for frameBytes: Int) -> Bool { isEmpty || frameBytes <= memory.bytes.count - (end - start) }

  /// The place of a further frame, to be written whole. The caller has asked `hasRoom(for:)`.
  mutating func append(_ frameBytes: Int) -> UnsafeMutableRawPointer {
    precondition(hasRoom(for: frameBytes))
    if frameBytes > memory.bytes.count - end { makeRoom(frameBytes) }
    let place = memory.baseAddress + end
    end += frameBytes
    return place
  }

  private mutating func makeRoom(_ frameBytes: Int) {
    if frameBytes > memory.bytes.count - (end - start) {
      memory = AlignedBuffer(byteCount: frameBytes)
      (start, end) = (0, 0)
      return
    }
    memory.baseAddress.copyMemory(from: memory.baseAddress + start, byteCount: end - start)
    (start, end) = (0, end - start)
  }

  var unsent: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory.baseAddress + start, count: end - start) }

  mutating func sent(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= end - start)
    start += byteCount
    if start == end { (start, end) = (0, 0) }
  }

  mutating func removeAll() { (start, end) = (0, 0) }
}
