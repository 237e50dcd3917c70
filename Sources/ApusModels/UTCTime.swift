import Glibc

/// Points in time in nanoseconds since 1970 (without leap seconds).
package enum UTCTime {
  package static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// RFC 3339 in UTC with microseconds, for example `2026-11-24T16:23:37.123456Z`.
  package static func text(_ nanoseconds: UInt64) -> String {
    var seconds = time_t(nanoseconds / 1_000_000_000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func digits(_ value: Int, _ width: Int) -> String {
      let text = String(value)
      return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    func two(_ value: Int32) -> String { digits(Int(value), 2) }
    return "\(digits(Int(parts.tm_year) + 1900, 4))-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
      + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
      + ".\(digits(Int(nanoseconds / 1000 % 1_000_000), 6))Z"
  }
}
