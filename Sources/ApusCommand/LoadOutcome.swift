import ApusJSON
import Histogram

/// What was measured.
struct LoadOutcome: Sendable {
  var calls = 0
  var errors = 0
  var seconds = 0.0
  /// The first error.
  var failure: String?
  /// Classes of an answer; 0 before the first.
  var classes = 0
  /// What is recorded, a row after another.
  var probabilities: [Float] = []
  var latency = LoadOutcome.histogram()
  /// In the server, from the first byte that it reads, as deadlines count.
  var total = LoadOutcome.histogram()
  var queue = LoadOutcome.histogram()
  var compute = LoadOutcome.histogram()
  /// What is left of a call's time without the model's arithmetic.
  var transport = LoadOutcome.histogram()

  /// 1 ns to a minute with three significant digits.
  static func histogram() -> Histogram<UInt64> {
    Histogram(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
  }

  mutating func add(_ other: LoadOutcome) {
    calls += other.calls
    errors += other.errors
    seconds = max(seconds, other.seconds)
    failure = failure ?? other.failure
    latency.add(other.latency)
    total.add(other.total)
    queue.add(other.queue)
    compute.add(other.compute)
    transport.add(other.transport)
    classes = max(classes, other.classes)
    probabilities += other.probabilities
  }

  private func microseconds(_ histogram: Histogram<UInt64>, _ percentile: Double) -> Double {
    histogram.totalCount == 0 ? 0 : Double(histogram.valueAtPercentile(percentile)) / 1000
  }

  private var callsPerSecond: Double { seconds > 0 ? Double(calls) / seconds : 0 }

  private static let percentiles: [(key: String, name: String, value: Double)] = [
    ("p50", "p50", 50), ("p90", "p90", 90), ("p99", "p99", 99), ("p999", "p99.9", 99.9), ("max", "max", 100),
  ]

  var json: JSON {
    let latencies = Self.percentiles.map {
      JSON.Member(key: $0.key, value: .number(microseconds(latency, $0.value)))
    }
    return [
      "calls": .integer(calls), "errors": .integer(errors), "seconds": .number(seconds),
      "calls_per_second": .number(callsPerSecond), "latency_us": .object(latencies),
      "server_us": [
        "total": ["p50": .number(microseconds(total, 50)), "p999": .number(microseconds(total, 99.9))],
        "queue": ["p50": .number(microseconds(queue, 50))],
        "compute": ["p50": .number(microseconds(compute, 50))],
      ],
      "transport_p50_us": .number(microseconds(transport, 50)),
    ]
  }

  var text: String {
    func time(_ histogram: Histogram<UInt64>, _ percentile: Double) -> String {
      formatted(microseconds(histogram, percentile), "%.1f")
    }
    let latencies = Self.percentiles.map { "\($0.name) \(time(latency, $0.value))" }.joined(separator: "  ")
    return """
      calls       \(calls) in \(formatted(seconds, "%.2f")) s, \
      \(formatted(callsPerSecond, "%.0f")) a second, \(errors) errors
      latency     \(latencies) µs
      in server   p50 \(time(total, 50)), p99.9 \(time(total, 99.9)), \
      queue p50 \(time(queue, 50)), compute p50 \(time(compute, 50)) µs
      the rest    p50 \(time(transport, 50)) µs, round trips without compute
      """
  }
}
