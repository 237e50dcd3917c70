import Synchronization
import Testing

@testable import ApusBase

/// A few buckets cut from the fine ones.
@Suite struct CoarseBucketsTests {
  /// A histogram over memory of its own.
  private final class Owned {
    let memory: UnsafeMutablePointer<Atomic<UInt64>>
    let histogram: DurationHistogram

    init() {
      memory = .allocate(capacity: DurationHistogram.wordCount)
      for index in 0..<DurationHistogram.wordCount { (memory + index).initialize(to: Atomic(0)) }
      histogram = DurationHistogram(memory: memory)
    }

    deinit {
      memory.deinitialize(count: DurationHistogram.wordCount)
      memory.deallocate()
    }
  }

  private static let bounds: [UInt64] = [1000, 2500, 1_000_000, 10_000_000_000]

  private func counts(_ events: [(nanoseconds: UInt64, count: UInt64)]) -> [UInt64] {
    let owned = Owned()
    for event in events { owned.histogram.record(nanoseconds: event.nanoseconds, count: event.count) }
    var buckets = CoarseBuckets(bounds: Self.bounds)
    buckets.add(owned.histogram)
    return buckets.counts
  }

  @Test func nothingGivesNothing() { #expect(counts([]) == [0, 0, 0, 0, 0]) }

  @Test func everyEventIsInOneBucket() {
    #expect(counts([(0, 1), (500, 2)]) == [3, 0, 0, 0, 0])
    #expect(counts([(2000, 5), (100_000, 7), (3_000_000_000, 1), (60_000_000_000, 2)]) == [0, 5, 7, 1, 2])
    #expect(counts([(.max, 4)]) == [0, 0, 0, 0, 4], "what is longer than the histogram reaches is counted")
  }

  /// What is slower than a bound is never counted as quicker; what is quicker by more than 1/32 is counted
  /// so.
  @Test func boundsAreKeptToOneThirtySecond() {
    for (place, bound) in Self.bounds.enumerated() {
      for nanoseconds in [bound + 1, bound + bound / 64, bound * 3 / 2] {
        #expect(counts([(nanoseconds, 1)])[...place].allSatisfy { $0 == 0 }, "\(nanoseconds) > \(bound)")
      }
      let quicker = bound - bound / 32 - 1
      #expect(counts([(quicker, 1)])[...place].contains(1), "\(quicker) < \(bound)")
    }
  }

  @Test func sumsAreExactAndAddUp() {
    let one = Owned()
    let other = Owned()
    one.histogram.record(nanoseconds: 1_234_567)
    one.histogram.record(nanoseconds: 10, count: 3)
    other.histogram.record(nanoseconds: 700)
    var buckets = CoarseBuckets(bounds: Self.bounds)
    buckets.add(one.histogram)
    buckets.add(other.histogram)
    #expect(buckets.counts == [4, 0, 0, 1, 0])
    #expect(buckets.sumNanoseconds == 1_234_567 + 30 + 700)
    buckets.clear()
    #expect(buckets.counts == [0, 0, 0, 0, 0] && buckets.sumNanoseconds == 0)
  }
}
