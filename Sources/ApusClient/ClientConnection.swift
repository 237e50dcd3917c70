package import ApusBase
package import ApusIO
package import ApusStream
package import ApusWire

/// An answer as it lies in the receive buffer: valid until the connection receives again.
package struct AnswerView {
  package let requestID: UInt64
  package let method: UInt16
  package let flags: FrameFlags
  package let metadata: UnsafeRawBufferPointer
  package let body: UnsafeRawBufferPointer

  /// The metadata is a `Status`.
  package var isStatus: Bool { flags.contains(.status) }
  /// More answers to the same request follow.
  package var hasMore: Bool { flags.contains(.more) }
}

/// One connection to a server, without threads: what is submitted is sent by `sendSome` and `receive`,
/// answers are handed out one by one, in the order in which they come. Many calls may be in flight. After a
/// thrown error, the connection is of no more use. Calls that are alike allocate nothing.
///
/// No call here waits for the server to read while its answers are not taken, so the two sides cannot wait
/// for each other: `submit` refuses when too much is unsent, and only `receive`, which hands answers out,
/// waits.
/// Invariant that makes it Sendable: it is used by its one owner, and nothing that it holds has another.
package struct ClientConnection: ~Copyable, @unchecked Sendable {
  var stream: ByteStream
  private let security: ClientSecurity?
  var input: ReceiveBuffer
  var output: SendBuffer
  let arena: MetadataArena
  let decoder: FrameDecoder
  var polling: AdaptivePolling
  var request: RequestTemplate
  var answer: AnswerTemplate
  private var lastRequestID: UInt64 = 0
  /// Bytes of the frame that was handed out last.
  var handedOutBytes = 0
  /// The socket's time-out for receiving; 0: none.
  var receiveTimeoutMilliseconds: UInt64 = 0
  /// The server reads no more; its answers may still come.
  private var isSendingBroken = false
  /// What the server takes, as its Hello says; until that has come, this side's own limits.
  var bodyLimit: Int
  var callLimit: Int
  /// Inputs of so many bytes are sent from where they lie: the server, too, gives them memory of their own.
  private let lentBytes: Int
  /// Calls whose last answer has not come, those that nobody waits for included.
  package internal(set) var callsInFlight = 0
  /// Regions that the server can look into.
  var regions: [UInt32] = []
  /// Why the server is closing the connection, once it says so: new calls belong on another connection.
  package internal(set) var goAwayReason: String?

  /// Connects, blocking.
  ///
  /// - Parameters:
  ///   - security: what an encrypted address needs, and the token; nil: neither.
  ///   - lane: what becomes of a connection over a Unix socket.
  ///   - spinNanoseconds: how long `receive` polls at most before it sleeps, where that helps: quicker
  ///     answers for processor time. nil: 50,000 in a lane, 0 over a socket.
  ///   - connectTimeoutNanoseconds: how long to try; 0: as long as the kernel does.
  package static func open(
    _ address: Address, security: ClientSecurity? = nil, limits: Limits = Limits(),
    lane: LaneUse = .never, spinNanoseconds: UInt64? = nil, connectTimeoutNanoseconds: UInt64 = 0
  ) throws(ClientError) -> Self {
    let stream = try ClientSecurity.connect(
      to: address, security, timeoutNanoseconds: connectTimeoutNanoseconds)
    var connection = try Self(
      stream, security: security, limits: limits, spinNanoseconds: spinNanoseconds ?? 0)
    try connection.openLane(at: address, lane, until: .deadline(after: connectTimeoutNanoseconds))
    if connection.isLane, spinNanoseconds == nil {
      connection.polling = AdaptivePolling(maximumNanoseconds: Self.laneSpinNanoseconds)
    }
    return connection
  }

  /// A sleeping side costs a wake-up, many times what a call in a lane takes.
  private static let laneSpinNanoseconds: UInt64 = 50_000

  /// Takes a stream that is connected. Hello is the first frame, sent together with the first call: its
  /// answer, the server's limits, costs no time of its own.
  package init(
    _ stream: consuming ByteStream, security: ClientSecurity? = nil, limits: Limits = Limits(),
    spinNanoseconds: UInt64 = 0
  ) throws(ClientError) {
    guard let buffer = ReceiveBuffer(ringBytes: limits.receiveRingBytes) else {
      throw .connectionFailed("the kernel gives no memory for receiving")
    }
    self.stream = stream
    self.security = security
    input = buffer
    output = SendBuffer(byteCount: limits.answerBufferBytes)
    arena = MetadataArena(byteCount: limits.metadataArenaBytes)
    decoder = FrameDecoder(reader: .client, limits: limits)
    polling = AdaptivePolling(maximumNanoseconds: spinNanoseconds)
    request = RequestTemplate(metadataBytes: limits.metadataBytes)
    answer = AnswerTemplate(metadataBytes: limits.metadataBytes)
    bodyLimit = limits.bodyBytes
    callLimit = limits.callsInFlight
    lentBytes = limits.receiveRingBytes / 2
    var hello = HelloRequest(client: clientVersion)
    hello.token = security?.token ?? []
    let metadataBytes = hello.encode(into: request.invalidated(), arena: arena)
    append(.request, .hello, requestID: 0, metadataBytes: metadataBytes)
  }

  /// Keeps the ticket with which the next connection's handshake is shorter.
  func keepTicket() { security?.keepTicket(of: stream) }

  /// The socket, for a poller.
  package var socket: Int32 { stream.descriptor.number }
  /// Whether there are bytes that `sendSome` would send.
  package var hasUnsent: Bool { !output.isEmpty }
  /// Whether that waits for the socket to have room; a lane tells of room by its bell.
  var waitsForSocket: Bool { hasUnsent && !stream.isLane }
}

/// What this library calls itself in Hello.
private let clientVersion = "apus-swift/0.1.0"

// MARK: Sending

extension ClientConnection {
  /// Whether a Classify call with an input of so many bytes would be taken now, lent or to be copied.
  package func hasRoom(inputBytes: Int) -> Bool {
    let isLent = inputBytes >= lentBytes
    guard callsInFlight < callLimit, !isLent || !output.holdsBody else { return false }
    let layout = FrameLayout(metadataBytes: request.metadataLimit, bodyBytes: isLent ? 0 : inputBytes)
    return output.hasRoom(for: layout.frameBytes)
  }

  /// Whether a lent input is not sent yet.
  package var holdsInput: Bool { output.holdsBody }

  /// Takes a Classify call, to be sent by `sendSome` or `receive`.
  ///
  /// - Parameters:
  ///   - input: the numbers, row-major, little-endian; copied, or left in their region.
  ///   - region: a registered region that holds them; 0: none.
  ///   - offset: of the numbers in the region, a multiple of 64.
  /// - Returns: the id that its answer will have; ids ascend from 1. Nil, and the call is not taken, when the
  ///   server does not read what was submitted before or has as many calls as it allows: take answers first.
  package mutating func submit(
    _ call: ClassifyCall, _ input: UnsafeRawBufferPointer, region: UInt32 = 0, offset: Int = 0
  ) throws(ClientError) -> UInt64? {
    guard input.count <= bodyLimit else {
      throw .invalidInput(
        "an input of \(input.count) bytes is over the limit of \(bodyLimit); send fewer rows")
    }
    let place = InputPlace(byteCount: input.count, region: region, offset: offset)
    if !request.matches(call, place) { try request.make(call, place, arena: arena) }
    let layout = request.layout
    guard makeRoom(layout.frameBytes) else { return nil }
    let id = nextRequestID()
    let body = region == 0 ? input : UnsafeRawBufferPointer(start: nil, count: 0)
    request.write(to: output.append(layout.frameBytes), requestID: id, body: body)
    return id
  }

  /// Takes a Classify call whose input, if it is large, is sent from where it lies.
  ///
  /// - Parameters:
  ///   - input: stays and does not change as long as `holdsInput`, and the connection, last.
  ///   - owner: kept so long; nil: the caller sees to it.
  /// - Returns: as the other `submit`; one such input is on its way at a time.
  mutating func submit(
    _ call: ClassifyCall, lending input: UnsafeRawBufferPointer, of owner: CallInput?
  ) throws(ClientError) -> UInt64? {
    guard input.count >= lentBytes, input.count <= bodyLimit else { return try submit(call, input) }
    let place = InputPlace(byteCount: input.count)
    if !request.matches(call, place) { try request.make(call, place, arena: arena) }
    let layout = request.layout
    let paddingBytes = layout.frameBytes - layout.bodyOffset - layout.bodyBytes
    if output.holdsBody { sendSome() }
    guard !output.holdsBody, makeRoom(layout.bodyOffset + paddingBytes) else { return nil }
    let id = nextRequestID()
    request.writeAroundBody(
      to: output.append(layout.bodyOffset, input, of: owner, paddingBytes), requestID: id)
    return id
  }

  /// The same of memory that the caller keeps.
  package mutating func submit(
    _ call: ClassifyCall, lending input: UnsafeRawBufferPointer
  ) throws(ClientError) -> UInt64? {
    try submit(call, lending: input, of: nil)
  }

  /// Takes a call of another method, whose metadata `encode` writes; the body is copied.
  ///
  /// - Returns: as `submit` of a Classify call. A watch, which is answered for as long as it is open, is not
  ///   counted among the calls in flight.
  package mutating func submit(
    _ method: Method, body: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    _ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int
  ) throws(ClientError) -> UInt64? {
    let metadataBytes = encode(request.invalidated(), arena)
    guard metadataBytes > 0 || method != .beginPublish else {
      throw .invalidInput("its description takes more than the metadata of a frame may")
    }
    let isCall = method != .watchHealth
    let frameBytes = FrameLayout(metadataBytes: metadataBytes, bodyBytes: body.count).frameBytes
    guard makeRoom(frameBytes, forCall: isCall) else { return nil }
    let id = nextRequestID(forCall: isCall)
    append(.request, method, requestID: id, metadataBytes: metadataBytes, body: body)
    return id
  }

  /// Makes room for so many unsent bytes, so that several large frames can be on their way.
  mutating func reserveUnsent(_ byteCount: Int) { output.reserve(byteCount) }

  /// Says that nobody waits for an answer any more. It may come all the same. A cancel is a courtesy: it is
  /// left out where the server does not read.
  package mutating func cancel(_ requestID: UInt64) {
    guard output.hasRoom(for: FrameLayout(metadataBytes: 0, bodyBytes: 0).frameBytes) else { return }
    append(.cancel, .classify, requestID: requestID, metadataBytes: 0)
  }

  /// Whether a further call of so many bytes may be sent; what is unsent makes room for it where the kernel
  /// can.
  private mutating func makeRoom(_ frameBytes: Int, forCall isCall: Bool = true) -> Bool {
    guard callsInFlight < callLimit || !isCall else { return false }
    if output.hasRoom(for: frameBytes) { return true }
    return sendSome() || output.hasRoom(for: frameBytes)
  }

  private mutating func nextRequestID(forCall isCall: Bool = true) -> UInt64 {
    if isCall { callsInFlight += 1 }
    lastRequestID += 1
    return lastRequestID
  }

  /// Puts a frame whose metadata lies in the template behind the others. The caller knows of room.
  private mutating func append(
    _ kind: FrameKind, _ method: Method, requestID: UInt64, metadataBytes: Int,
    body: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
  ) {
    let layout = FrameLayout(metadataBytes: metadataBytes, bodyBytes: body.count)
    let header = FrameHeader(
      kind: kind, method: method.rawValue, requestID: requestID, metadataBytes: metadataBytes,
      bodyBytes: body.count)
    request.write(header, layout, body: body, to: output.append(layout.frameBytes))
  }

  /// Sends what the kernel has room for.
  ///
  /// - Returns: whether everything is sent.
  @discardableResult
  package mutating func sendSome() -> Bool {
    while !output.isEmpty {
      if isSendingBroken {
        output.removeAll()
        break
      }
      switch stream.send(output.unsent) {
      case .bytes(let count): output.sent(count)
      case .wouldBlock: return false
      // What the server sent before it closed can still be read.
      case .end, .failed: isSendingBroken = true
      }
    }
    return true
  }
}
