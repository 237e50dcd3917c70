import ApusBase
import ApusIO
import ApusStream
import ApusWire

/// What the I/O thread is started with.
struct ClientLoopStart: Sendable {
  let core: ClientCore

  func run() {
    do throws(SystemError) {
      var loop = try ClientLoop(core)
      loop.run()
    } catch {
      // Without a poller nothing can be sent: every call is told why.
      core.close()
      let inbox = core.takeInbox()
      for call in inbox.calls {
        call.continuation.resume(returning: .failure(.connectionFailed(error.description)))
      }
      for watch in inbox.watches { watch.fail(.connectionFailed(error.description)) }
    }
  }
}

/// The I/O thread's state: calls that wait to be sent, calls in flight, and the connection. All of it is used
/// on that thread alone.
struct ClientLoop: ~Copyable {
  let core: ClientCore
  let poller: Poller
  var connection: ClientConnection?
  /// Makes the next connection.
  var connector: Thread?
  var waiting: [PendingCall] = []
  var inFlight: [UInt64: PendingCall] = [:]
  var watches = ClientWatches()
  /// Cancellations that came before their call.
  private var cancelledEarly: Set<UInt64> = []
  private var connectFailures = 0
  var connectNotBefore = Instant(nanoseconds: 0)
  /// Whether the poller is asked for room to send, too.
  var watchesForRoom = false

  static let wakeUpWord: UInt64 = 0
  static let socketWord: UInt64 = 1

  init(_ core: ClientCore) throws(SystemError) {
    poller = try Self.poller(waking: core)
    self.core = core
  }

  private static func poller(waking core: ClientCore) throws(SystemError) -> Poller {
    let poller = try Poller()
    try poller.add(core.wakeUp.descriptor, .readable, word: wakeUpWord)
    return poller
  }

  mutating func run() {
    while true {
      let inbox = core.takeInbox()
      accept(inbox)
      if let outcome = inbox.connected { finishConnecting(outcome) }
      if inbox.isClosed { break }
      expire()
      do throws(ClientError) { try advance() } catch { lose(error) }
      waitForEvents()
    }
    for call in waiting + inFlight.values { call.continuation.resume(returning: .failure(.closed)) }
    watches.lose(.closed, afterGoAway: false, retries: 0)
    watches.failWaiting(.closed)
    if let thread = connector.take() {
      thread.join()
      // A connection that was made meanwhile ends with the inbox.
      _ = core.takeInbox()
    }
  }

  private mutating func accept(_ inbox: ClientCore.Inbox) {
    waiting += inbox.calls
    watches.waiting += inbox.watches
    for token in inbox.cancelled { cancel(token) }
    // A cancellation that came first is kept until its call comes.
    guard !cancelledEarly.isEmpty else { return }
    let tokens = inbox.calls.map(\.token) + inbox.watches.map(\.token)
    for token in tokens where cancelledEarly.remove(token) != nil { cancel(token) }
  }

  private mutating func cancel(_ token: UInt64) {
    if let index = waiting.firstIndex(where: { $0.token == token }) {
      finish(waiting.remove(at: index), .failure(.cancelled))
    } else if let id = inFlight.first(where: { $0.value.token == token })?.key {
      abandon(id, .cancelled)
    } else if case (true, let id) = watches.cancel(token) {
      if let id { connection?.cancel(id) }
    } else {
      cancelledEarly.insert(token)
      // Most of these are calls that were answered in the same moment, and never come.
      if cancelledEarly.count > 4096 { cancelledEarly.removeAll() }
    }
  }

  /// Fails a call in flight and tells the server that nobody waits for it.
  private mutating func abandon(_ id: UInt64, _ error: ClientError) {
    guard let call = inFlight.removeValue(forKey: id) else { return }
    finish(call, .failure(error))
    connection?.cancel(id)
  }

  private func finish(_ call: PendingCall, _ result: Result<ClassifyResult, ClientError>) {
    call.continuation.resume(returning: result)
  }

  private mutating func expire() {
    let now = Instant.now
    for (id, call) in inFlight where call.deadline <= now { abandon(id, .timedOut) }
    for call in waiting where call.deadline <= now { finish(call, .failure(.timedOut)) }
    waiting.removeAll { $0.deadline <= now }
  }
}

// MARK: Moving calls along

extension ClientLoop {
  var isConnected: Bool {
    switch connection {
    case .some: true
    case .none: false
    }
  }

  private mutating func advance() throws(ClientError) {
    if isConnected { try receiveAnswers() }
    let isGoingAway = connection?.goAwayReason != nil
    // What was sent before a goaway may still be answered; new calls wait for the next connection.
    if isGoingAway && inFlight.isEmpty { drop() }
    connection?.sendSome()
    guard !isGoingAway || !isConnected else { return }
    // As long as the server takes what it is sent.
    while try sendWaiting(), connection?.sendSome() ?? false {}
  }

  private mutating func receiveAnswers() throws(ClientError) {
    while let isMore = try connection?.receiveSome(), isMore {
      while let view = try connection?.nextAnswer() { try take(view) }
    }
  }

  private mutating func take(_ view: AnswerView) throws(ClientError) {
    if watches.open[view.requestID] != nil { return try takeWatch(view) }
    // An id without a call is one that was abandoned.
    guard var call = inFlight.removeValue(forKey: view.requestID) else { return }
    do throws(ClientError) {
      guard let response = try connection?.classifyResponse(view) else { throw .closed }
      var result = ClassifyResult()
      connection?.fill(&result, response, view)
      finish(call, .success(result))
    } catch {
      if error.isNotProcessed, retry(&call) { return }
      finish(call, .failure(error))
      if case .protocolBroken = error { throw error }
    }
  }

  /// A server that says it serves nothing more is left as after a goaway.
  private mutating func takeWatch(_ view: AnswerView) throws(ClientError) {
    guard isConnected else { return }
    let ending = try watches.take(view, on: &connection!, retries: core.options.retries)
    if let ending, connection?.goAwayReason == nil { connection?.goAwayReason = ending }
  }

  /// Puts a call that the server has not begun back in line; false when it was tried often enough.
  private mutating func retry(_ call: inout PendingCall) -> Bool {
    call.attempts += 1
    guard call.attempts <= core.options.retries else { return false }
    call.notBefore = .now.advanced(by: core.options.backoff(after: call.attempts))
    waiting.append(call)
    return true
  }

  /// - Returns: whether anything was submitted.
  private mutating func sendWaiting() throws(ClientError) -> Bool {
    let now = Instant.now
    let unsentWatches = watches.waiting.count
    guard unsentWatches > 0 || waiting.contains(where: { $0.notBefore <= now }) else { return false }
    if !isConnected {
      if now >= connectNotBefore { try startConnecting() }
      return false
    }
    try watches.submit(to: &connection!)
    var kept: [PendingCall] = []
    for call in waiting {
      let hasRoom = connection?.hasRoom(inputBytes: call.input.byteCount) ?? false
      if call.notBefore > now || !hasRoom {
        kept.append(call)
      } else {
        submit(call)
      }
    }
    defer { waiting = kept }
    return kept.count < waiting.count || watches.waiting.count < unsentWatches
  }

  private mutating func submit(_ call: PendingCall) {
    var outcome: Result<ClassifyResult, ClientError>?
    var id: UInt64?
    call.input.withBytes { bytes in
      let timed = call.call.withTimeLeft(until: call.deadline)
      do throws(ClientError) {
        id = try connection?.submit(timed, lending: bytes, of: call.input)
      } catch { outcome = .failure(error) }
    }
    if let id { inFlight[id] = call } else { finish(call, outcome ?? .failure(.closed)) }
  }

  var isConnecting: Bool {
    switch connector {
    case .some: true
    case .none: false
    }
  }

  private mutating func startConnecting() throws(ClientError) {
    guard !isConnecting else { return }
    let core = core
    do { connector = try Thread(name: "apus-connect") { core.connect() } } catch {
      throw .connectionFailed(error.description)
    }
  }

  private mutating func finishConnecting(_ outcome: Result<Locked<ClientConnection?>, ClientError>) {
    if let thread = connector.take() { thread.join() }
    do throws(ClientError) {
      guard let new = try outcome.get().withLock({ $0.take() }) else { throw .closed }
      do { try poller.add(new.stream.descriptor, .readable, word: Self.socketWord) } catch {
        throw .connectionFailed(error.description)
      }
      connection = consume new
      watchesForRoom = false
      connectFailures = 0
    } catch { lose(error) }
  }

  /// Closing the socket takes it out of the poller.
  private mutating func drop() {
    loseWatches(.connectionLost(connection?.goAwayReason ?? "the server closed it"))
    connection = nil
  }

  private mutating func loseWatches(_ error: ClientError) {
    watches.lose(error, afterGoAway: connection?.goAwayReason != nil, retries: core.options.retries)
  }

  /// The connection could not be made, or is of no more use.
  private mutating func lose(_ error: ClientError) {
    let mayRetry = connection?.goAwayReason != nil
    loseWatches(error)
    drop()
    if case .connectionFailed = error { failWaiting(error) }
    let lost = inFlight.values
    inFlight = [:]
    for var call in lost {
      // A server that said goaway and then ended in order has answered every call that it read.
      if mayRetry, case .connectionLost = error, retry(&call) { continue }
      finish(call, .failure(error))
    }
  }

  /// Each failed attempt to connect counts for every call that waited for it.
  private mutating func failWaiting(_ error: ClientError) {
    connectFailures += 1
    connectNotBefore = .now.advanced(by: core.options.backoff(after: connectFailures))
    watches.failWaiting(error)
    let calls = waiting
    waiting = []
    for var call in calls where !(call.attempts > 0 && retry(&call)) { finish(call, .failure(error)) }
  }
}
