import ApusBase
import ApusServer
import NIOCore

/// Ends a connection whose peer is slow: a request that has begun must be whole, and answers must be read,
/// within a time each, and the next request must come. It stands before HTTP's decoder and sees bytes;
/// `RequestGuard`, behind the decoder, says where requests begin and end. It also counts those bytes.
final class ConnectionGuard: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = IOData
  typealias OutboundOut = IOData

  private let service: LocalService
  /// Written since the last flush.
  private var sentBytes = 0

  private let request: Deadline
  private let answer: Deadline
  private let idle = Deadline(ConnectionGuard.idleNanoseconds)

  /// Later than nginx closes a connection that it keeps (60 s).
  private static let idleNanoseconds: UInt64 = 75_000_000_000

  init(_ limits: Limits, _ service: LocalService) {
    self.service = service
    request = Deadline(limits.frameTimeoutNanoseconds) {
      $0.pipeline.fireUserInboundEventTriggered(RequestTimedOut())
    }
    answer = Deadline(limits.writeTimeoutNanoseconds)
  }

  func requestBegins(_ channel: any Channel) { request.set(channel) }
  func requestIsWhole() { request.clear() }

  func handlerAdded(context: ChannelHandlerContext) { idle.set(context.channel) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    requestBegins(context.channel)
    idle.reset(context.channel)
    service.moved(received: unwrapInboundIn(data).readableBytes, sent: 0)
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    sentBytes += unwrapOutboundIn(data).readableBytes
    context.write(data, promise: promise)
  }

  func flush(context: ChannelHandlerContext) {
    service.moved(received: 0, sent: sentBytes)
    sentBytes = 0
    context.flush()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    idle.reset(context.channel)
    if context.channel.isWritable { answer.clear() } else { answer.set(context.channel) }
    context.fireChannelWritabilityChanged()
  }

  func channelInactive(context: ChannelHandlerContext) {
    request.end()
    answer.end()
    idle.end()
    context.fireChannelInactive()
  }
}

/// A request that has begun did not become whole in its time.
struct RequestTimedOut {}
