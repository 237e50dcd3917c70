import ApusJSON
import ApusLog
import Histogram

extension LogSummary {
  private static let percentiles: [(key: String, value: Double)] = [
    ("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9), ("max", 100),
  ]

  private static func time(_ seconds: Int64) -> String {
    var bytes: [UInt8] = []
    var time = LogTime()
    time.append(seconds * 1_000_000, to: &bytes)
    return String(decoding: bytes.prefix(19), as: UTF8.self) + "Z"
  }

  private static func quantiles(_ histogram: Histogram<UInt64>) -> [UInt64] {
    percentiles.map { histogram.totalCount == 0 ? 0 : histogram.valueAtPercentile($0.value) }
  }

  private var modelsByCalls: [(key: String, value: Model)] {
    models.sorted { ($1.value.calls, $0.key) < ($0.value.calls, $1.key) }
  }

  private var failuresByCount: [(key: Failure, value: Int)] {
    failures.sorted {
      ($1.value, $0.key.model, $0.key.code, $0.key.reason)
        < ($0.value, $1.key.model, $1.key.code, $1.key.reason)
    }
  }

  /// - Parameter skipped: lines that could not be read.
  func print(skipped: Int) {
    Swift.print("\(calls) calls, \(errors) of them errors; \(skipped) lines skipped, \(dropped) not logged")
    guard calls > 0 else { return }
    Swift.print()
    var table = Table(
      ["MODEL", "CALLS", "ERRORS", "P50", "P90", "P99", "P99.9", "MAX"],
      rightAligned: [1, 2, 3, 4, 5, 6, 7])
    for (name, model) in modelsByCalls {
      table.add(
        [name, "\(model.calls)", "\(model.errors)"]
          + Self.quantiles(model.total).map { duration(nanoseconds: $0) })
    }
    table.print()
    if !failures.isEmpty {
      Swift.print()
      var table = Table(["ERRORS", "MODEL", "CODE", "REASON"], rightAligned: [0])
      for (failure, count) in failuresByCount {
        table.add(["\(count)", failure.model, failure.code, failure.reason])
      }
      table.print()
    }
    printSlowest()
    printRate()
  }

  private func printSlowest() {
    Swift.print()
    var table = Table(
      ["SLOWEST", "MODEL", "TIME", "RECEIVE", "QUEUE", "COMPUTE", "ENCODE", "TRACE"],
      rightAligned: [0, 3, 4, 5, 6])
    for entry in slowest {
      table.add(
        [duration(nanoseconds: entry.total ?? 0), entry.modelText, Self.time(entry.time / 1_000_000)]
          + [entry.receive, entry.queue, entry.compute, entry.encode].map { duration(nanoseconds: $0) }
          + [entry.traceID])
    }
    table.print()
  }

  private func printRate() {
    let (step, rows) = rate.rows(atMost: 24)
    let most = rows.map(\.calls).max() ?? 0
    Swift.print("\nCALLS A SECOND, in steps of \(duration(nanoseconds: UInt64(step) * 1_000_000_000))")
    for row in rows {
      let bar = Report.bar(Double(row.calls) / Double(max(most, 1)))
      let perSecond = formatted(Double(row.calls) / Double(step), "%10.1f")
      Swift.print("\(Self.time(row.start))  \(bar) \(perSecond)")
    }
  }

  func json(skipped: Int) -> JSON {
    func times(_ histogram: Histogram<UInt64>) -> JSON {
      .object(
        zip(Self.percentiles, Self.quantiles(histogram)).map {
          JSON.Member(key: $0.key, value: .integer($1))
        })
    }
    let (step, rows) = rate.rows(atMost: 24)
    return [
      "calls": .integer(calls), "errors": .integer(errors), "skipped_lines": .integer(skipped),
      "not_logged": .integer(dropped), "total_ns": times(all),
      "models": .array(
        modelsByCalls.map { name, model in
          [
            "model": .string(name), "calls": .integer(model.calls), "errors": .integer(model.errors),
            "total_ns": times(model.total),
          ]
        }),
      "failures": .array(
        failuresByCount.map { failure, count in
          [
            "model": .string(failure.model), "code": .string(failure.code),
            "reason": .string(failure.reason), "count": .integer(count),
          ]
        }),
      "slowest": .array(
        slowest.map { entry in
          [
            "time": .string(Self.time(entry.time / 1_000_000)), "model": .string(entry.modelText),
            "total_ns": .integer(entry.total ?? 0), "receive_ns": .integer(entry.receive),
            "queue_ns": .integer(entry.queue), "compute_ns": .integer(entry.compute),
            "encode_ns": .integer(entry.encode), "request": .integer(entry.request),
            "trace_id": .string(entry.traceID),
          ]
        }),
      "rate": [
        "step_s": .integer(step),
        "rows": .array(
          rows.map { ["time": .string(Self.time($0.start)), "calls": .integer($0.calls)] }),
      ],
    ]
  }
}
