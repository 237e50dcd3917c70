import ApusBase
import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Ends a connection as HTTP asks for (RFC 9112, section 9.6): behind an answer that came before its request
/// was whole, and when the server drains. The answer says `Connection: close`; what the peer still sends is
/// read and dropped for a time, because a reset could take the answer away from it.
final class RequestGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private let linger: Deadline
  private var connection: ConnectionGuard?
  /// A request has begun and is not whole.
  private var isReading = false
  private var isDraining = false
  private var closesBehindAnswer = false
  private var hasClosed = false

  /// A draining server closes a connection that has been quiet for so long.
  private static let quietTime = TimeAmount.milliseconds(200)

  init(_ limits: Limits) { linger = Deadline(limits.lingerNanoseconds) }

  func handlerAdded(context: ChannelHandlerContext) {
    connection = try? context.pipeline.syncOperations.handler(type: ConnectionGuard.self)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head:
      isReading = true
      connection?.requestBegins(context.channel)
    case .body: break
    case .end:
      isReading = false
      connection?.requestIsWhole()
    }
    if !hasClosed { context.fireChannelRead(data) }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var response) where response.status.kind != .informational:
      guard isReading || isDraining else { break }
      closesBehindAnswer = isReading
      response.headerFields[.connection] = "close"
      context.write(wrapOutboundOut(.head(response)), promise: promise)
      return
    case .end where closesBehindAnswer:
      context.writeAndFlush(data, promise: promise)
      hasClosed = true
      linger.set(context.channel)
      context.close(mode: .output, promise: nil)
      return
    default: break
    }
    context.write(data, promise: promise)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard event is ChannelShouldQuiesceEvent else {
      context.fireUserInboundEventTriggered(event)
      return
    }
    isDraining = true
    let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
    context.eventLoop.scheduleTask(in: Self.quietTime) {
      bound.value.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    linger.end()
    context.fireChannelInactive()
  }
}
