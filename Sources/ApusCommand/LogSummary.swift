import Histogram

/// What a log says about its calls, in bounded memory.
struct LogSummary {
  struct Model {
    var calls = 0
    var errors = 0
    var total = LogSummary.histogram()
  }

  struct Failure: Hashable {
    var model: String
    var code: String
    var reason: String
  }

  private static let slowestKept = 10
  /// Different models and failures that are told apart; further ones count as `(others)`.
  private static let namesKept = 500

  private(set) var calls = 0
  private(set) var errors = 0
  /// Calls of which the server says that they have no line.
  private(set) var dropped: UInt64 = 0
  private(set) var models: [String: Model] = [:]
  private(set) var failures: [Failure: Int] = [:]
  private(set) var slowest: [LogEntry] = []
  private(set) var rate = LogRate()
  private(set) var all = histogram()

  /// 1 ns to an hour with two significant digits.
  static func histogram() -> Histogram<UInt64> {
    Histogram(highestTrackableValue: 3_600_000_000_000, numberOfSignificantValueDigits: .two)
  }

  mutating func add(_ entry: LogEntry) {
    dropped += entry.dropped
    guard let total = entry.total else { return }
    calls += 1
    let value = min(max(total, 1), 3_600_000_000_000)
    all.record(value)
    rate.add(second: entry.time / 1_000_000)
    let known = models[entry.modelText] != nil || models.count < Self.namesKept
    let name = known ? entry.modelText : "(others)"
    models[name, default: Model()].calls += 1
    models[name]?.total.record(value)
    if entry.isError {
      errors += 1
      models[name]?.errors += 1
      var failure = Failure(model: name, code: entry.code, reason: entry.reason)
      if failures[failure] == nil, failures.count >= Self.namesKept {
        failure = Failure(model: "(others)", code: "", reason: "")
      }
      failures[failure, default: 0] += 1
    }
    keepIfSlow(entry, total)
  }

  private mutating func keepIfSlow(_ entry: LogEntry, _ total: UInt64) {
    if slowest.count == Self.slowestKept, total <= slowest[Self.slowestKept - 1].total ?? 0 { return }
    let place = slowest.firstIndex { $0.total ?? 0 < total } ?? slowest.count
    slowest.insert(entry, at: place)
    if slowest.count > Self.slowestKept { slowest.removeLast() }
  }
}

/// Calls over time: as many a second at first, in longer and longer steps where a log spans more.
struct LogRate {
  /// Seconds of one step.
  private(set) var step: Int64 = 1
  /// Calls by step since 1970.
  private var counts: [Int64: Int] = [:]
  private static let stepsKept = 4096
  private static let steps: [Int64] = [
    1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400,
  ]

  mutating func add(second: Int64) {
    counts[second / step, default: 0] += 1
    if counts.count > Self.stepsKept { lengthen() }
  }

  private mutating func lengthen() {
    let longer = Self.steps.first { $0 > step && $0 % step == 0 } ?? step * 10
    counts = counts.reduce(into: [:]) { $0[$1.key * step / longer, default: 0] += $1.value }
    step = longer
  }

  /// The steps from the first call to the last, at most so many; `start` is in seconds since 1970.
  func rows(atMost most: Int64) -> (step: Int64, rows: [(start: Int64, calls: Int)]) {
    var merged = self
    while let first = merged.counts.keys.min(), let last = merged.counts.keys.max() {
      if last - first < most {
        let rows = (first...last).map { (start: $0 * merged.step, calls: merged.counts[$0] ?? 0) }
        return (merged.step, rows)
      }
      merged.lengthen()
    }
    return (step, [])
  }
}
