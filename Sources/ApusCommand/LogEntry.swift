import ApusLog

/// A line of a log, as far as `apus logs` wants to know it.
struct LogEntry {
  /// Microseconds since 1970.
  var time: Int64 = 0
  var level = ""
  var message = ""
  var method = ""
  var model = ""
  var version: UInt64 = 0
  var code = ""
  var reason = ""
  var identity = ""
  var traceID = ""
  var rows: UInt64 = 0
  var request: UInt64 = 0
  var connection: UInt64 = 0
  var receive: UInt64 = 0
  var queue: UInt64 = 0
  var compute: UInt64 = 0
  var encode: UInt64 = 0
  /// nil: the line is not about a call.
  var total: UInt64?
  var dropped: UInt64 = 0

  var isCall: Bool { total != nil }
  var isError: Bool { isCall && code != "OK" }

  /// - Returns: nil when the line is no JSON object with a time.
  init?(_ line: UnsafeRawBufferPointer) {
    var entry = LogEntry()
    var hasTime = false
    let isObject = JSONLine.read(line) { key, value in
      switch value {
      case .string(let bytes, let hasEscapes):
        if Self.equal(key, "time") {
          guard let time = LogTime.parse(bytes) else { return }
          entry.time = time
          hasTime = true
        } else if let path = Self.texts.first(where: { Self.equal(key, $0.key) })?.path {
          entry[keyPath: path] = JSONLine.text(bytes, hasEscapes: hasEscapes) ?? ""
        }
      case .number(let digits):
        guard let number = UInt64(String(decoding: digits, as: UTF8.self)) else { return }
        if Self.equal(key, "total_ns") {
          entry.total = number
        } else if let path = Self.numbers.first(where: { Self.equal(key, $0.key) })?.path {
          entry[keyPath: path] = number
        }
      case .truth, .null, .nested: return
      }
    }
    guard isObject, hasTime else { return nil }
    self = entry
  }

  private init() {}

  private static func equal(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    bytes.elementsEqual(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  private static nonisolated(unsafe) let texts:
    [(key: StaticString, path: WritableKeyPath<LogEntry, String>)] = [
      ("level", \.level), ("message", \.message), ("method", \.method), ("model", \.model), ("code", \.code),
      ("reason", \.reason), ("identity", \.identity), ("trace_id", \.traceID),
    ]
  private static nonisolated(unsafe) let numbers:
    [(key: StaticString, path: WritableKeyPath<LogEntry, UInt64>)] = [
      ("version", \.version), ("rows", \.rows), ("request", \.request), ("connection", \.connection),
      ("receive_ns", \.receive), ("queue_ns", \.queue), ("compute_ns", \.compute), ("encode_ns", \.encode),
      ("dropped", \.dropped),
    ]
}

extension LogEntry {
  /// `digits@1`, or `-`.
  var modelText: String {
    if model.isEmpty { return "-" }
    return version > 0 ? "\(model)@\(version)" : model
  }

  /// The line for a person.
  func text(isColoured: Bool) -> String {
    var bytes: [UInt8] = []
    var time = LogTime()
    time.append(self.time, to: &bytes)
    var text = String(decoding: bytes, as: UTF8.self) + " " + levelText(isColoured)
    guard let total else { return text + " " + printable(message) }
    text += " \(printable(method)) \(printable(modelText)) \(printable(code))"
    if !reason.isEmpty { text += " \(printable(reason))" }
    if rows > 1 { text += " \(rows) rows" }
    text += " \(duration(nanoseconds: total))"
    if compute > 0 { text += " (\(stages))" }
    if !identity.isEmpty { text += " \(printable(identity))" }
    if !traceID.isEmpty { text += " trace \(printable(traceID))" }
    return text
  }

  /// Where a call's time went.
  var stages: String {
    [("receive", receive), ("queue", queue), ("compute", compute), ("encode", encode)]
      .map { "\($0.0) \(duration(nanoseconds: $0.1))" }.joined(separator: ", ")
  }

  private func levelText(_ isColoured: Bool) -> String {
    let name = printable(level.uppercased())
    let padded = name + String(repeating: " ", count: max(0, 7 - name.count))
    guard isColoured, let known = LogLevel(name: level) else { return padded }
    return "\u{1B}[\(known.colour)m\(padded)\u{1B}[0m"
  }
}
