/// How many durations fell into each bucket of a `DurationHistogram`: what Stats sends on request, so that
/// two answers give the quantiles of the time between them.
package struct DurationBuckets: Equatable, Sendable {
  package static let count = DurationHistogram.bucketCount
  /// One for each bucket.
  package var counts = [UInt64](repeating: 0, count: Self.count)

  package init() {}

  /// Reads the pairs of `LatencySummary.bucket_counts`: empty buckets skipped, then a count. What lies beyond
  /// the last bucket is left out.
  package init(pairs: [UInt64]) {
    var index: UInt64 = 0
    for place in stride(from: 0, to: pairs.count - 1, by: 2) {
      let (next, overflow) = index.addingReportingOverflow(pairs[place])
      guard !overflow, next < UInt64(Self.count) else { return }
      counts[Int(next)] = pairs[place + 1]
      index = next + 1
    }
  }

  /// The same as pairs.
  package var pairs: [UInt64] {
    var pairs: [UInt64] = []
    var skipped: UInt64 = 0
    for count in counts {
      if count > 0 {
        pairs += [skipped, count]
        skipped = 0
      } else {
        skipped += 1
      }
    }
    return pairs
  }

  /// Durations in all.
  package var total: UInt64 { counts.reduce(0, &+) }

  package mutating func add(_ other: DurationBuckets) {
    for index in counts.indices { counts[index] &+= other.counts[index] }
  }

  /// What was counted since `earlier`. A count that is lower than before is one that began anew.
  package func since(_ earlier: DurationBuckets) -> DurationBuckets {
    var difference = self
    for index in counts.indices where counts[index] >= earlier.counts[index] {
      difference.counts[index] -= earlier.counts[index]
    }
    return difference
  }

  /// The duration that `quantile` (0 to 1) of the durations did not exceed, at most 1/32 too high; 0 without
  /// any.
  package func nanoseconds(atQuantile quantile: Double) -> UInt64 {
    let total = total
    guard total > 0 else { return 0 }
    let rank = max(1, UInt64((Double(total) * quantile).rounded(.up)))
    var seen: UInt64 = 0
    for index in counts.indices {
      seen += counts[index]
      if seen >= rank { return DurationHistogram.upperBound(index) }
    }
    return DurationHistogram.upperBound(Self.count - 1)
  }
}
