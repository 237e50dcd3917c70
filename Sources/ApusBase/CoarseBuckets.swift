/// Events of one or more histograms in few buckets, whose upper bounds the caller chooses: for reading, on
/// any thread, while others record.
///
/// A fine bucket that spans a bound is counted above it, so that no event is told to be quicker than it was.
/// A bound thus acts as one that is at most 1/32 lower.
package struct CoarseBuckets: Sendable {
  /// How many fine buckets end at or below each bound.
  private let ends: [Int]
  /// Events of each bucket, not cumulated; the last is for what lies above all bounds.
  package private(set) var counts: [UInt64]
  package private(set) var sumNanoseconds: UInt64 = 0

  /// - Parameter bounds: in nanoseconds, ascending; each belongs to its bucket.
  package init(bounds: [UInt64]) {
    ends = bounds.map { bound in
      let index = DurationHistogram.index(bound)
      return DurationHistogram.upperBound(index) <= bound ? index + 1 : index
    }
    counts = [UInt64](repeating: 0, count: bounds.count + 1)
  }

  package mutating func clear() {
    for index in counts.indices { counts[index] = 0 }
    sumNanoseconds = 0
  }

  package mutating func add(_ histogram: DurationHistogram) {
    sumNanoseconds &+= histogram.sumNanoseconds
    let last = DurationHistogram.index(histogram.maximumNanoseconds)
    var index = 0
    for place in counts.indices {
      let end = min(last + 1, place < ends.count ? ends[place] : last + 1)
      var events: UInt64 = 0
      while index < end {
        events &+= histogram.events(inBucket: index)
        index += 1
      }
      counts[place] &+= events
    }
  }
}
