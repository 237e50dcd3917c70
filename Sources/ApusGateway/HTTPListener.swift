import ApusBase
import ApusIO
import ApusServer
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix

/// One address of HTTP/1.1, over TLS where there are credentials, and the way from an accepted socket to a
/// connection that is served.
struct HTTPListener: Sendable {
  let frontend: Frontend
  let connections: Connections
  let limits: Limits
  /// nil: connections are not encrypted.
  let credentials: TLSCredentials?
  let responder: HTTP1Channel.Responder

  /// Connections that wait to be accepted.
  static let backlog = 1024

  /// - Throws: when the address cannot be listened on.
  func listen(on address: Address, _ group: MultiThreadedEventLoopGroup) throws -> any Channel {
    let most = limits.connections
    return try ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: CInt(Self.backlog))
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            AvailableConnectionsChannelHandler<MaximumAvailableConnections>(maxConnections: most))
        }
      }
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer(serve)
      .bind(host: address.host, port: Int(address.port)).wait()
  }

  @Sendable private func serve(_ channel: any Channel) -> EventLoopFuture<Void> {
    let loop = frontend.loop(of: channel)
    let configuration = HTTP1Channel.Configuration(
      additionalChannelHandlers: [RequestGuard(limits), CallHandler(frontend, loop)])
    let http = HTTP1Channel(responder: responder, configuration: configuration)
    return channel.eventLoop.makeCompletedFuture {
      let pipeline = channel.pipeline.syncOperations
      if let credentials { try pipeline.addHandler(try TLSHandler(credentials.current, limits)) }
      try pipeline.addHandler(ConnectionGuard(limits, loop.service))
    }.flatMap {
      http.setup(channel: channel, logger: .disabled)
    }.flatMapThrowing { value in
      let pipeline = channel.pipeline.syncOperations
      let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
      try pipeline.addHandler(HeadRules(), position: .after(decoder))
      connections.serve(channel) {
        loop.service.connectionOpened()
        await http.handle(value: value, logger: .disabled)
        loop.service.connectionClosed()
      }
    }
  }
}

extension Logger {
  /// What there is to say about single connections is in the access log and the metrics.
  static let disabled = Logger(label: "apus.http") { _ in SwiftLogNoOpLogHandler() }
}

extension Address {
  fileprivate var host: String {
    switch self {
    case .unix, .lane: ""
    case .tcp(let host, _), .tls(let host, _): host
    }
  }

  fileprivate var port: UInt16 {
    switch self {
    case .unix, .lane: 0
    case .tcp(_, let port), .tls(_, let port): port
    }
  }

  func withPort(_ port: UInt16) -> Address {
    isEncrypted ? .tls(host: host, port: port) : .tcp(host: host, port: port)
  }
}
