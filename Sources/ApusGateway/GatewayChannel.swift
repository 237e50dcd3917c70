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

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let pipeline = channel.pipeline.syncOperations
      if let credentials {
        let timeout = TimeAmount.nanoseconds(Int64(limits.handshakeTimeoutNanoseconds))
        try pipeline.addHandler(try TLSHandler(credentials.current, timeout: timeout))
      }
      try pipeline.addHandler(ConnectionGuard(limits))
    }.flatMap {
      http.setup(channel: channel, logger: logger)
    }
  }

  func handle(value: Value, logger: Logger) async {
    await withTaskExecutorPreference(LoopExecutor(value.channel.eventLoop)) {
      await http.handle(value: value, logger: logger)
    }
  }
}
