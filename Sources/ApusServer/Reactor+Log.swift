import ApusBase
import ApusLog
import ApusWire

/// What is known of the call at hand before it is answered, for the access log.
struct NamedCall {
  /// Number of the model's name; -1: none has been found.
  var model: Int32 = -1
  var version: UInt64 = 0
  var trace = TraceParent.none

  init() {}

  init(_ call: PreparedCall, _ catalog: Catalog) {
    setModel(call.modelIndex, catalog)
    trace = call.trace
  }

  mutating func setModel(_ index: Int, _ catalog: Catalog) {
    model = catalog.nameNumbers[index]
    version = catalog.models[index].version
  }
}

/// Records for the access log and the log of slow calls. Where both are off, a run of calls costs a
/// comparison.
extension Reactor {
  /// Answered calls that differ in their request ids alone.
  func logAnswers(
    _ call: PreparedCall, _ catalog: Catalog, requestBytes: Int, _ account: TimeAccount,
    _ connection: borrowing Connection, count: Int, requestID: (Int) -> UInt64
  ) {
    var record = AccessRecord()
    record.end = clock
    record.version = call.form.version
    record.setTimes(account)
    record.requestBytes = UInt64(requestBytes)
    record.setTrace(call.trace)
    record.model = catalog.nameNumbers[call.modelIndex]
    record.rows = UInt32(truncatingIfNeeded: call.rows)
    setCaller(of: &record, connection)
    accessRing.append(record, count: count, requestID: requestID)
  }

  /// An answered call of another method.
  func logAnswer(_ frame: Pending, _ connection: borrowing Connection) {
    log(
      method: frame.header.method, frame.header.requestID, frame.layout.frameBytes, connection, code: .ok,
      reason: "")
  }

  /// The same for one whose request is gone.
  func logAnswer(_ method: UInt16, _ requestID: UInt64, _ connection: borrowing Connection) {
    log(method: method, requestID, 0, connection, code: .ok, reason: "")
  }

  /// A call that got no result.
  func logStatus(
    _ status: Status, method: UInt16, _ requestID: UInt64, _ requestBytes: Int,
    _ connection: borrowing Connection
  ) {
    log(method: method, requestID, requestBytes, connection, code: status.code, reason: status.reason)
  }

  private func log(
    method: UInt16, _ requestID: UInt64, _ requestBytes: Int, _ connection: borrowing Connection,
    code: StatusCode, reason: String
  ) {
    guard accessRing.threshold < .max else { return }
    let now = Instant.now
    let total = now.since(min(connection.oldest, now))
    guard total >= accessRing.threshold else { return }
    var record = AccessRecord()
    record.end = now
    record.requestID = requestID
    record.requestBytes = UInt64(requestBytes)
    record.totalNanoseconds = total
    record.method = method
    record.code = UInt8(truncatingIfNeeded: code.rawValue)
    record.reason = BoundedText(reason)
    record.model = named.model
    record.setTrace(named.trace)
    record.version = named.version
    setCaller(of: &record, connection)
    accessRing.append(record)
  }

  private func setCaller(of record: inout AccessRecord, _ connection: borrowing Connection) {
    record.connection = connection.serial
    record.transport = connection.transport.logged
    if let name = connection.standing?.name { record.identity = BoundedText(name) }
  }
}

extension TransportKind {
  var logged: AccessTransport {
    switch self {
    case .unix: .unix
    case .tcp: .tcp
    case .tls: .tls
    case .http: .http
    case .lane: .lane
    }
  }
}
