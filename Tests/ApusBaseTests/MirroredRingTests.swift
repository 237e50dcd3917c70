import ApusBase
import Synchronization
import Testing

@Suite struct MirroredRingTests {
  @Test func wrappedBytesAreInOnePiece() {
    guard var ring = MirroredRing(capacity: 4096) else {
      Issue.record("no memory for a ring")
      return
    }
    ring.received(4000)
    ring.consume(3968)
    let free = ring.writable
    for index in 0..<200 { free[index] = UInt8(index) }
    ring.received(200)
    ring.consume(32)
    #expect(ring.count == 200)
    #expect(Array(ring.readable) == (0..<200).map { UInt8($0) })
  }

  @Test func emptyRingStartsAgainAtItsBeginning() {
    guard var ring = MirroredRing(capacity: 4096) else {
      Issue.record("no memory for a ring")
      return
    }
    let start = ring.writable.baseAddress
    ring.received(128)
    ring.consume(128)
    #expect(ring.writable.baseAddress == start)
    #expect(ring.writable.count == 4096)
  }

  @Test func fullRingHasNoSpace() {
    guard var ring = MirroredRing(capacity: 4096) else {
      Issue.record("no memory for a ring")
      return
    }
    ring.received(64)
    ring.consume(0)
    ring.received(4032)
    #expect(ring.writable.isEmpty)
  }
}

@Suite struct SlotTableTests {
  @Test func keyOfARemovedValueFindsNobody() {
    var table = SlotTable<Int>(capacity: 2)
    let first = table.insert(10)
    let removed = table.remove(first)
    #expect(removed)
    let second = table.insert(20)
    #expect(second.index == first.index)
    let gone = table.pointer(to: first) == nil
    #expect(gone)
    let value = table.pointer(to: second)?.pointee
    #expect(value == 20)
    let removedAgain = table.remove(first)
    #expect(!removedAgain)
    let count = table.count
    #expect(count == 1)
  }

  @Test func forgedKeysFindNobody() {
    let table = SlotTable<Int>(capacity: 2)
    let unused = table.pointer(to: SlotKey(index: 0, generation: 0)) == nil
    let outside = table.pointer(to: SlotKey(index: 7, generation: 1)) == nil
    #expect(unused && outside)
  }
}

@Suite struct DurationHistogramTests {
  @Test func quantilesAreAtMostOneThirtySecondHigh() {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: DurationHistogram.wordCount * 8, alignment: 64)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt64.self, repeating: 0, count: DurationHistogram.wordCount)
    let histogram = DurationHistogram(memory: memory.assumingMemoryBound(to: Atomic<UInt64>.self))
    for value in 1...100_000 { histogram.record(nanoseconds: UInt64(value)) }
    histogram.record(nanoseconds: .max)
    var summary = DurationSummary()
    summary.add(histogram)
    #expect(summary.count == 100_001)
    for quantile in [0.01, 0.5, 0.9, 0.99] {
      let exact = quantile * 100_001
      let found = Double(summary.nanoseconds(atQuantile: quantile))
      #expect(found >= exact.rounded(.down) && found <= exact * (1 + 1.0 / 32) + 1)
    }
    #expect(summary.nanoseconds(atQuantile: 1) > 60_000_000_000)
  }
}
