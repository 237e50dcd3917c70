/// The upper bounds of a histogram's buckets as the label `le` has them, with infinity behind them.
///
/// The texts are OpenMetrics' canonical numbers (section "Considerations: Canonical Numbers"), in both
/// formats, so that a series stays the same whichever a scraper asks for: `1e-06`, `0.00025`, `1.0`.
package struct HistogramBounds: Sendable {
  /// Each with what follows it before the value.
  let texts: [[UInt8]]

  private init(_ bounds: [String]) { texts = (bounds + ["+Inf"]).map { Array("\($0)\"} ".utf8) } }

  /// Whole numbers.
  package init(numbers: [UInt64]) { self.init(numbers.map { "\($0).0" }) }

  /// Durations, told in seconds.
  package init(nanoseconds: [UInt64]) { self.init(nanoseconds.map(Self.seconds)) }

  /// For example `2.5e-06`, `0.001` or `10.0`.
  private static func seconds(_ nanoseconds: UInt64) -> String {
    let text = String(Double(nanoseconds) / 1e9)
    guard let exponent = text.firstIndex(of: "e") else { return text }
    let power = text[text.index(exponent, offsetBy: 2)...]
    let mantissa = text[..<exponent].hasSuffix(".0") ? text[..<exponent].dropLast(2) : text[..<exponent]
    return mantissa + "e-" + (power.count < 2 ? "0" : "") + power
  }
}
