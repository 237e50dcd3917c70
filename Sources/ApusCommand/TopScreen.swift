import ApusWire

/// The lines of `apus top`, for a terminal of some size. It prints nothing itself.
struct TopScreen {
  let address: String
  let interval: TopInterval
  /// What is wrong at the moment; nil: nothing.
  var problem: String?

  /// Where the columns' headings stand.
  static let headingLine = 4

  /// - Parameters:
  ///   - width: in columns; no line is longer.
  ///   - height: lines at most; models that have no room are counted in the last one. Nil: all.
  func lines(width: Int, height: Int?) -> [String] {
    var lines = [problem ?? serverLine, rateLine, timeLine, ""]
    let models = interval.models
    let room = height.map { max($0 - lines.count - 1, 0) } ?? models.count
    let isCut = models.count > room
    let shown = models.prefix(isCut ? max(room - 1, 0) : room)
    lines += table(Array(shown), width)
    if models.isEmpty { lines.append("No model has counters.") }
    if isCut { lines.append("… \(models.count - shown.count) more") }
    return lines.prefix(height ?? .max).map { Self.cut(printable($0), to: width) }
  }

  private var serverLine: String {
    let since = interval.isSinceStart ? "since the start" : "over \(formatted(interval.seconds, "%.1f")) s"
    let reactors = "\(interval.reactors) reactor\(interval.reactors == 1 ? "" : "s")"
    return "\(address)  \(interval.version)  up \(duration(nanoseconds: interval.uptimeNanoseconds))  "
      + "\(reactors)  \(since)"
  }

  private var rateLine: String {
    "calls \(rate(interval.calls))/s  errors \(rate(interval.errors))/s  "
      + "waiting \(interval.queuedCalls), load \(formatted(Double(interval.load), "%.2f"))  "
      + "connections \(interval.connectionsOpen), \(rate(interval.connections))/s new  "
      + "in \(bytes(interval.receivedBytes))/s  out \(bytes(interval.sentBytes))/s"
  }

  private var timeLine: String {
    "p50/p99  total \(pair(interval.total))  queue \(pair(interval.queue))  "
      + "compute \(pair(interval.compute))  polls \(rate(interval.polls))/s  "
      + "sleeps \(rate(interval.sleeps))/s"
  }

  private func pair(_ quantiles: TopInterval.Quantiles?) -> String {
    guard let quantiles else { return "-" }
    return "\(duration(nanoseconds: quantiles.p50))/\(duration(nanoseconds: quantiles.p99))"
  }

  private func bytes(_ value: Double) -> String { byteSize(UInt64(max(0, min(value, 1e18)))) }

  private func rate(_ value: Double) -> String {
    formatted(value, value > 0 && value < 9.95 ? "%.1f" : "%.0f")
  }

  // MARK: The table of models

  /// A column, and how soon it goes where there is no room: the highest first, 0 never.
  private struct Column {
    let heading: String
    let goes: Int
    let cell: (TopInterval.Model) -> String
  }

  private var columns: [Column] {
    func time(_ value: UInt64?) -> String { value.map { duration(nanoseconds: $0) } ?? "-" }
    return [
      Column(heading: "VERSION", goes: 6) { String($0.version) },
      Column(heading: "CALLS/S", goes: 0) { rate($0.calls) },
      Column(heading: "ERRORS/S", goes: 2) { rate($0.errors) },
      Column(heading: "P50", goes: 1) { time($0.total?.p50) },
      Column(heading: "P99", goes: 1) { time($0.total?.p99) },
      Column(heading: "QUEUE P50", goes: 5) { time($0.queue?.p50) },
      Column(heading: "P99", goes: 5) { time($0.queue?.p99) },
      Column(heading: "COMPUTE P50", goes: 4) { time($0.compute?.p50) },
      Column(heading: "P99", goes: 4) { time($0.compute?.p99) },
      Column(heading: "ROWS/BATCH", goes: 3) { model in
        guard model.rowsPerBatch > 0, let largest = model.batches.map(\.rows).max() else { return "-" }
        return "\(formatted(model.rowsPerBatch, "%.1f")) (≤\(largest))"
      },
    ]
  }

  private static let shortestName = 8

  private func table(_ models: [TopInterval.Model], _ width: Int) -> [String] {
    var columns = columns
    var widths = columns.map { column in
      models.map { column.cell($0).count }.reduce(column.heading.count, max)
    }
    let wanted = max(5, models.map { printable($0.name).count }.max() ?? 0)
    while min(wanted, Self.shortestName) + widths.reduce(0, { $0 + $1 + 2 }) > width,
      let last = columns.map(\.goes).max(), last > 0
    {
      let kept = columns.indices.filter { columns[$0].goes != last }
      columns = kept.map { columns[$0] }
      widths = kept.map { widths[$0] }
    }
    let name = max(1, min(wanted, width - widths.reduce(0) { $0 + $1 + 2 }))
    func line(_ first: String, _ cells: [String]) -> String {
      let start = Self.cut(first, to: name)
      return zip(cells, widths).reduce(start + Self.space(name - start.count)) { line, cell in
        line + "  " + Self.space(cell.1 - cell.0.count) + cell.0
      }
    }
    return [line("MODEL", columns.map(\.heading))]
      + models.map { model in line(printable(model.name), columns.map { $0.cell(model) }) }
  }

  private static func space(_ count: Int) -> String { String(repeating: " ", count: max(0, count)) }

  /// A text that is too long ends in dots.
  private static func cut(_ text: String, to width: Int) -> String {
    text.count <= width ? text : String(text.prefix(max(0, width - 1))) + (width > 0 ? "…" : "")
  }
}
