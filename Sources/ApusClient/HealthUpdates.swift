import ApusWire

/// The state of a server or of one of its models, now and at every change.
///
/// The sequence ends when the server drains; `NOT_SERVING` is then its last element. It fails with
/// `cancelled` when its task is cancelled, with `connectionLost` when the connection ends otherwise, and with
/// the server's status when the server refuses the watch or takes the right to it away. Whoever reads it
/// slowly misses states in between, never the latest. Each iterator is a watch of its own.
public struct HealthUpdates: AsyncSequence, Sendable {
  public typealias Element = ServerHealth
  public typealias Failure = ClientError

  let core: ClientCore
  let model: String

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(core, model) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    public typealias Element = ServerHealth
    public typealias Failure = ClientError

    private var states: AsyncStream<Result<ServerHealth, ClientError>>.Iterator

    /// More than enough for whoever reads at all; the last one, which may be an error, is always kept.
    private static let keptStates = 16

    init(_ core: ClientCore, _ model: String) {
      let (stream, continuation) = AsyncStream.makeStream(
        of: Result<ServerHealth, ClientError>.self, bufferingPolicy: .bufferingNewest(Self.keptStates))
      states = stream.makeAsyncIterator()
      let token = core.newToken()
      continuation.onTermination = { reason in
        if case .cancelled = reason { core.cancel(token) }
      }
      core.enqueue(PendingWatch(token: token, model: model, states: continuation))
    }

    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(ClientError) -> ServerHealth? {
      if let state = await states.next(isolation: actor) { return try state.get() }
      if Task.isCancelled { throw .cancelled }
      return nil
    }

    public mutating func next() async throws(ClientError) -> ServerHealth? { try await next(isolation: nil) }
  }
}

extension ApusClient {
  /// The state of the server or of one model, now and at every change.
  ///
  /// ```swift
  /// for try await health in client.watchHealth() { print(health.status) }
  /// ```
  ///
  /// - Parameter model: name; empty: the whole server.
  public func watchHealth(model: String = "") -> HealthUpdates { HealthUpdates(core: core, model: model) }
}

/// A watch on its way to the I/O thread, or open there.
struct PendingWatch: Sendable {
  let token: UInt64
  let model: String
  let states: AsyncStream<Result<ServerHealth, ClientError>>.Continuation
  var attempts = 0
  /// The server has told a state on the connection at hand.
  var isAnswered = false

  func fail(_ error: ClientError) {
    states.yield(.failure(error))
    states.finish()
  }
}

/// The watches of the I/O thread.
struct ClientWatches {
  /// Those that no connection has been given.
  var waiting: [PendingWatch] = []
  /// By request id.
  var open: [UInt64: PendingWatch] = [:]

  /// Whoever reads the watch has gone.
  ///
  /// - Returns: whether there is such a watch, and its request id where the server must be told.
  mutating func cancel(_ token: UInt64) -> (isFound: Bool, requestID: UInt64?) {
    if let place = waiting.firstIndex(where: { $0.token == token }) {
      waiting.remove(at: place)
      return (true, nil)
    }
    guard let id = open.first(where: { $0.value.token == token })?.key else { return (false, nil) }
    open[id] = nil
    return (true, id)
  }

  /// Gives the waiting watches to a connection, as many as it takes now.
  mutating func submit(to connection: inout ClientConnection) throws(ClientError) {
    var kept: [PendingWatch] = []
    for watch in waiting {
      guard watch.model.utf8.count <= 4096, !watch.model.utf8.contains(0) else {
        watch.fail(.invalidInput("a name has at most 4096 bytes, none of them zero"))
        continue
      }
      let request = ModelNameRequest(model: watch.model)
      let id = try connection.submit(.watchHealth) { request.encode(into: $0, arena: $1) }
      if let id {
        open[id] = watch
        open[id]?.isAnswered = false
      } else {
        kept.append(watch)
      }
    }
    waiting = kept
  }

  /// Hands an answer on.
  ///
  /// - Returns: what the server said about itself where it will answer no more calls.
  mutating func take(
    _ view: AnswerView, on connection: inout ClientConnection, retries: Int
  ) throws(ClientError) -> String? {
    guard var watch = open[view.requestID] else { return nil }
    if !view.hasMore { open[view.requestID] = nil }
    var response = HealthResponse(status: .unknown, detail: "")
    do throws(ClientError) {
      try connection.decode(view) { (metadata, arena) throws(Status) in
        response = try HealthResponse(decoding: metadata, arena: arena)
      }
    } catch {
      watch.attempts += 1
      if error.isNotProcessed, watch.attempts <= retries {
        waiting.append(watch)
        return nil
      }
      open[view.requestID] = nil
      watch.fail(error)
      if case .protocolBroken = error { throw error }
      return nil
    }
    open[view.requestID]?.isAnswered = true
    watch.states.yield(.success(ServerHealth(response)))
    if !view.hasMore { watch.states.finish() }
    return response.status == .notServing && watch.model.isEmpty ? response.detail : nil
  }

  /// The connection is of no more use. After a goaway, a watch that has not been answered was not begun, and
  /// goes to the next connection: its refusal may still have been on the way.
  mutating func lose(_ error: ClientError, afterGoAway: Bool, retries: Int) {
    let lost = open.values
    open = [:]
    for var watch in lost {
      watch.attempts += 1
      if afterGoAway, !watch.isAnswered, watch.attempts <= retries {
        waiting.append(watch)
      } else {
        watch.fail(error)
      }
    }
  }

  mutating func failWaiting(_ error: ClientError) {
    let lost = waiting
    waiting = []
    for watch in lost { watch.fail(error) }
  }
}
