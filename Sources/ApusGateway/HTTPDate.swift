import Glibc

/// The date of an answer (RFC 9110, section 5.6.7), written anew once a second.
struct HTTPDate {
  private var second: time_t = -1
  private var written = ""

  var text: String {
    mutating get {
      let now = time(nil)
      if now != second {
        second = now
        written = Self.text(of: now)
      }
      return written
    }
  }

  static func text(of second: time_t) -> String {
    var second = second
    var parts = tm()
    gmtime_r(&second, &parts)
    let (day, month) = (days[Int(parts.tm_wday)], months[Int(parts.tm_mon)])
    let (date, year) = (twoDigits(parts.tm_mday), Int(parts.tm_year) + 1900)
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(twoDigits).joined(separator: ":")
    return "\(day), \(date) \(month) \(year) \(clock) GMT"
  }

  private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  private static func twoDigits(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
