/// Writes metrics as text. Families come one after another, each with all its samples, as both formats ask.
///
/// Bytes are appended to one buffer and numbers are made by hand: a text of thousands of lines takes
/// milliseconds.
package struct MetricsWriter {
  private let format: MetricsFormat
  private var bytes: [UInt8] = []
  private var name: [UInt8] = []

  package init(_ format: MetricsFormat, reserving byteCount: Int = 0) {
    self.format = format
    bytes.reserveCapacity(byteCount)
  }

  /// Begins a family: what the samples after it mean.
  package mutating func begin(_ family: MetricFamily) {
    name = Array(family.name.utf8)
    switch format {
    case .prometheus:
      // There is no info in 0.0.4: it is a gauge that is always 1.
      let kind = family.kind == .info ? .gauge : family.kind
      describe("HELP", family.name, family.help, isHelp: true)
      describe("TYPE", family.name, kind.rawValue)
    case .openMetrics:
      describe("TYPE", family.openMetricsName, family.kind.rawValue)
      if !family.unit.isEmpty { describe("UNIT", family.openMetricsName, family.unit) }
      describe("HELP", family.openMetricsName, family.help, isHelp: true)
    }
  }

  /// One sample of a counter or gauge.
  package mutating func sample(_ labels: MetricLabels, _ value: UInt64) {
    beginSample(labels)
    append(value)
    bytes.append(Self.lineFeed)
  }

  /// One sample without labels.
  package mutating func sample(_ value: UInt64) { sample(MetricLabels(), value) }

  /// One sample in seconds.
  package mutating func sample(_ labels: MetricLabels = MetricLabels(), nanoseconds: UInt64) {
    beginSample(labels)
    appendSeconds(nanoseconds)
    bytes.append(Self.lineFeed)
  }

  /// What a histogram's sum counts.
  package enum Sum {
    case number(UInt64)
    case nanoseconds(UInt64)
  }

  /// All samples of a histogram for one set of labels.
  ///
  /// - Parameter counts: events of each bucket, not cumulated; one more than there are bounds, the last for
  ///   what is above all of them.
  package mutating func histogram(
    _ labels: MetricLabels, _ bounds: HistogramBounds, counts: [UInt64], sum: Sum
  ) {
    precondition(counts.count == bounds.texts.count, "a count belongs to each bound and one to infinity")
    var prefix = name
    prefix += "_bucket{".utf8
    prefix += labels.text
    prefix += labels.text.isEmpty ? "le=\"".utf8 : ",le=\"".utf8
    var total: UInt64 = 0
    for (count, text) in zip(counts, bounds.texts) {
      total &+= count
      bytes += prefix
      bytes += text
      append(total)
      bytes.append(Self.lineFeed)
    }
    beginSample(labels, suffix: "_sum")
    switch sum {
    case .number(let value): append(value)
    case .nanoseconds(let value): appendSeconds(value)
    }
    bytes.append(Self.lineFeed)
    beginSample(labels, suffix: "_count")
    append(total)
    bytes.append(Self.lineFeed)
  }

  /// Ends the text and gives it.
  package consuming func finish() -> [UInt8] {
    if format == .openMetrics { bytes += "# EOF\n".utf8 }
    return bytes
  }

  // MARK: Parts

  private static let lineFeed = UInt8(ascii: "\n")

  private mutating func describe(_ word: String, _ name: String, _ text: String, isHelp: Bool = false) {
    bytes += "# ".utf8
    bytes += word.utf8
    bytes.append(UInt8(ascii: " "))
    bytes += name.utf8
    bytes.append(UInt8(ascii: " "))
    // OpenMetrics escapes the quote in a help text, 0.0.4 does not.
    for byte in text.utf8 { bytes.appendEscaped(byte, quote: isHelp && format == .openMetrics) }
    bytes.append(Self.lineFeed)
  }

  private mutating func beginSample(_ labels: MetricLabels, suffix: String = "") {
    bytes += name
    bytes += suffix.utf8
    if !labels.text.isEmpty {
      bytes.append(UInt8(ascii: "{"))
      bytes += labels.text
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(UInt8(ascii: " "))
  }

  private mutating func append(_ value: UInt64) {
    var divisor: UInt64 = 1
    while value / divisor >= 10 { divisor *= 10 }
    appendDigits(value, from: divisor)
  }

  private mutating func appendDigits(_ value: UInt64, from divisor: UInt64) {
    var rest = value
    var divisor = divisor
    while divisor > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / divisor))
      rest %= divisor
      divisor /= 10
    }
  }

  /// Exact, without zeros at the end.
  private mutating func appendSeconds(_ nanoseconds: UInt64) {
    append(nanoseconds / 1_000_000_000)
    var fraction = nanoseconds % 1_000_000_000
    guard fraction > 0 else { return }
    var divisor: UInt64 = 100_000_000
    while fraction % 10 == 0 {
      fraction /= 10
      divisor /= 10
    }
    bytes.append(UInt8(ascii: "."))
    appendDigits(fraction, from: divisor)
  }
}
