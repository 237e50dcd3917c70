import Glibc

/// Points in time as log lines have them: RFC 3339 in UTC with microseconds, always 27 bytes,
/// `2026-11-24T16:23:37.123456Z`. As numbers they are microseconds since 1970 (without leap seconds).
package struct LogTime {
  /// What stands before the fraction, for the second that it was last made for.
  private var prefix: [UInt8] = []
  private var second = Int64.min

  package init() {}

  /// The time now.
  package static var now: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
  }

  /// Writes a time between the years 1 and 9999 behind `bytes`.
  package mutating func append(_ microseconds: Int64, to bytes: inout [UInt8]) {
    let fraction = (microseconds % 1_000_000 + 1_000_000) % 1_000_000
    let second = (microseconds - fraction) / 1_000_000
    if second != self.second || prefix.isEmpty {
      self.second = second
      prefix = Self.prefix(second)
    }
    bytes += prefix
    Self.appendDigits(Int(fraction), 6, to: &bytes)
    bytes.append(UInt8(ascii: "Z"))
  }

  private static func prefix(_ second: Int64) -> [UInt8] {
    var seconds = time_t(second)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    var bytes: [UInt8] = []
    appendDigits(Int(parts.tm_year) + 1900, 4, to: &bytes)
    for (mark, value) in [
      ("-", parts.tm_mon + 1), ("-", parts.tm_mday), ("T", parts.tm_hour), (":", parts.tm_min),
      (":", parts.tm_sec),
    ] {
      bytes += mark.utf8
      appendDigits(Int(value), 2, to: &bytes)
    }
    bytes.append(UInt8(ascii: "."))
    return bytes
  }

  private static func appendDigits(_ value: Int, _ width: Int, to bytes: inout [UInt8]) {
    var divisor = 1
    for _ in 1..<width { divisor *= 10 }
    while divisor > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
      divisor /= 10
    }
  }

  /// Reads what `append` wrote; nil for any other form.
  package static func parse(_ text: UnsafeRawBufferPointer) -> Int64? {
    guard text.count == 27, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"),
      text[10] == UInt8(ascii: "T"), text[13] == UInt8(ascii: ":"), text[16] == UInt8(ascii: ":"),
      text[19] == UInt8(ascii: "."), text[26] == UInt8(ascii: "Z"),
      let year = number(text, 0..<4), let month = number(text, 5..<7), (1...12).contains(month),
      let day = number(text, 8..<10), (1...31).contains(day), let hour = number(text, 11..<13), hour < 24,
      let minute = number(text, 14..<16), minute < 60, let second = number(text, 17..<19), second < 61,
      let fraction = number(text, 20..<26)
    else { return nil }
    return (days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000 + fraction
  }

  private static func number(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int64? {
    var value: Int64 = 0
    for byte in text[range] {
      guard (0x30...0x39).contains(byte) else { return nil }
      value = value * 10 + Int64(byte - 0x30)
    }
    return value
  }

  /// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month > 2 ? year : year - 1
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
  }
}
