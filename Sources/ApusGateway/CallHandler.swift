import ApusAccess
import ApusBase
import ApusServer
import ApusWire
import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Answers calls of models on the thread that read them, as they come and without a task: the way through a
/// router and Swift's concurrency would cost several times as much as most models. What takes long a worker
/// computes, and the answer comes back to this thread. Every other request goes on to Hummingbird. What comes
/// behind either waits until it is answered, since answers are in order (RFC 9112, section 9.3.2). What comes
/// while the peer reads no answers waits too, and nothing more is read from it.
final class CallHandler: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private enum State {
    case idle
    /// The head of a call has come.
    case called
    /// A call gets an error. It is written behind the whole request if that is here already; otherwise the
    /// connection ends with it.
    case refused(Answer)
    /// A worker computes the answer.
    case awaited(WaitingAnswer)
    /// Hummingbird has a request, whole or not, and has not answered it.
    case forwarded(isWhole: Bool)
  }

  private let frontend: Frontend
  private let loop: GatewayLoop
  private var tls: TLSHandler?
  private var date = HTTPDate()
  private var state = State.idle
  private var call: ModelCall?
  /// The client closes the connection after this answer.
  private var isLast = false
  private var needsFlush = false
  /// Ends a call that waits when its time is over.
  private var expiry: Scheduled<Void>?
  /// This connection's calls in the workers' queue.
  private let flow = Flow()
  /// Parts of requests that wait until what came before has been answered, or the peer has read.
  private var waiting = CircularBuffer<HTTPRequestPart>()
  private var wantsRead = false
  /// The peer sends no more; told to Hummingbird, which closes the connection, behind the last answer.
  private var isInputClosed = false
  /// The server drains; told to Hummingbird, which closes the connection, once nothing is half done.
  private var isQuiescing = false

  init(_ frontend: Frontend, _ loop: GatewayLoop) {
    self.frontend = frontend
    self.loop = loop
  }

  func handlerAdded(context: ChannelHandlerContext) {
    tls = try? context.pipeline.syncOperations.handler(type: TLSHandler.self)
    loop.polling.add(context.channel)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let part = unwrapInboundIn(data)
    if waiting.isEmpty, canTake(context) { take(part, context) } else { waiting.append(part) }
  }

  private func canTake(_ context: ChannelHandlerContext) -> Bool {
    switch state {
    case .called, .refused, .forwarded(isWhole: false): return true
    case .awaited, .forwarded(isWhole: true): return false
    case .idle: break
    }
    if !context.channel.isWritable { flush(context) }
    return context.channel.isWritable
  }

  private func take(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
    switch (state, part) {
    case (.idle, .head(let head)): begin(head, context)
    case (.called, .body(let piece)): append(piece)
    case (.called, .end): answer(context)
    case (.refused(let answer), .end): write(answer, context)
    case (.refused, _), (.called, .head), (.awaited, _): break
    case (.forwarded, .end):
      state = .forwarded(isWhole: true)
      context.fireChannelRead(wrapInboundOut(part))
    case (.forwarded, _), (.idle, _): context.fireChannelRead(wrapInboundOut(part))
    }
  }

  private func begin(_ head: HTTPRequest, _ context: ChannelHandlerContext) {
    isLast = head.headerFields[.connection] == "close"
    guard head.authority != nil else {
      state = .refused(Problem.badRequest("HOST_MISSING", "a request of HTTP/1.1 has a Host").answer)
      return
    }
    guard let route = CallRoute(head) else {
      state = .forwarded(isWhole: false)
      return context.fireChannelRead(wrapInboundOut(.head(head)))
    }
    let peer = Peer(service: loop.service, isEncrypted: tls != nil, certificate: tls?.certificate)
    do {
      let call = try ModelCall.begin(route, head, by: peer, frontend)
      if call.awaitsContinue {
        context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
      }
      self.call = call
      state = .called
    } catch {
      state = .refused(Problem.of(error).answer)
    }
  }

  private func append(_ piece: ByteBuffer) {
    do throws(Status) {
      try call?.append(piece, in: loop.bodies)
    } catch {
      endCall()
      state = .refused(Problem(error).answer)
    }
  }

  private func endCall() {
    call?.releaseBody(to: loop.bodies)
    call = nil
  }

  private func answer(_ context: ChannelHandlerContext) {
    let progress = call?.begin(of: flow, in: loop.bodies) {
      let eventLoop = context.eventLoop
      let bound = NIOLoopBound((handler: self, context: context), eventLoop: eventLoop)
      return { eventLoop.execute { bound.value.handler.takeAwaited(bound.value.context) } }
    }
    switch progress {
    case nil: return
    case .answered(let answer): write(answer, context)
    case .waiting(let waiting): awaitWorker(waiting, context)
    }
  }

  // MARK: What workers compute

  private func awaitWorker(_ waiting: WaitingAnswer, _ context: ChannelHandlerContext) {
    endCall()
    state = .awaited(waiting)
    guard waiting.call.deadline != .never else { return }
    let left = min(waiting.call.deadline.since(.now), UInt64(Int64.max) / 2)
    expiry = context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(left))) {
      guard case .awaited(let waiting) = self.state, let answer = waiting.expire() else { return }
      self.endAwaited(answer, context)
    }
  }

  private func takeAwaited(_ context: ChannelHandlerContext) {
    guard case .awaited(let waiting) = state else { return }
    endAwaited(waiting.take(), context)
  }

  private func endAwaited(_ answer: Answer, _ context: ChannelHandlerContext) {
    expiry?.cancel()
    expiry = nil
    write(answer, context)
    flush(context)
    if waiting.isEmpty { closeInput(context) } else { takeWaiting(context) }
  }

  private func abandonAwaited() {
    guard case .awaited(let waiting) = state else { return }
    state = .idle
    expiry?.cancel()
    expiry = nil
    waiting.abandon()
  }

  private func write(_ answer: Answer, _ context: ChannelHandlerContext) {
    state = .idle
    endCall()
    var answer = answer
    answer.fields[.date] = date.text
    if isLast { answer.fields[.connection] = "close" }
    answer.write { context.write(wrapOutboundOut($0), promise: nil) }
    needsFlush = true
    quiesce(context)
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    if case .refused(let answer) = state { write(answer, context) }
    flush(context)
    context.fireChannelReadComplete()
  }

  private func flush(_ context: ChannelHandlerContext) {
    guard needsFlush else { return }
    needsFlush = false
    context.flush()
    loop.polling.answered()
  }

  // MARK: What waits

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    context.write(data, promise: promise)
    guard case .end = unwrapOutboundIn(data), case .forwarded(isWhole: true) = state else { return }
    state = .idle
    takeWaitingSoon(context)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { takeWaitingSoon(context) }
    context.fireChannelWritabilityChanged()
  }

  /// Not at once: whoever writes or flushes is in the midst of it.
  private func takeWaitingSoon(_ context: ChannelHandlerContext) {
    guard !waiting.isEmpty else { return }
    context.eventLoop.assumeIsolated().execute { self.takeWaiting(context) }
  }

  private func takeWaiting(_ context: ChannelHandlerContext) {
    while canTake(context), let part = waiting.popFirst() { take(part, context) }
    flush(context)
    context.fireChannelReadComplete()
    guard waiting.isEmpty else { return }
    quiesce(context)
    closeInput(context)
    if wantsRead {
      wantsRead = false
      context.read()
    }
  }

  func read(context: ChannelHandlerContext) {
    if waiting.isEmpty { context.read() } else { wantsRead = true }
  }

  // MARK: Ends

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case is ChannelShouldQuiesceEvent:
      isQuiescing = true
      quiesce(context)
    case ChannelEvent.inputClosed:
      isInputClosed = true
      closeInput(context)
    default: context.fireUserInboundEventTriggered(event)
    }
  }

  private func closeInput(_ context: ChannelHandlerContext) {
    guard isInputClosed, waiting.isEmpty else { return }
    if case .awaited = state { return }
    isInputClosed = false
    context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
  }

  private func quiesce(_ context: ChannelHandlerContext) {
    guard isQuiescing, waiting.isEmpty else { return }
    switch state {
    case .called, .refused, .awaited: return
    case .idle, .forwarded: break
    }
    isQuiescing = false
    flush(context)
    context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
  }

  func channelInactive(context: ChannelHandlerContext) {
    waiting.removeAll()
    abandonAwaited()
    endCall()
    context.fireChannelInactive()
  }
}
