import ApusAccess
import ApusBase
import ApusIO
import ApusServer
import ApusWire
import HTTPTypes
import Hummingbird
import NIOCore

/// What belongs to one thread of HTTP.
struct GatewayLoop: Sendable {
  let lane: Lane
  let polling: LoopPolling
  let bodies: BodyBudget
}

/// What all routes share: the server's lanes, one for each thread, and who calls.
struct Frontend: Sendable {
  let server: Server
  let defaultModel: String?
  private let loops: [ObjectIdentifier: GatewayLoop]

  /// - Throws: when the descriptors have run out.
  init(server: Server, group: any EventLoopGroup, _ settings: GatewaySettings) throws(SystemError) {
    self.server = server
    defaultModel = settings.defaultModel
    var loops: [ObjectIdentifier: GatewayLoop] = [:]
    for (loop, lane) in zip(group.makeIterator(), server.lanes) {
      let polling = try LoopPolling(loop, lane, maximumNanoseconds: settings.spinNanoseconds)
      loops[ObjectIdentifier(loop)] = GatewayLoop(
        lane: lane, polling: polling, bodies: BodyBudget(bytes: settings.limits.slabBytes))
    }
    self.loops = loops
  }

  func loop(of channel: any Channel) -> GatewayLoop {
    guard let loop = loops[ObjectIdentifier(channel.eventLoop)] else {
      preconditionFailure("connections are the group's")
    }
    return loop
  }

  func lane(_ context: GatewayContext) -> Lane { loop(of: context.channel).lane }

  /// - Throws: UNAUTHENTICATED for a token that is not valid, or a header that holds none.
  func caller(_ request: Request, _ context: GatewayContext) throws(Status) -> LocalCaller {
    try caller(request.head, lane(context), context.certificate)
  }

  /// - Parameter certificate: whom the client's verified certificate names.
  func caller(_ head: HTTPRequest, _ lane: Lane, _ certificate: Caller?) throws(Status) -> LocalCaller {
    try lane.identify(token: try token(head), certificate: certificate)
  }

  /// The token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
  private func token(_ head: HTTPRequest) throws(Status) -> [UInt8]? {
    guard let header = head.headerFields[.authorization] else { return nil }
    let parts = header.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else {
      throw Status(.unauthenticated, "CREDENTIALS_REQUIRED", "write Authorization: Bearer TOKEN")
    }
    return Array(parts[1].drop { $0 == " " }.utf8)
  }
}
