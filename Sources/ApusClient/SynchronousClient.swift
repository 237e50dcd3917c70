import ApusBase
import ApusIO
package import ApusWire
import Glibc

/// How a client connects, polls and tries again.
public struct ClientOptions: Sendable {
  /// How long a client polls for an answer before it sleeps, in nanoseconds, where that helps: a quicker
  /// answer for processor time. nil: 50,000 in a lane, not at all over a socket; the asynchronous client
  /// polls in lanes alone.
  public var spinNanoseconds: UInt64?
  /// Whether the connection to a `unix:` address becomes a lane. At a `shm:` address it does, or fails.
  public var lane = LaneUse.never
  /// How long to try to connect, in nanoseconds.
  public var connectTimeoutNanoseconds: UInt64 = 5_000_000_000
  /// How often a call that the server has not begun is sent again.
  public var retries = 4
  /// The wait before the second attempt, in nanoseconds; it doubles with each further one.
  public var backoffNanoseconds: UInt64 = 10_000_000
  /// The longest wait between attempts, in nanoseconds.
  public var maximumBackoffNanoseconds: UInt64 = 1_000_000_000
  /// Whom to trust and how to say who calls.
  public var security = SecurityOptions()

  public init() {}

  /// The wait after so many failed attempts.
  func backoff(after attempts: Int) -> UInt64 {
    min(maximumBackoffNanoseconds, backoffNanoseconds << UInt64(min(max(attempts - 1, 0), 20)))
  }
}

/// A blocking client for one thread: one call at a time, no thread of its own, and no allocation once calls
/// are alike.
///
/// ```swift
/// let client = try SynchronousClient("unix:/run/apus.sock")
/// let call = ClassifyCall("digits", top: 3)
/// var result = ClassifyResult()
/// try client.classify(pixels, call, into: &result)
/// ```
public final class SynchronousClient {
  private let address: Address
  private let options: ClientOptions
  private let security: ClientSecurity
  var connection: ClientConnection?
  /// Regions that were ever made.
  var regionsMade: UInt32 = 0

  /// Connects.
  ///
  /// - Parameters:
  ///   - address: `unix:PATH`, `shm:PATH`, `tcp://HOST:PORT` or `tls://HOST:PORT`.
  ///   - options: time-outs, attempts, and whom to trust.
  /// - Throws: `invalidInput` for a text that is no address, `connectionFailed`.
  public init(_ address: String, options: ClientOptions = ClientOptions()) throws(ClientError) {
    do { self.address = try Address(address) } catch { throw .invalidInput(error.description) }
    self.options = options
    security = try ClientSecurity(self.address, options.security)
    try connectIfNeeded(.never)
  }

  /// Classifies 32-bit floats: one row, or as many as the call's shape says.
  public func classify(
    _ input: [Float], _ call: ClassifyCall, into result: inout ClassifyResult
  ) throws(ClientError) {
    guard call.elementType == .float32 else {
      throw .invalidInput("the call says \(call.elementType), its input is float32")
    }
    // A typed error does not pass through the standard library's closures.
    let outcome = input.withUnsafeBytes { bytes -> ClientError? in
      do throws(ClientError) { try classify(bytes: bytes, call, into: &result) } catch { return error }
      return nil
    }
    if let outcome { throw outcome }
  }

  /// Classifies numbers of the call's element type, row-major and little-endian. Large inputs are sent from
  /// where they lie. A result of many numbers is emptied before the call.
  ///
  /// - Throws: `ClientError`. After `timedOut` the client can be used on; after a lost connection the next
  ///   call connects again.
  public func classify(
    bytes: UnsafeRawBufferPointer, _ call: ClassifyCall, into result: inout ClassifyResult
  ) throws(ClientError) {
    try classify(bytes, nil, call, &result)
  }

  /// - Parameter region: of which `bytes` are a part; nil: they are the caller's own.
  func classify(
    _ bytes: UnsafeRawBufferPointer, _ region: TensorRegion?, _ call: ClassifyCall,
    _ result: inout ClassifyResult
  ) throws(ClientError) {
    let deadline = deadline(call.timeoutNanoseconds)
    var attempts = 0
    while true {
      do throws(ClientError) {
        try attempt(
          bytes, region, attempts == 0 ? call : call.withTimeLeft(until: deadline), deadline, &result)
        return
      } catch {
        attempts += 1
        try prepareRetry(error, attempts, deadline)
      }
    }
  }

  private func attempt(
    _ bytes: UnsafeRawBufferPointer, _ region: TensorRegion?, _ call: ClassifyCall, _ deadline: Instant,
    _ result: inout ClassifyResult
  ) throws(ClientError) {
    // What is not sent now would be read from memory that may be gone then.
    defer { if connection?.holdsInput ?? false { connection = nil } }
    result.makeSmall()
    let id = try submit(deadline) { connection throws(ClientError) in
      guard let region, connection.isLane else { return try connection.submit(call, lending: bytes) }
      try connection.register(region, until: deadline)
      return try connection.submit(call, bytes, region: region.number, offset: region.offset(of: bytes))
    }
    let view = try answer(id, deadline)
    guard let response = try connection?.classifyResponse(view) else { throw .closed }
    connection?.fill(&result, response, view)
  }

  /// Hands a call to the connection. One that takes none is replaced: its server neither reads nor answers.
  private func submit(
    _ deadline: Instant, _ call: (inout ClientConnection) throws(ClientError) -> UInt64?
  ) throws(ClientError) -> UInt64 {
    for _ in 0..<2 {
      try connectIfNeeded(deadline)
      if isConnected, let id = try call(&connection!) { return id }
      connection = nil
    }
    throw .closed
  }

  /// Sends and waits for the answer to `id`; older ones, that nobody waits for, are dropped.
  func answer(_ id: UInt64, _ deadline: Instant) throws(ClientError) -> AnswerView {
    connection?.sendSome()
    while let view = try connection?.receive(until: deadline) {
      if view.requestID == id { return view }
      guard view.requestID < id else {
        throw .protocolBroken("an answer to call \(view.requestID), never sent")
      }
    }
    connection?.cancel(id)
    // What is unsent now would stand before the next call.
    if connection?.sendSome() == false { connection = nil }
    throw .timedOut
  }

  private func connectIfNeeded(_ deadline: Instant) throws(ClientError) {
    if connection?.goAwayReason != nil { connection = nil }
    guard !isConnected else { return }
    let left = deadline.since(.now)
    guard left > 0 else { throw .timedOut }
    connection = try ClientConnection.open(
      address, security: security, lane: options.lane, spinNanoseconds: options.spinNanoseconds,
      connectTimeoutNanoseconds: min(options.connectTimeoutNanoseconds, left))
  }

  var isConnected: Bool {
    switch connection {
    case .some: true
    case .none: false
    }
  }

  /// Drops a connection that is of no more use, and waits where the call may be sent again.
  ///
  /// - Throws: the error itself, when it may not.
  private func prepareRetry(_ error: ClientError, _ attempts: Int, _ deadline: Instant) throws(ClientError) {
    let hadGoAway = connection?.goAwayReason != nil
    var mayRetry = error.isNotProcessed
    switch error {
    case .connectionLost:
      // A server that said goaway and then ended in order has answered every call that it read.
      mayRetry = hadGoAway
      connection = nil
    case .protocolBroken: connection = nil
    case .connectionFailed: mayRetry = attempts > 1
    default: break
    }
    if hadGoAway || error.isNotProcessed { connection = nil }
    guard mayRetry, attempts <= options.retries else { throw error }
    let wait = options.backoff(after: attempts)
    guard Instant.now.advanced(by: wait) < deadline else { throw error }
    _ = usleep(UInt32(clamping: wait / 1000))
  }

  func deadline(_ timeoutNanoseconds: UInt64) -> Instant {
    .deadline(after: timeoutNanoseconds)
  }

  /// Ends the connection. A further call connects again.
  public func disconnect() { connection = nil }
}

// MARK: Other methods

extension SynchronousClient {
  /// The state of the server or of one model.
  package func health(
    _ model: String, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> HealthResponse {
    try checkName(model)
    var response = HealthResponse(status: .unknown, detail: "")
    try exchange(
      .health, timeoutNanoseconds, { ModelNameRequest(model: model).encode(into: $0, arena: $1) }
    ) { (metadata, arena) throws(Status) in response = try HealthResponse(decoding: metadata, arena: arena) }
    return response
  }

  /// Tells the state of the server or of one model, now and at every change. Returns when the server drains.
  ///
  /// - Parameter timeoutNanoseconds: how long to wait for the first answer.
  package func watchHealth(
    _ model: String, timeoutNanoseconds: UInt64, _ tell: (HealthResponse) -> Void
  ) throws(ClientError) {
    try checkName(model)
    try exchange(
      .watchHealth, timeoutNanoseconds, { ModelNameRequest(model: model).encode(into: $0, arena: $1) }
    ) { (metadata, arena) throws(Status) in tell(try HealthResponse(decoding: metadata, arena: arena)) }
  }

  /// The counters of the server and its models, or of one model.
  package func stats(
    _ model: String, wantBuckets: Bool = false, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> StatsResponse {
    try checkName(model)
    var whole = StatsResponse(server: nil, models: [])
    let request = StatsRequest(model: model, wantBuckets: wantBuckets)
    try exchange(
      .stats, timeoutNanoseconds, { request.encode(into: $0, arena: $1) }
    ) { (metadata, arena) throws(Status) in
      let part = try StatsResponse(decoding: metadata, arena: arena)
      whole.server = whole.server ?? part.server
      whole.models += part.models
    }
    return whole
  }

  /// Every version of every model.
  package func models(timeoutNanoseconds: UInt64) throws(ClientError) -> [ModelInfo] {
    var models: [ModelInfo] = []
    try exchange(.listModels, timeoutNanoseconds, { (_, _) in 0 }) { (metadata, arena) throws(Status) in
      models += try ListModelsResponse(decoding: metadata, arena: arena).models
    }
    return models
  }

  /// One version of a model, with inputs, outputs and labels.
  package func getModel(
    _ request: GetModelRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> ModelInfo {
    try checkName(request.model)
    try checkName(request.alias)
    var model = ModelInfo()
    try exchange(.getModel, timeoutNanoseconds, { request.encode(into: $0, arena: $1) }) {
      (metadata, arena) throws(Status) in
      model = try GetModelResponse(decoding: metadata, arena: arena).model
    }
    return model
  }

  /// A name that could not be sent whole would ask for something else.
  func checkName(_ name: String) throws(ClientError) {
    guard name.utf8.count <= 4096, !name.utf8.contains(0) else {
      throw .invalidInput("a name has at most 4096 bytes, none of them zero")
    }
  }

  /// One call whose answers are metadata alone.
  func exchange(
    _ method: Method, _ timeoutNanoseconds: UInt64,
    body: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    _ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int,
    _ decode: (UnsafeRawBufferPointer, borrowing MetadataArena) throws(Status) -> Void
  ) throws(ClientError) {
    var deadline = deadline(timeoutNanoseconds)
    try reading { () throws(ClientError) in
      let id = try submit(deadline) { connection throws(ClientError) in
        try connection.submit(method, body: body, encode)
      }
      var hasMore = true
      while hasMore {
        let view = try answer(id, deadline)
        try connection?.decode(view, decode)
        hasMore = view.hasMore
        // Nobody knows when the next change comes, or how long a step takes.
        if method.isLong { deadline = .never }
      }
    }
  }

  /// Drops the connection when what `body` does shows that it is of no more use.
  func reading(_ body: () throws(ClientError) -> Void) throws(ClientError) {
    do { try body() } catch {
      switch error {
      case .connectionLost, .protocolBroken: connection = nil
      default: break
      }
      throw error
    }
  }
}

extension Method {
  /// Its answers come as things happen.
  fileprivate var isLong: Bool { self == .watchHealth || self == .commitPublish || self == .load }
}

extension ClientConnection {
  /// Reads an answer's metadata.
  ///
  /// - Throws: the status that the answer is, or `protocolBroken`.
  package func decode(
    _ view: AnswerView, _ decode: (UnsafeRawBufferPointer, borrowing MetadataArena) throws(Status) -> Void
  ) throws(ClientError) {
    if view.isStatus { throw .status(ServerStatus(status(view))) }
    do { try decode(view.metadata, arena) } catch { throw .protocolBroken(error.message) }
  }
}
