/// Samples of one name and meaning.
package struct MetricFamily: Sendable {
  package enum Kind: String, Sendable {
    /// Only grows, and begins again at 0 when the process does. Its name ends in `_total`.
    case counter
    case gauge
    case histogram
    /// Always 1; what it says is in its labels. Its name ends in `_info`.
    case info
  }

  /// As it is queried; a histogram's without `_bucket`, `_sum` and `_count`.
  package let name: String
  package let kind: Kind
  /// `seconds`, `bytes`, `rows`, then the name says it, too; or empty for a number of things.
  package let unit: String
  /// One line, for a person.
  package let help: String

  package init(_ name: String, _ kind: Kind, unit: String = "", help: String) {
    self.name = name
    self.kind = kind
    self.unit = unit
    self.help = help
  }

  /// OpenMetrics has the suffix at the samples only.
  package var openMetricsName: String {
    switch kind {
    case .counter: String(name.dropLast("_total".count))
    case .info: String(name.dropLast("_info".count))
    case .gauge, .histogram: name
    }
  }
}

/// Labels of one sample, ready to be written: made once, used for many samples.
package struct MetricLabels: Sendable {
  /// For example `model="digits",version="1"`.
  private(set) var text: [UInt8] = []

  package init() {}

  package init(_ name: String, _ value: String) { append(name, value) }

  /// These and one more.
  package func with(_ name: String, _ value: String) -> MetricLabels {
    var labels = self
    labels.append(name, value)
    return labels
  }

  package func with(_ name: String, _ value: UInt64) -> MetricLabels { with(name, String(value)) }

  /// In a value, both formats escape the backslash, the quote and the line feed, and nothing else.
  private mutating func append(_ name: String, _ value: String) {
    if !text.isEmpty { text.append(UInt8(ascii: ",")) }
    text += name.utf8
    text += "=\"".utf8
    for byte in value.utf8 { text.appendEscaped(byte, quote: true) }
    text.append(UInt8(ascii: "\""))
  }
}

extension [UInt8] {
  mutating func appendEscaped(_ byte: UInt8, quote: Bool) {
    switch byte {
    case UInt8(ascii: "\\"): self += "\\\\".utf8
    case UInt8(ascii: "\n"): self += "\\n".utf8
    case UInt8(ascii: "\"") where quote: self += "\\\"".utf8
    default: append(byte)
    }
  }
}
