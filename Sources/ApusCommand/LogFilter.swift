import ApusAccess
import Glibc

/// Which lines are wanted; without any condition all of them.
struct LogFilter {
  var model: String?
  var code: String?
  var identity: String?
  var traceID: String?
  /// Microseconds since 1970; the first is in, the second out.
  var since = Int64.min
  var until = Int64.max
  /// Only calls that took longer, in nanoseconds.
  var slowerThan: UInt64?

  func wants(_ entry: LogEntry) -> Bool {
    guard entry.time >= since, entry.time < until else { return false }
    if let model, entry.model != model { return false }
    if let code, entry.code != code { return false }
    if let identity, entry.identity != identity { return false }
    if let traceID, entry.traceID != traceID { return false }
    if let slowerThan, entry.total ?? 0 <= slowerThan { return false }
    return true
  }
}

/// Reads a time as a person gives it: RFC 3339, a date, or how long ago, such as `90s`, `10m`, `2h` or `7d`.
///
/// - Parameter now: microseconds since 1970.
/// - Returns: microseconds since 1970; nil for anything else.
func logTime(_ text: String, now: Int64) -> Int64? {
  if let seconds = Timestamp.parse(text) ?? Timestamp.parse(date: text) { return seconds * 1_000_000 }
  let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
  guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()),
    (0...1_000_000).contains(count)
  else { return nil }
  return now - count * unit * 1_000_000
}
