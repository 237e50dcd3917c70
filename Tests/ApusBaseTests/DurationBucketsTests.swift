import ApusBase
import Synchronization
import Testing

@Suite struct DurationBucketsTests {
  /// The buckets of some durations, as a recorder counts them.
  private func buckets(_ durations: [UInt64]) -> DurationBuckets {
    let count = DurationHistogram.wordCount
    let memory = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: count)
    defer { memory.deallocate() }
    UnsafeMutableRawPointer(memory).initializeMemory(as: UInt8.self, repeating: 0, count: 8 * count)
    let histogram = DurationHistogram(memory: memory)
    for duration in durations { histogram.record(nanoseconds: duration) }
    var summary = DurationSummary()
    summary.add(histogram)
    return summary.buckets
  }

  @Test func pairsTellTheSame() {
    for durations in [[], [0], [0, 1, 2], [31, 32, 33], [5, 5, 5, 1 << 20, .max], [UInt64.max]] {
      let found = buckets(durations)
      #expect(found.total == UInt64(durations.count))
      #expect(DurationBuckets(pairs: found.pairs) == found)
    }
    #expect(buckets([0, 0, 3]).pairs == [0, 2, 2, 1])
    #expect(DurationBuckets.count == 1024)
  }

  @Test func pairsThatLieDoNoHarm() {
    #expect(DurationBuckets(pairs: [1024, 1]).total == 0)
    #expect(DurationBuckets(pairs: [.max, 1]).total == 0)
    #expect(DurationBuckets(pairs: [0, 1, .max, 1]).total == 1)
    #expect(DurationBuckets(pairs: [7]).total == 0)
    #expect(DurationBuckets(pairs: [1023, 9]).nanoseconds(atQuantile: 1) == (1 << 36) - 1)
  }

  /// The borders as the protocol tells them: docs/protocol.md, "Histograms".
  @Test func bordersAreThoseOfTheProtocol() {
    for index in 0..<DurationBuckets.count {
      let step = UInt64(index % 32)
      let low = index < 32 ? UInt64(index) : (32 + step) << UInt64(index / 32 - 1)
      let high = index < 32 ? UInt64(index) : (33 + step) << UInt64(index / 32 - 1) - 1
      for duration in [low, high] {
        let found = buckets([duration])
        #expect(found.counts[index] == 1, "\(duration) ns is in bucket \(index)")
        #expect(found.nanoseconds(atQuantile: 0.5) == high)
      }
    }
  }

  @Test func theDifferenceIsWhatCameBetween() {
    let early = (1...100).map { UInt64($0) * 1000 }
    let late = (1...100).map { UInt64($0) * 1_000_000 }
    let between = buckets(early + late).since(buckets(early))
    #expect(between == buckets(late))
    #expect(between.total == 100)
    let median = between.nanoseconds(atQuantile: 0.5)
    #expect(median >= 50_000_000 && median <= 50_000_000 * 33 / 32)
    let p99 = between.nanoseconds(atQuantile: 0.99)
    #expect(p99 >= 99_000_000 && p99 <= 99_000_000 * 33 / 32)
    #expect(between.since(between).total == 0 && between.since(between).nanoseconds(atQuantile: 0.5) == 0)
  }
}
