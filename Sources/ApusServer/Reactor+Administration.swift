import ApusAccess
import ApusBase
import ApusIO
import ApusLog
import ApusStream
import ApusWire

/// Administration: who may do it is found here, what is done is another thread's business, since it reads and
/// writes files.
extension Reactor {
  /// Hands a request on; its answers come by the mailbox.
  mutating func administer(
    _ frame: Pending, _ base: UnsafeRawPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) throws(Status) {
    let administrator = try administrator(of: connection)
    try takeCall(rows: 0, connection, at: now)
    guard let administration = fleet.administration else {
      throw Status(
        .failedPrecondition, "NO_REPOSITORY", "the models of this server are fixed; it has no repository")
    }
    guard connection.pointee.deferred.count < Self.mostDeferred else {
      throw Status(
        .resourceExhausted, "IN_FLIGHT_LIMIT",
        "a connection may have \(Self.mostDeferred) requests of administration in flight",
        retryAfterNanoseconds: 10_000_000)
    }
    let start = base + frame.offset
    let metadata = UnsafeRawBufferPointer(
      start: start + FrameHeader.byteCount, count: frame.layout.metadataBytes)
    let body = UnsafeRawBufferPointer(
      start: start + frame.layout.bodyOffset, count: frame.layout.bodyBytes)
    let reply = Reply(
      mailbox: fleet.mailboxes[index], connection: key.rawValue, requestID: frame.header.requestID,
      method: frame.header.method)
    try administration.submit(
      AdministrationCall(
        method: frame.header.method, metadata: Array(metadata), body: Array(body),
        administrator: administrator, reply: reply))
    connection.pointee.deferred.append(frame.header.requestID)
    // Whoever administers has said who it is.
    connection.pointee.nameBefore = .never
  }

  /// Who asks for administration, if it may be asked for: over a Unix socket by root and by the server's own
  /// user, who could change the files as well; otherwise by whom the policy names.
  private func administrator(
    of connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> Administrator {
    let transport = connection.pointee.transport.logged.name.description
    let standing = connection.pointee.standing
    if let standing, standing.grants.allows(.admin) {
      return Administrator(name: standing.name, from: transport, grants: standing.grants)
    }
    let credentials = PeerCredentials(connection.pointee.stream.descriptor)
    if let user = credentials?.user, Caller.isAdministrator(user: user) {
      return Administrator(name: "uid:\(user)", from: transport, grants: nil)
    }
    if let standing { throw standing.denial }
    throw Status(
      .permissionDenied, "ACCESS_DENIED",
      "without a policy, administration is for root and the server's own user, over a Unix socket")
  }
}

/// Who asks for an act of administration.
struct Administrator: Sendable {
  /// As a policy names it.
  let name: String
  /// The transport.
  let from: String
  /// nil: every model.
  let grants: Grants?

  /// - Throws: PERMISSION_DENIED.
  func require(model: String) throws(Status) {
    guard let grants else { return }
    var model = model
    let isAllowed = model.withUTF8 { grants.allows(.admin, model: UnsafeRawBufferPointer($0)) }
    guard isAllowed else {
      throw Status(.permissionDenied, "ACCESS_DENIED", "this caller may not do that")
    }
  }
}

/// A request of administration on its way to the thread that does it.
struct AdministrationCall: Sendable {
  let method: UInt16
  let metadata: [UInt8]
  let body: [UInt8]
  let administrator: Administrator
  let reply: Reply

  var byteCount: Int { metadata.count + body.count }
}

/// Where the answers of one request go.
struct Reply: Sendable {
  let mailbox: Mailbox
  let connection: UInt64
  let requestID: UInt64
  let method: UInt16

  func send(_ result: Result<[UInt8], Status>, isLast: Bool = true) {
    mailbox.post(
      .answer(
        DeferredAnswer(
          connection: connection, requestID: requestID, method: method, result: result, isLast: isLast)))
  }
}
