import ApusBase
import ApusServer
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

/// A connection of HTTP/1.1, over TLS where there are credentials.
struct GatewayChannel: ServerChildChannel {
  typealias Value = HTTP1Channel.Value

  let http: HTTP1Channel
  /// nil: the connection is not encrypted.
  let credentials: TLSCredentials?
  let limits: Limits
  /// By the identity of a thread's event loop.
  let lanes: [ObjectIdentifier: Lane]

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let pipeline = channel.pipeline.syncOperations
      if let credentials { try pipeline.addHandler(try TLSHandler(credentials.current, limits)) }
      try pipeline.addHandler(ConnectionGuard(limits))
    }.flatMap {
      http.setup(channel: channel, logger: logger)
    }
  }

  func handle(value: Value, logger: Logger) async {
    let lane = lanes[ObjectIdentifier(value.channel.eventLoop)]
    lane?.connectionOpened()
    defer { lane?.connectionClosed() }
    await withTaskExecutorPreference(LoopExecutor(value.channel.eventLoop)) {
      await http.handle(value: value, logger: logger)
    }
  }
}
