import ApusAccess
import ApusBase
import ApusIO
import ApusWire

/// What the policy says to each request. Where there is no policy, a connection has no standing and nothing
/// here costs more than a comparison.
extension Reactor {
  /// Brings a connection's standing up to date before its frames are answered, and counts them as in flight.
  ///
  /// - Returns: how many were counted, for `leave`.
  mutating func enter(
    _ count: Int, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) -> Int {
    guard connection.pointee.standing != nil else { return 0 }
    refreshStanding(connection, at: now)
    guard let standing = connection.pointee.standing, let limit = standing.grants.limits.maximumInFlight
    else {
      connection.pointee.admittedCalls = .max
      return 0
    }
    let requests = (0..<count).count { pending[$0].header.kind == FrameKind.request.rawValue }
    connection.pointee.admittedCalls = standing.usage.enter(requests, limit: limit)
    return connection.pointee.admittedCalls
  }

  /// Decides anew what the caller may do where the policy has changed or its token has ended.
  mutating func refreshStanding(_ connection: UnsafeMutablePointer<Connection>, at now: Instant) {
    guard let old = connection.pointee.standing, let caller = connection.pointee.caller,
      old.generation != fleet.access.generation || now >= old.expires
    else { return }
    renew(caller, connection)
  }

  /// The frames for which `enter` gave this number are answered, or wait.
  func leave(_ admitted: Int, _ standing: Standing?) {
    if admitted > 0 { standing?.usage.leave(admitted) }
  }

  /// What was decoded and allowed before is decided anew.
  private mutating func renew(_ caller: Caller, _ connection: UnsafeMutablePointer<Connection>) {
    let standing = fleet.access.standing(of: caller)
    connection.pointee.standing = standing
    connection.pointee.memory.requestBytes = -1
    let isStranger = standing?.grants.isEmpty == true && !caller.isAdministrator
    connection.pointee.nameBefore =
      isStranger
      ? min(connection.pointee.nameBefore, .now.advanced(by: limits.handshakeTimeoutNanoseconds)) : .never
    checkWatches(connection)
  }

  /// Why a request is not even looked at; nil: it may go on. Hello is always heard.
  mutating func refusal(
    of frame: Pending, _ connection: UnsafeMutablePointer<Connection>
  ) -> Status? {
    guard let standing = connection.pointee.standing, frame.header.method != Method.hello.rawValue else {
      return nil
    }
    if standing.grants.isEmpty {
      let administers = Method.isAdministration(frame.header.method)
      if administers, connection.pointee.caller?.isAdministrator == true { return nil }
      return standing.denial
    }
    connection.pointee.admittedCalls -= 1
    if connection.pointee.admittedCalls < 0 {
      return .tooManyInFlight
    }
    if let most = standing.grants.limits.maximumBodyBytes, frame.layout.bodyBytes > most {
      return .bodyTooLarge(most)
    }
    return nil
  }

  /// Whether a large frame is more than its caller may send.
  func refusesBody(frameBytes: Int, _ connection: UnsafeMutablePointer<Connection>) -> Status? {
    guard let standing = connection.pointee.standing else { return nil }
    if standing.grants.isEmpty { return standing.denial }
    guard let most = standing.grants.limits.maximumBodyBytes, frameBytes > most + 2 * limits.metadataBytes
    else { return nil }
    return .bodyTooLarge(most)
  }

  /// Asks the caller's rate for one call.
  ///
  /// - Throws: RESOURCE_EXHAUSTED with the time to wait.
  func takeCall(
    rows: Int, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) throws(Status) {
    guard let standing = connection.pointee.standing else { return }
    let taken = standing.usage.take(calls: 1, rowsPerCall: rows, standing.grants.limits, now: now)
    guard taken.granted == 0 else { return }
    throw .overRate(retryAfter: taken.retryAfterNanoseconds)
  }

  /// How many of a run of equal calls the caller's limits let through; the first one has been taken already.
  func admit(
    run: Int, rowsPerCall: Int, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) -> Int {
    guard let standing = connection.pointee.standing, run > 1 else { return run }
    let more = min(run - 1, connection.pointee.admittedCalls)
    guard more > 0 else { return 1 }
    let granted = standing.usage.take(
      calls: more, rowsPerCall: rowsPerCall, standing.grants.limits, now: now
    ).granted
    connection.pointee.admittedCalls -= granted
    return 1 + granted
  }

  /// Asks whether the caller may do this with a model. What exists is not told: the policy is asked first.
  func require(
    _ permission: Permission, model: UnsafeRawBufferPointer, of connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    guard let standing = connection.pointee.standing, !standing.grants.allows(permission, model: model)
    else { return }
    throw standing.denial
  }

  func require(
    _ permissions: Permission..., model: String, of connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    guard let standing = connection.pointee.standing else { return }
    guard permissions.contains(where: { standing.allows($0, model: model) }) else { throw standing.denial }
  }

  /// Asks whether the caller may do this with any model at all.
  func require(_ permission: Permission, of connection: UnsafeMutablePointer<Connection>) throws(Status) {
    guard let standing = connection.pointee.standing, !standing.grants.allows(permission) else { return }
    throw standing.denial
  }

  // MARK: Tokens

  /// Takes the token of a Hello, where a policy asks who calls.
  mutating func takeToken(
    _ token: [UInt8], _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    guard !token.isEmpty, var caller = connection.pointee.caller else { return }
    caller.token = try fleet.access.valid(token)
    connection.pointee.caller = caller
    renew(caller, connection)
  }

  /// Ends a connection whose caller has had its time to say who it is: it may do nothing, and its place is
  /// wanted by those who may.
  mutating func refuseStranger(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    guard let standing = connection.pointee.standing else { return }
    let status = standing.denial
    note(status, method: Method.hello.rawValue, connection)
    appendStatus(status, method: Method.hello.rawValue, requestID: 0, connection)
    if flush(key, connection) { finish(key, connection) }
  }

  // MARK: Telling

  /// Refuses a request and, where access control is the reason, counts that for the log.
  mutating func deny(
    _ frame: Pending, _ status: Status, _ connection: UnsafeMutablePointer<Connection>
  ) {
    note(status, method: frame.header.method, connection)
    refuse(frame, status, connection)
  }

  func note(
    _ status: Status, method: UInt16, _ connection: UnsafeMutablePointer<Connection>
  ) {
    guard connection.pointee.caller != nil else { return }
    fleet.note(
      status, attempt: Method(rawValue: method).map { "\($0)" } ?? "unknown method",
      by: connection.pointee.standing?.name ?? "anonymous")
  }
}
