package import ApusBase
package import ApusIO
package import ApusWire
import Glibc

/// An answer as it lies in the receive buffer: valid until the connection receives again.
package struct AnswerView {
  package let requestID: UInt64
  package let flags: FrameFlags
  package let metadata: UnsafeRawBufferPointer
  package let body: UnsafeRawBufferPointer

  /// The metadata is a `Status`.
  package var isStatus: Bool { flags.contains(.status) }
  /// More answers to the same request follow.
  package var hasMore: Bool { flags.contains(.more) }
}

/// One connection to a server, without threads: what is submitted is sent by `flush`, answers are handed out one by
/// one, in the order in which they come. Many calls may be in flight. After a thrown error, the connection is of no
/// more use. Calls that are alike allocate nothing.
package struct ClientConnection: ~Copyable {
  let descriptor: Descriptor
  var input: ReceiveBuffer
  var output: SendBuffer
  let arena: MetadataArena
  let decoder: FrameDecoder
  let limits: Limits
  let spinNanoseconds: UInt64
  var request: RequestTemplate
  var answer: AnswerTemplate
  private var lastRequestID: UInt64 = 0
  /// Bytes of the frame that was handed out last.
  private var handedOutBytes = 0
  /// The server reads no more; its answers may still come.
  private var isSendingBroken = false
  /// Why the server is closing the connection, once it says so: new calls belong on another connection.
  package private(set) var goAwayReason: String?

  /// Connects, blocking.
  ///
  /// - Parameter spinNanoseconds: how long `receive` polls before it sleeps: quicker answers for processor time.
  package init(
    _ address: Address, limits: Limits = Limits(), spinNanoseconds: UInt64 = 0
  ) throws(ClientError) {
    let input = try Self.receiveBuffer(limits)
    descriptor = try Self.connect(address)
    self.input = input
    output = SendBuffer(byteCount: limits.answerBufferBytes)
    arena = MetadataArena(byteCount: limits.metadataArenaBytes)
    decoder = FrameDecoder(reader: .client, limits: limits)
    self.limits = limits
    self.spinNanoseconds = spinNanoseconds
    request = RequestTemplate(metadataBytes: limits.metadataBytes)
    answer = AnswerTemplate(metadataBytes: limits.metadataBytes)
  }

  private static func connect(_ address: Address) throws(ClientError) -> Descriptor {
    do { return try address.connect() } catch { throw .connectionFailed(error.description) }
  }

  private static func receiveBuffer(_ limits: Limits) throws(ClientError) -> ReceiveBuffer {
    guard let buffer = ReceiveBuffer(ringBytes: limits.receiveRingBytes) else {
      throw .connectionFailed("the kernel gives no memory for receiving")
    }
    return buffer
  }

  /// The socket, for a poller.
  package var socket: Int32 { descriptor.number }
  /// Whether there are bytes that `flush` would send.
  package var hasUnsent: Bool { !output.isEmpty }

  private mutating func nextRequestID() -> UInt64 {
    lastRequestID += 1
    return lastRequestID
  }
}

// MARK: Sending

extension ClientConnection {
  /// Whether a Classify call with an input of so many bytes can be submitted without sending first.
  package func hasRoom(inputBytes: Int) -> Bool {
    output.hasRoom(for: FrameLayout(metadataBytes: limits.metadataBytes, bodyBytes: inputBytes).frameBytes)
  }

  /// Takes a Classify call for the next `flush`. A full buffer is sent first.
  ///
  /// - Parameter input: the numbers, row-major, little-endian; copied.
  /// - Returns: the id that its answer will have; ids ascend from 1.
  package mutating func submit(
    _ call: borrowing ClassifyCall, _ input: UnsafeRawBufferPointer
  ) throws(ClientError) -> UInt64 {
    guard input.count <= limits.bodyBytes else {
      throw .invalidInput("an input of \(input.count) bytes is over the limit of \(limits.bodyBytes); send fewer rows")
    }
    if !request.matches(call, byteCount: input.count) {
      try request.make(call, byteCount: input.count, arena: arena)
    }
    let layout = request.layout
    if !output.hasRoom(for: layout.frameBytes) { try flush() }
    let id = nextRequestID()
    let frame = output.append(layout.frameBytes)
    request.write(to: frame, requestID: id, body: input)
    return id
  }

  /// Takes a call of another method, whose metadata `encode` writes.
  package mutating func submit(
    _ method: Method, _ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int
  ) throws(ClientError) -> UInt64 {
    let metadataBytes = encode(request.invalidated(), arena)
    let layout = FrameLayout(metadataBytes: metadataBytes, bodyBytes: 0)
    if !output.hasRoom(for: layout.frameBytes) { try flush() }
    let id = nextRequestID()
    let header = FrameHeader(
      kind: .request, method: method.rawValue, requestID: id, metadataBytes: metadataBytes)
    request.write(header, layout, to: output.append(layout.frameBytes))
    return id
  }

  /// Says that nobody waits for an answer any more. It may come all the same.
  package mutating func cancel(_ requestID: UInt64) throws(ClientError) {
    let layout = FrameLayout(metadataBytes: 0, bodyBytes: 0)
    if !output.hasRoom(for: layout.frameBytes) { try flush() }
    let header = FrameHeader(kind: .cancel, method: Method.classify.rawValue, requestID: requestID)
    request.write(header, layout, to: output.append(layout.frameBytes))
  }

  /// Sends what the kernel has room for.
  ///
  /// - Returns: whether everything is sent.
  package mutating func sendSome() -> Bool {
    while !output.isEmpty {
      if isSendingBroken {
        output.removeAll()
        break
      }
      switch descriptor.send(output.unsent) {
      case .bytes(let count): output.sent(count)
      case .wouldBlock: return false
      // What the server sent before it closed can still be read.
      case .end, .failed: isSendingBroken = true
      }
    }
    return true
  }

  /// Sends everything. While the server takes nothing its answers are received, so that neither side waits for the
  /// other.
  package mutating func flush(until deadline: Instant = .never) throws(ClientError) {
    while !sendSome() {
      guard Instant.now < deadline else { throw .timedOut }
      let hasSpace = handedOutBytes == 0 && !input.writable.isEmpty
      wait(events: POLLOUT | (hasSpace ? POLLIN : 0), until: deadline)
      if hasSpace { _ = try receiveSome() }
    }
  }

  private func wait(events: Int32, until deadline: Instant) {
    var entry = pollfd(fd: descriptor.number, events: Int16(events), revents: 0)
    guard deadline < .never else {
      _ = poll(&entry, 1, -1)
      return
    }
    // Rounded up: waking before the deadline would only mean waiting once more.
    let milliseconds = deadline.since(.now) / 1_000_000 + 1
    _ = poll(&entry, 1, Int32(clamping: milliseconds))
  }
}

// MARK: Receiving

extension ClientConnection {
  /// The next answer, polling first and then sleeping.
  ///
  /// - Returns: nil when the deadline has passed.
  /// - Throws: `connectionLost`, `protocolBroken`, or the status with which the server ends the connection.
  package mutating func receive(until deadline: Instant = .never) throws(ClientError) -> AnswerView? {
    if let answer = try nextAnswer() { return answer }
    let spinEnd = spinNanoseconds > 0 ? Instant.now.advanced(by: spinNanoseconds) : Instant(nanoseconds: 0)
    while true {
      if try receiveSome() {
        if let answer = try nextAnswer() { return answer }
        continue
      }
      let now = Instant.now
      if now >= deadline { return nil }
      if now >= spinEnd { wait(events: POLLIN, until: deadline) }
    }
  }

  /// Receives what has arrived, without waiting.
  ///
  /// - Returns: whether there was anything.
  package mutating func receiveSome() throws(ClientError) -> Bool {
    giveBack()
    switch descriptor.receive(into: input.writable) {
    case .bytes(let count):
      input.received(count)
      return true
    case .wouldBlock: return false
    case .end: throw .connectionLost(goAwayReason ?? "the server closed it")
    case .failed(let number): throw .connectionLost(String(cString: strerror(number)))
    }
  }

  /// The next whole answer among what was received. Gives the last one's bytes back.
  package mutating func nextAnswer() throws(ClientError) -> AnswerView? {
    while true {
      giveBack()
      let bytes = input.readable
      switch decoder.next(bytes) {
      case .needMore(let frameBytes):
        input.expect(frameBytes: frameBytes)
        return nil
      case .broken(let error, _): throw .protocolBroken(error.status.message)
      case .frame(let frame):
        handedOutBytes = frame.layout.frameBytes
        let answer = view(frame, bytes)
        if frame.header.kind == FrameKind.goaway.rawValue {
          let goAway = try? GoAway(decoding: answer.metadata, arena: arena)
          goAwayReason = goAway?.reason ?? "the server is closing"
        } else if frame.header.requestID == 0 {
          throw .status(ServerStatus(Status(decoding: answer.metadata, arena: arena)))
        } else {
          return answer
        }
      }
    }
  }

  private func view(_ frame: Frame, _ bytes: UnsafeRawBufferPointer) -> AnswerView {
    let layout = frame.layout
    return AnswerView(
      requestID: frame.header.requestID, flags: FrameFlags(rawValue: frame.header.flags),
      metadata: Self.piece(bytes, FrameHeader.byteCount, layout.metadataBytes),
      body: Self.piece(bytes, layout.bodyOffset, layout.bodyBytes))
  }

  private static func piece(_ bytes: UnsafeRawBufferPointer, _ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  private mutating func giveBack() {
    guard handedOutBytes > 0 else { return }
    input.consume(handedOutBytes)
    handedOutBytes = 0
  }

  /// The status of an answer that is one.
  package func status(_ answer: AnswerView) -> Status { Status(decoding: answer.metadata, arena: arena) }

  /// Reads a Classify answer. One that differs from the last only in its numbers is not decoded again.
  ///
  /// - Throws: the status that the answer is, or `protocolBroken`.
  package mutating func classifyResponse(_ view: AnswerView) throws(ClientError) -> ClassifyResponse {
    if view.isStatus { throw .status(ServerStatus(status(view))) }
    return try answer.read(view, arena: arena)
  }
}
