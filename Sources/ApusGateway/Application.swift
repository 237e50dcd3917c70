import ApusBase
import ApusIO
import ApusServer
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// One address of HTTP with all routes. `running` is told the port that the kernel chose.
func makeApplication(
  _ address: Address, _ frontend: Frontend, _ settings: GatewaySettings,
  _ group: MultiThreadedEventLoopGroup, _ log: Logger, running: @escaping @Sendable (Int?) -> Void
) -> some ApplicationProtocol {
  let credentials = address.isEncrypted ? settings.credentials : nil
  let limits = settings.limits
  let builder = HTTPServerBuilder { responder in
    GatewayChannel(responder: responder, credentials: credentials, limits: limits, frontend: frontend)
  }
  return Application(
    responder: KnownMethods(router: makeRouter(frontend).buildResponder()), server: builder,
    configuration: ApplicationConfiguration(
      address: .hostname(address.host, port: Int(address.port)), serverName: nil, backlog: 1024,
      availableConnectionsDelegate: MaximumAvailableConnections(limits.connections)),
    onServerRunning: { channel in running(channel.localAddress?.port) },
    eventLoopGroupProvider: .shared(group), logger: log)
}

private func makeRouter(_ frontend: Frontend) -> Router<GatewayContext> {
  let router = Router(context: GatewayContext.self, options: [.autoGenerateHeadEndpoints])
  router.add(middleware: ProblemMiddleware())
  StatusRoutes(frontend: frontend).add(to: router)
  InferenceRoutes(frontend: frontend).add(to: router)
  return router
}

extension Address {
  fileprivate var host: String {
    switch self {
    case .unix: ""
    case .tcp(let host, _), .tls(let host, _): host
    }
  }

  fileprivate var port: UInt16 {
    switch self {
    case .unix: 0
    case .tcp(_, let port), .tls(_, let port): port
    }
  }

  func withPort(_ port: UInt16) -> Address {
    isEncrypted ? .tls(host: host, port: port) : .tcp(host: host, port: port)
  }
}
