import ApusBase

/// Frames that wait to be sent, one after another. The body of one of them may stay where it lies.
///
/// Invariant of the unsafe code here: `0 ≤ start ≤ end ≤ memory.bytes.count`, and `bodyPlace` lies between
/// `start` and `end` while there is something of `body` left.
struct SendBuffer: ~Copyable {
  private var memory: AlignedBuffer
  private var start = 0
  private var end = 0
  /// What is unsent of a body that lies elsewhere, and where it goes among the bytes in `memory`.
  private var body = UnsafeRawBufferPointer(start: nil, count: 0)
  private var bodyPlace = 0
  /// Keeps the body's memory; nil: somebody else does.
  private var owner: CallInput?

  init(byteCount: Int) { memory = AlignedBuffer(byteCount: byteCount) }

  var isEmpty: Bool { start == end && body.isEmpty }

  /// Whether there is something unsent in memory of a caller's.
  var holdsBody: Bool { !body.isEmpty }

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

  /// The place of what is around the body of a further frame, to be written: `headBytes` before it and
  /// `paddingBytes` behind. The body is sent from where it lies. There is none yet.
  mutating func append(
    _ headBytes: Int, _ body: UnsafeRawBufferPointer, of owner: CallInput?, _ paddingBytes: Int
  ) -> UnsafeMutableRawPointer {
    precondition(!holdsBody)
    let place = append(headBytes + paddingBytes)
    bodyPlace = end - paddingBytes
    self.body = body
    self.owner = owner
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
    bodyPlace -= start
    (start, end) = (0, unsentBytes)
  }

  /// What goes next; there may be more behind.
  var unsent: UnsafeRawBufferPointer {
    if holdsBody, start == bodyPlace { return body }
    let next = holdsBody ? bodyPlace : end
    return UnsafeRawBufferPointer(start: memory.baseAddress + start, count: next - start)
  }

  /// So many bytes of `unsent` have gone.
  mutating func sent(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= unsent.count)
    if holdsBody, start == bodyPlace {
      body = UnsafeRawBufferPointer(rebasing: body[byteCount...])
      if body.isEmpty { owner = nil }
    } else {
      start += byteCount
    }
    if start == end, !holdsBody { (start, end) = (0, 0) }
  }

  mutating func removeAll() {
    (start, end) = (0, 0)
    body = UnsafeRawBufferPointer(start: nil, count: 0)
    owner = nil
  }
}
