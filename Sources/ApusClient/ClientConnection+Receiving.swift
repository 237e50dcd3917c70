package import ApusBase
import ApusIO
import ApusStream
package import ApusWire
import Glibc

extension ClientConnection {
  /// The next answer, polling first and then sleeping; what is unsent is sent meanwhile. Where nothing is,
  /// and without polling, the wait and the bytes are one system call.
  ///
  /// - Returns: nil when the deadline has passed.
  /// - Throws: `connectionLost`, `protocolBroken`, or the status with which the server ends the connection.
  package mutating func receive(until deadline: Instant = .never) throws(ClientError) -> AnswerView? {
    if let answer = try nextAnswer() { return answer }
    if polling.windowNanoseconds > 0 {
      if let answer = try lookAtLane() { return answer }
      let end = min(deadline, .now.advanced(by: polling.windowNanoseconds))
      repeat {
        sendSome()
        if try receiveSome(), let answer = try nextAnswer() {
          polling.succeeded()
          return answer
        }
      } while Instant.now < end
      polling.failed()
    }
    let slept = Instant.now
    while try receiveSleeping(until: deadline) {
      guard let answer = try nextAnswer() else { continue }
      polling.woke(afterNanoseconds: Instant.now.since(slept))
      return answer
    }
    return nil
  }

  /// A look at a lane takes less than one at the clock: some come first.
  private mutating func lookAtLane() throws(ClientError) -> AnswerView? {
    guard stream.isLane else { return nil }
    for _ in 0..<Self.looksWithoutClock {
      guard stream.hasBuffered else {
        pauseProcessor()
        continue
      }
      if try receiveSome(), let answer = try nextAnswer() {
        polling.succeeded()
        return answer
      }
    }
    return nil
  }

  private static let looksWithoutClock = 128

  /// Receives what has arrived, without waiting.
  ///
  /// - Returns: whether there was anything.
  package mutating func receiveSome() throws(ClientError) -> Bool {
    giveBack()
    return try take(stream.receive(into: input.writable))
  }

  /// From this on, the kernel's own time-out for receiving is used, which counts in ticks of up to 10 ms; it
  /// is set to end a tick early, and the rest is waited for exactly.
  private static let longWaitMilliseconds: UInt64 = 20
  private static let tickMilliseconds: UInt64 = 10

  /// Waits for bytes and receives them.
  ///
  /// - Returns: false when the deadline has passed.
  private mutating func receiveSleeping(until deadline: Instant) throws(ClientError) -> Bool {
    giveBack()
    while true {
      let isSent = sendSome()
      let left = deadline.nanosecondsLeft
      if isSent, left >= Self.longWaitMilliseconds * 1_000_000 {
        setReceiveTimeout(left == .max ? 0 : left / 1_000_000 - Self.tickMilliseconds)
        if try take(stream.receiveWaiting(into: input.writable)) { return true }
      } else {
        stream.sleep(untilWritableToo: !isSent, nanoseconds: left)
        if try receiveSome() { return true }
        if left == 0 { return false }
      }
    }
  }

  /// Calls with the same time-out set it once.
  private mutating func setReceiveTimeout(_ milliseconds: UInt64) {
    guard milliseconds != receiveTimeoutMilliseconds else { return }
    receiveTimeoutMilliseconds = milliseconds
    var time = timeval(tv_sec: Int(clamping: milliseconds / 1000), tv_usec: Int(milliseconds % 1000) * 1000)
    _ = setsockopt(
      stream.descriptor.number, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
  }

  mutating func take(_ transfer: Transfer) throws(ClientError) -> Bool {
    switch transfer {
    case .bytes(let count):
      input.received(count)
      return true
    case .wouldBlock: return false
    case .end: throw .connectionLost(goAwayReason ?? "the server closed it")
    case .failed(let number): throw .connectionLost(stream.failure ?? String(cString: strerror(number)))
    }
  }

  /// The next whole answer among what was received. Gives the last one's bytes back. When there is none,
  /// there is room to receive.
  package mutating func nextAnswer() throws(ClientError) -> AnswerView? {
    while true {
      giveBack()
      let bytes = input.readable
      if bytes.isEmpty { return nil }
      switch decoder.next(bytes) {
      case .needMore(let frameBytes):
        input.expect(frameBytes: frameBytes)
        return nil
      case .broken(let error, _): throw .protocolBroken(error.status.message)
      case .frame(let frame):
        handedOutBytes = frame.layout.frameBytes
        let answer = view(frame, bytes)
        guard frame.header.kind == FrameKind.answer.rawValue, answer.requestID != 0 else {
          try takeNews(frame.header.kind, answer)
          continue
        }
        let isCall = answer.method != Method.watchHealth.rawValue
        if isCall, !answer.hasMore, callsInFlight > 0 { callsInFlight -= 1 }
        return answer
      }
    }
  }

  /// What the server says about the connection itself: goaway, the answer to Hello, or why it closes.
  private mutating func takeNews(_ kind: UInt8, _ news: AnswerView) throws(ClientError) {
    if kind == FrameKind.goaway.rawValue {
      let goAway = try? GoAway(decoding: news.metadata, arena: arena)
      goAwayReason = goAway?.reason ?? "the server is closing"
    } else if news.isStatus {
      let status = Status(decoding: news.metadata, arena: arena)
      // Hello is optional: a server that does not know it answers calls all the same.
      guard news.method == Method.hello.rawValue, status.reason == "METHOD_UNKNOWN" else {
        goAwayReason = status.message
        throw .status(ServerStatus(status))
      }
    } else {
      guard news.method == Method.hello.rawValue else {
        throw .protocolBroken("an answer to request 0, which is no call")
      }
      do { adopt(try HelloResponse(decoding: news.metadata, arena: arena)) } catch {
        throw .protocolBroken(error.message)
      }
    }
  }

  /// A limit of 0 is one that the server did not tell.
  private mutating func adopt(_ hello: HelloResponse) {
    keepTicket()
    if hello.bodyBytes > 0 { bodyLimit = Int(clamping: hello.bodyBytes) }
    if hello.callsInFlight > 0 { callLimit = Int(hello.callsInFlight) }
    if hello.metadataBytes > 0 { request.limitMetadata(to: Int(clamping: hello.metadataBytes)) }
  }

  private func view(_ frame: Frame, _ bytes: UnsafeRawBufferPointer) -> AnswerView {
    let layout = frame.layout
    return AnswerView(
      requestID: frame.header.requestID, method: frame.header.method,
      flags: FrameFlags(rawValue: frame.header.flags),
      metadata: Self.piece(bytes, FrameHeader.byteCount, layout.metadataBytes),
      body: Self.piece(bytes, layout.bodyOffset, layout.bodyBytes))
  }

  private static func piece(
    _ bytes: UnsafeRawBufferPointer, _ offset: Int, _ count: Int
  ) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  mutating func giveBack() {
    guard handedOutBytes > 0 else { return }
    input.consume(handedOutBytes)
    handedOutBytes = 0
  }

  /// The status of an answer that is one.
  package func status(_ answer: AnswerView) -> Status { Status(decoding: answer.metadata, arena: arena) }

  /// Fills a result from the answer that was handed out last. The pages of a large one are given back as its
  /// numbers are copied: nothing in it can be read again.
  mutating func fill(_ result: inout ClassifyResult, _ response: ClassifyResponse, _ view: AnswerView) {
    result.fill(response, body: view.body, releasesPages: input.isLarge)
  }

  /// Reads a Classify answer. One that differs from the last only in its numbers is not decoded again.
  ///
  /// - Throws: the status that the answer is, or `protocolBroken`.
  package mutating func classifyResponse(_ view: AnswerView) throws(ClientError) -> ClassifyResponse {
    if view.isStatus { throw .status(ServerStatus(status(view))) }
    return try answer.read(view, arena: arena)
  }
}
