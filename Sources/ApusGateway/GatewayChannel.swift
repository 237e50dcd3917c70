import ApusBase
import ApusServer
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

/// A connection of HTTP/1.1, over TLS where there are credentials.
struct GatewayChannel: ServerChildChannel {
  typealias Value = HTTP1Channel.Value

  let responder: HTTP1Channel.Responder
  /// nil: the connection is not encrypted.
  let credentials: TLSCredentials?
  let limits: Limits
  let frontend: Frontend

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let pipeline = channel.pipeline.syncOperations
      if let credentials { try pipeline.addHandler(try TLSHandler(credentials.current, limits)) }
      try pipeline.addHandler(ConnectionGuard(limits, frontend.loop(of: channel).lane))
    }.flatMap {
      let loop = frontend.loop(of: channel)
      let configuration = HTTP1Channel.Configuration(
        additionalChannelHandlers: [RequestGuard(limits), CallHandler(frontend, loop)])
      return HTTP1Channel(responder: responder, configuration: configuration)
        .setup(channel: channel, logger: logger)
    }
  }

  func handle(value: Value, logger: Logger) async {
    let lane = frontend.loop(of: value.channel).lane
    lane.connectionOpened()
    defer { lane.connectionClosed() }
    await withTaskExecutorPreference(LoopExecutor(value.channel.eventLoop)) {
      await HTTP1Channel(responder: responder).handle(value: value, logger: logger)
    }
  }
}
