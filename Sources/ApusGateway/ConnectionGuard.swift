import ApusBase
import NIOCore

/// Ends a connection whose peer is slow: a request that has begun must be whole, and answers must be read,
/// within a time each. It stands before HTTP's decoder and sees bytes; `RequestGuard`, behind the decoder,
/// says where requests begin and end.
final class ConnectionGuard: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private let request: Deadline
  private let answer: Deadline

  init(_ limits: Limits) {
    request = Deadline(limits.frameTimeoutNanoseconds)
    answer = Deadline(limits.writeTimeoutNanoseconds)
  }

  func requestBegins(_ channel: any Channel) { request.set(channel) }
  func requestIsWhole() { request.clear() }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    requestBegins(context.channel)
    context.fireChannelRead(data)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { answer.clear() } else { answer.set(context.channel) }
    context.fireChannelWritabilityChanged()
  }

  func channelInactive(context: ChannelHandlerContext) {
    request.end()
    answer.end()
    context.fireChannelInactive()
  }
}
