/// Points in time as RFC 3339 writes them, in whole seconds since 1970 (UTC, without leap seconds).
package enum Timestamp {
  /// For example `2027-01-01T00:00:00Z` or `2027-01-01T01:00:00.5+01:00`; a fraction is cut off. Nil for
  /// anything else, a date alone included.
  package static func parse(_ text: String) -> Int64? {
    var reader = Reader(text)
    guard let day = reader.date(), reader.skip("Tt"), let second = reader.time(),
      let offset = reader.offset(), reader.isAtEnd
    else { return nil }
    return day * 86_400 + second - offset
  }

  /// The first second, in UTC, of a date like `2027-01-01`.
  package static func parse(date text: String) -> Int64? {
    var reader = Reader(text)
    guard let day = reader.date(), reader.isAtEnd else { return nil }
    return day * 86_400
  }

  /// When something ends as a person puts it: after `90d` or `12h`, with the beginning of a date, or at an
  /// RFC 3339 time. Nil for anything else, or beyond the year 9999.
  package static func expiry(_ text: String, from now: Int64) -> Int64? {
    let units: [Character: Int64] = ["d": 86_400, "h": 3600]
    guard let unit = text.last.flatMap({ units[$0] }) else {
      return (parse(text) ?? parse(date: text)).flatMap { $0 <= last ? $0 : nil }
    }
    let digits = text.dropLast()
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int64(digits), count > 0,
      count <= (last - now) / unit
    else { return nil }
    return now + count * unit
  }

  /// 9999-12-31T23:59:59Z.
  private static let last: Int64 = 253_402_300_799

  /// In UTC, for the years 1 to 9999.
  package static func text(_ unixSeconds: Int64) -> String {
    let second = (unixSeconds % 86_400 + 86_400) % 86_400
    let (year, month, day) = civil((unixSeconds - second) / 86_400)
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
      + "T\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))Z"
  }

  private static func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  // MARK: The Gregorian calendar, counted in years that begin in March and eras of 400 years

  /// Days since 1970-01-01.
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = month > 2 ? year : year - 1
    let (era, yearOfEra) = (shifted / 400, shifted % 400)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func civil(_ day: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = day + 719_468
    let (era, dayOfEra) = (shifted / 146_097, shifted % 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let year = era * 400 + yearOfEra + (month < 10 ? 0 : 1)
    return (year, month < 10 ? month + 3 : month - 9, dayOfYear - (153 * month + 2) / 5 + 1)
  }

  private static func monthLength(year: Int64, month: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Takes the parts off the front of a text, by the names of RFC 3339, section 5.6.
  private struct Reader {
    private var bytes: Substring.UTF8View

    init(_ text: String) { bytes = text[...].utf8 }

    var isAtEnd: Bool { bytes.isEmpty }

    mutating func skip(_ characters: String) -> Bool {
      guard let first = bytes.first, characters.utf8.contains(first) else { return false }
      bytes = bytes.dropFirst()
      return true
    }

    /// Exactly `count` digits, within the range.
    private mutating func number(_ count: Int, _ range: ClosedRange<Int64>) -> Int64? {
      let digits = bytes.prefix(count)
      guard digits.count == count, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      bytes = bytes.dropFirst(count)
      let value = digits.reduce(Int64(0)) { $0 * 10 + Int64($1) - 0x30 }
      return range.contains(value) ? value : nil
    }

    /// `full-date`, as days since 1970-01-01.
    mutating func date() -> Int64? {
      guard let year = number(4, 1...9999), skip("-"), let month = number(2, 1...12), skip("-"),
        let day = number(2, 1...Timestamp.monthLength(year: year, month: month))
      else { return nil }
      return Timestamp.days(year: year, month: month, day: day)
    }

    /// `partial-time`, as seconds of the day. A leap second counts as the one after it.
    mutating func time() -> Int64? {
      guard let hour = number(2, 0...23), skip(":"), let minute = number(2, 0...59), skip(":"),
        let second = number(2, 0...60)
      else { return nil }
      if skip(".") {
        guard number(1, 0...9) != nil else { return nil }
        while number(1, 0...9) != nil {}
      }
      return hour * 3600 + minute * 60 + second
    }

    /// `time-offset`, in seconds.
    mutating func offset() -> Int64? {
      if skip("Zz") { return 0 }
      let sign: Int64 = bytes.first == UInt8(ascii: "-") ? -1 : 1
      guard skip("+-"), let hour = number(2, 0...23), skip(":"), let minute = number(2, 0...59) else {
        return nil
      }
      return (hour * 3600 + minute * 60) * sign
    }
  }
}
