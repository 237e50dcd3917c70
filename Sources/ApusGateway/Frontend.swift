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
  let service: LocalService
  let polling: LoopPolling
  let bodies: BodyBudget
}

/// What all routes share: the server's services, one for each thread, and who calls.
struct Frontend: Sendable {
  let server: Server
  let defaultModel: String?
  private let loops: [ObjectIdentifier: GatewayLoop]

  /// - Throws: when the descriptors have run out.
  init(server: Server, group: any EventLoopGroup, _ settings: GatewaySettings) throws(SystemError) {
    self.server = server
    defaultModel = settings.defaultModel
    var loops: [ObjectIdentifier: GatewayLoop] = [:]
    for (loop, service) in zip(group.makeIterator(), server.localServices) {
      let polling = try LoopPolling(loop, service, maximumNanoseconds: settings.spinNanoseconds)
      loops[ObjectIdentifier(loop)] = GatewayLoop(
        service: service, polling: polling, bodies: BodyBudget(account: server.memory))
    }
    self.loops = loops
  }

  func loop(of channel: any Channel) -> GatewayLoop {
    guard let loop = loops[ObjectIdentifier(channel.eventLoop)] else {
      preconditionFailure("connections are the group's")
    }
    return loop
  }

  func service(_ context: GatewayContext) -> LocalService { loop(of: context.channel).service }

  /// - Throws: UNAUTHENTICATED for a token that is not valid, or a header that holds none.
  func caller(_ request: Request, _ context: GatewayContext) throws(Status) -> LocalCaller {
    try caller(request.head, service(context), context.certificate)
  }

  /// - Parameter certificate: whom the client's verified certificate names.
  func caller(_ head: HTTPRequest, _ service: LocalService, _ certificate: Caller?) throws(Status)
    -> LocalCaller
  {
    try service.identify(token: try token(head), certificate: certificate)
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
