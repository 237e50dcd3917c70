import ApusBase
import ApusWire

/// Makes lines of access records.
struct AccessLines {
  /// Names of models as JSON strings, by their numbers: those of `names` that have been needed.
  private var models: [[UInt8]] = []
  private let names: ModelNames
  private let codes: [[UInt8]]
  private var time = LogTime()

  init(names: ModelNames) {
    self.names = names
    codes = (0...UInt32(UInt8.max)).map { Self.quoted(StatusCode(rawValue: $0)?.name ?? "code \($0)") }
  }

  private static func quoted(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    LogLine.appendQuoted(text, to: &bytes)
    return bytes
  }

  /// - Parameters:
  ///   - wallOffset: what is added to the monotonic clock for microseconds since 1970.
  ///   - isSlow: then the line is a warning.
  mutating func append(
    _ record: AccessRecord, to line: inout LogLine, wallOffset: Int64, isSlow: Bool
  ) {
    line.begin()
    line.time(Int64(record.end.nanoseconds / 1000) + wallOffset, &time)
    line.ready("level", isSlow ? Self.warning : Self.info)
    line.ready("message", isSlow ? Self.slowCall : Self.call)
    line.ready("logger", Self.logger)
    line.ready("method", Self.method(record.method))
    if let model = modelName(record) {
      line.ready("model", model)
      if record.version > 0 { line.number("version", record.version) }
    }
    line.ready("code", codes[Int(record.code)])
    if !record.reason.isEmpty { line.text("reason", record.reason.text) }
    if record.rows > 0 { line.number("rows", UInt64(record.rows)) }
    if record.batchRows > 0 { line.number("batch_rows", UInt64(record.batchRows)) }
    line.number("request_bytes", record.requestBytes)
    line.number("receive_ns", record.receiveNanoseconds)
    line.number("queue_ns", record.queueNanoseconds)
    line.number("compute_ns", record.computeNanoseconds)
    line.number("encode_ns", record.encodeNanoseconds)
    line.number("total_ns", record.totalNanoseconds)
    line.key("transport")
    line.bytes.append(UInt8(ascii: "\""))
    let name = record.transport.name
    line.bytes += UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    line.bytes.append(UInt8(ascii: "\""))
    line.number("connection", record.connection)
    line.number("request", record.requestID)
    if !record.identity.isEmpty { line.text("identity", record.identity.text) }
    if record.hasTrace {
      line.hexadecimal("trace_id", record.traceHigh, record.traceLow)
      line.hexadecimal("parent_id", record.parentSpan)
    }
    line.end()
    line.newline()
  }

  private mutating func modelName(_ record: AccessRecord) -> [UInt8]? {
    let number = Int(record.model)
    if number >= models.count { models += names.quoted(behind: models.count) }
    return models.indices.contains(number) ? models[number] : nil
  }

  private static let info = quoted("info")
  private static let warning = quoted("warning")
  private static let call = quoted("call")
  private static let slowCall = quoted("slow call")
  private static let logger = quoted("apus.access")
  private static let classify = quoted("\(Method.classify)")

  /// Calls of other methods are rare.
  private static func method(_ number: UInt16) -> [UInt8] {
    if number == Method.classify.rawValue { return classify }
    return quoted(Method(rawValue: number).map { "\($0)" } ?? "unknown")
  }

  /// The stages of a slow call, for the server's own log.
  mutating func fields(_ record: AccessRecord) -> [(key: String, value: String)] {
    var fields: [(key: String, value: String)] = []
    func add(_ key: String, _ value: String) { fields.append((key, value)) }
    if let model = modelName(record) {
      // Without the quotes.
      add("model", String(decoding: model.dropFirst().dropLast(), as: UTF8.self))
      add("version", "\(record.version)")
    }
    add("code", StatusCode(rawValue: UInt32(record.code))?.name ?? "code \(record.code)")
    if !record.reason.isEmpty { add("reason", record.reason.text) }
    for (key, value) in [
      ("rows", UInt64(record.rows)), ("request_bytes", record.requestBytes),
      ("receive_ns", record.receiveNanoseconds), ("queue_ns", record.queueNanoseconds),
      ("compute_ns", record.computeNanoseconds), ("encode_ns", record.encodeNanoseconds),
      ("total_ns", record.totalNanoseconds), ("connection", record.connection),
      ("request", record.requestID),
    ] {
      add(key, "\(value)")
    }
    if !record.identity.isEmpty { add("identity", record.identity.text) }
    if record.hasTrace { add("trace_id", Self.padded(record.traceHigh) + Self.padded(record.traceLow)) }
    return fields
  }

  /// 16 hexadecimal digits.
  private static func padded(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
