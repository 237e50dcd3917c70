public import Synchronization

/// Counts durations in buckets that are at most 1/32 wide: 32 linear steps in each power of two, as
/// HdrHistogram does with 5 significant bits, from 1 ns to 68 s. One thread records, any thread reads.
///
/// The memory is the caller's, so that a recorder for many models lies in one lazily paged mapping.
///
/// Invariant of the unsafe code here: `buckets` points to `wordCount` zero-initialised atomic words that live
/// longer than this view.
public struct DurationHistogram: @unchecked Sendable {
  @inlinable static var subBits: Int { 5 }
  @inlinable static var octaves: Int { 36 }
  @inlinable public static var bucketCount: Int { (octaves - subBits + 1) << subBits }
  /// Words of memory that one histogram takes: the buckets, the maximum and the sum.
  @inlinable public static var wordCount: Int { bucketCount + 2 }

  @usableFromInline let buckets: UnsafeMutablePointer<Atomic<UInt64>>

  @inlinable public init(memory: UnsafeMutablePointer<Atomic<UInt64>>) { buckets = memory }

  /// Adds `count` events of the same duration.
  @inlinable public func record(nanoseconds: UInt64, count: UInt64 = 1) {
    buckets[Self.index(nanoseconds)].addFromOneThread(count)
    let maximum = Self.bucketCount
    buckets[maximum + 1].addFromOneThread(nanoseconds &* count)
    if nanoseconds > buckets[maximum].load(ordering: .relaxed) {
      buckets[maximum].store(nanoseconds, ordering: .relaxed)
    }
  }

  @inlinable static func index(_ nanoseconds: UInt64) -> Int {
    let value = min(nanoseconds, 1 << UInt64(octaves) - 1)
    if value < 1 << UInt64(subBits) { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount
    let step = Int(value >> UInt64(exponent - subBits)) & (1 << subBits - 1)
    return (exponent - subBits + 1) << subBits + step
  }

  /// The largest duration that falls into a bucket.
  static func upperBound(_ index: Int) -> UInt64 {
    if index < 1 << subBits { return UInt64(index) }
    let exponent = index >> subBits + subBits - 1
    let step = UInt64(index & (1 << subBits - 1)) + UInt64(1 << subBits)
    return (step + 1) << UInt64(exponent - subBits) - 1
  }
}

extension Atomic where Value == UInt64 {
  /// Adds where only one thread writes: a plain load, add and store, which other threads may read at any
  /// time.
  @inlinable public func addFromOneThread(_ value: UInt64) {
    store(load(ordering: .relaxed) &+ value, ordering: .relaxed)
  }
}

/// Sums of one or more histograms, for reading quantiles.
package struct DurationSummary: Sendable {
  package private(set) var buckets = DurationBuckets()
  package private(set) var count: UInt64 = 0
  package private(set) var maximumNanoseconds: UInt64 = 0

  package init() {}

  package mutating func add(_ histogram: DurationHistogram) {
    for index in buckets.counts.indices {
      let events = histogram.events(inBucket: index)
      buckets.counts[index] += events
      count += events
    }
    maximumNanoseconds = max(maximumNanoseconds, histogram.maximumNanoseconds)
  }

  /// The duration that `quantile` (0 to 1) of the events did not exceed, at most 1/32 too high; 0 without
  /// events.
  package func nanoseconds(atQuantile quantile: Double) -> UInt64 {
    min(buckets.nanoseconds(atQuantile: quantile), maximumNanoseconds)
  }
}

extension DurationHistogram {
  func events(inBucket index: Int) -> UInt64 { buckets[index].load(ordering: .relaxed) }
  var maximumNanoseconds: UInt64 { buckets[Self.bucketCount].load(ordering: .relaxed) }
  var sumNanoseconds: UInt64 { buckets[Self.bucketCount + 1].load(ordering: .relaxed) }
}
