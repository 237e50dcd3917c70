import ApusBase
import Synchronization

/// A bounded ring of access records between one thread that serves and the one that writes. Putting a record
/// in takes no lock, no memory and no system call; into a full ring nothing is put, and that is counted.
///
/// Invariant of the unsafe code here: `words` and `records` lie in `memory`, which lives as long as the ring;
/// `records` holds `mask + 1` places, a power of two. Only the producer writes places from `tail` to `head +
/// mask` on and moves `head`; only the consumer reads places from `tail` to `head` and moves `tail`.
package final class AccessRing: Sendable {
  private let memory: MappedBuffer
  private nonisolated(unsafe) let words: UnsafeMutablePointer<Atomic<UInt64>>
  private nonisolated(unsafe) let records: UnsafeMutablePointer<AccessRecord>
  private let mask: UInt64
  /// Calls that take at least so long, in nanoseconds, are recorded: 0 means all, `UInt64.max` none.
  package let threshold: UInt64

  /// Words on cache lines of their own: the producer's head and count of what was dropped, the consumer's
  /// tail.
  private static var head: Int { 0 }
  private static var dropped: Int { 1 }
  private static var tail: Int { 16 }
  private static let wordBytes = 256

  /// - Parameter capacity: records, a power of two.
  package init(capacity: Int, threshold: UInt64) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0)
    let byteCount = Self.wordBytes + capacity * MemoryLayout<AccessRecord>.stride
    guard let memory = MappedBuffer(byteCount: byteCount) else { fatalError("no memory for the access log") }
    words = memory.baseAddress.bindMemory(to: Atomic<UInt64>.self, capacity: Self.wordBytes / 8)
    records = (memory.baseAddress + Self.wordBytes).bindMemory(to: AccessRecord.self, capacity: capacity)
    mask = UInt64(capacity - 1)
    self.memory = memory
    self.threshold = threshold
  }

  /// Of a server that logs no calls.
  package static let disabled = AccessRing(capacity: 1, threshold: .max)

  // MARK: The producer's side

  /// Puts in `count` records that are alike but for their request ids, or as many as there is room for; the
  /// others are counted as dropped.
  package func append(_ record: AccessRecord, count: Int, requestID: (Int) -> UInt64) {
    let head = words[Self.head].load(ordering: .relaxed)
    let free = Int(mask &+ 1 &- (head &- words[Self.tail].load(ordering: .acquiring)))
    let taken = min(free, count)
    if taken < count { words[Self.dropped].addFromOneThread(UInt64(count - taken)) }
    guard taken > 0 else { return }
    for position in 0..<taken {
      let place = records + Int((head &+ UInt64(position)) & mask)
      place.initialize(to: record)
      place.pointee.requestID = requestID(position)
    }
    words[Self.head].store(head &+ UInt64(taken), ordering: .releasing)
  }

  package func append(_ record: AccessRecord) {
    append(record, count: 1) { _ in record.requestID }
  }

  // MARK: The consumer's side

  /// Records for which there was no room, since the start.
  package var droppedCount: UInt64 { words[Self.dropped].load(ordering: .relaxed) }

  /// Takes out at most `most` of the oldest records.
  ///
  /// - Returns: how many there were.
  func take(atMost most: Int, _ body: (AccessRecord) -> Void) -> Int {
    let tail = words[Self.tail].load(ordering: .relaxed)
    let count = min(Int(words[Self.head].load(ordering: .acquiring) &- tail), most)
    for position in 0..<count { body(records[Int((tail &+ UInt64(position)) & mask)]) }
    words[Self.tail].store(tail &+ UInt64(count), ordering: .releasing)
    return count
  }
}
