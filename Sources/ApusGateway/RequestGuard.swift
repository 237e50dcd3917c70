import ApusBase
import ApusWire
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
  /// Requests that have begun and are not answered.
  private var unanswered = 0
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
      unanswered += 1
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
      let isEarly = isReading && unanswered == 1
      closesBehindAnswer = isEarly || response.headerFields[.connection] == "close"
      guard isEarly || isDraining else { break }
      response.headerFields[.connection] = "close"
      context.write(wrapOutboundOut(.head(response)), promise: promise)
      return
    case .end where closesBehindAnswer:
      unanswered -= 1
      context.writeAndFlush(data, promise: promise)
      hasClosed = true
      linger.set(context.channel)
      context.close(mode: .output, promise: nil)
      return
    case .end: unanswered -= 1
    default: break
    }
    context.write(data, promise: promise)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case is ChannelShouldQuiesceEvent: drain(context)
    case is RequestTimedOut: refuseSlowRequest(context)
    default: context.fireUserInboundEventTriggered(event)
    }
  }

  private func drain(_ context: ChannelHandlerContext) {
    isDraining = true
    let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
    context.eventLoop.scheduleTask(in: Self.quietTime) {
      bound.value.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    }
  }

  /// Answers with 408 (RFC 9110, section 15.5.9), unless an earlier request still waits for its answer.
  private func refuseSlowRequest(_ context: ChannelHandlerContext) {
    guard unanswered == (isReading ? 1 : 0), !hasClosed else {
      context.close(promise: nil)
      return
    }
    if !isReading { unanswered += 1 }
    isReading = true
    let problem = Problem(
      .requestTimeout, .deadlineExceeded, "FRAME_TIMEOUT", "the request was not whole in its time")
    problem.answer.write { write(context: context, data: wrapOutboundOut($0), promise: nil) }
  }

  func channelInactive(context: ChannelHandlerContext) {
    linger.end()
    context.fireChannelInactive()
  }
}
