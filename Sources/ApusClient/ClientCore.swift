import ApusBase
import ApusIO
import Synchronization

/// A call on its way, from the caller's task to the I/O thread.
struct PendingCall: Sendable {
  let token: UInt64
  let call: ClassifyCall
  let input: CallInput
  let continuation: CheckedContinuation<Result<ClassifyResult, ClientError>, Never>
  let deadline: Instant
  var attempts = 0
  /// Not sent before this time: the wait between two attempts.
  var notBefore = Instant(nanoseconds: 0)

  init(
    token: UInt64, call: ClassifyCall, input: CallInput,
    continuation: CheckedContinuation<Result<ClassifyResult, ClientError>, Never>
  ) {
    self.token = token
    self.call = call
    self.input = input
    self.continuation = continuation
    deadline = .deadline(after: call.timeoutNanoseconds)
  }
}

/// What tasks and the I/O thread share: the calls handed over, the cancellations, and the way to wake the
/// thread.
final class ClientCore: Sendable {
  struct Inbox {
    var calls: [PendingCall] = []
    var watches: [PendingWatch] = []
    var cancelled: [UInt64] = []
    var isClosed = false
    /// The thread sleeps, or is about to, until it is woken.
    var isAsleep = false
    /// How connecting ended: the connection, for one taker.
    var connected: Result<Locked<ClientConnection?>, ClientError>?
  }

  let address: Address
  let security: ClientSecurity
  let options: ClientOptions
  let wakeUp: WakeUp
  private let inbox = Locked(Inbox())
  private let news = Atomic<Bool>(false)
  private let tokens = Atomic<UInt64>(1)

  init(_ address: Address, _ security: ClientSecurity, _ options: ClientOptions) throws(SystemError) {
    wakeUp = try WakeUp()
    self.address = address
    self.security = security
    self.options = options
  }

  /// A name for a call that is never used again.
  func newToken() -> UInt64 { tokens.wrappingAdd(1, ordering: .relaxed).oldValue }

  func enqueue(_ call: PendingCall) {
    let isTaken = handOver { inbox in
      guard !inbox.isClosed else { return false }
      inbox.calls.append(call)
      return true
    }
    if !isTaken { call.continuation.resume(returning: .failure(.closed)) }
  }

  func enqueue(_ watch: PendingWatch) {
    let isTaken = handOver { inbox in
      guard !inbox.isClosed else { return false }
      inbox.watches.append(watch)
      return true
    }
    if !isTaken { watch.fail(.closed) }
  }

  /// A task may be cancelled before its call is handed over: the thread sees both, in whatever order.
  func cancel(_ token: UInt64) {
    _ = handOver { inbox in
      inbox.cancelled.append(token)
      return true
    }
  }

  /// Puts something into the inbox, and wakes the thread if it sleeps: one that looks around needs no system
  /// call.
  ///
  /// - Returns: what `put` does, whether it was put.
  private func handOver(_ put: (inout Inbox) -> Bool) -> Bool {
    var mustWake = false
    let isPut = inbox.withLock { inbox in
      guard put(&inbox) else { return false }
      news.store(true, ordering: .relaxed)
      mustWake = inbox.isAsleep
      inbox.isAsleep = false
      return true
    }
    if mustWake { wakeUp.signal() }
    return isPut
  }

  /// Whether something was handed over since the last time; no more than a look.
  var hasNews: Bool { news.load(ordering: .relaxed) }

  /// From now on what is handed over wakes the thread.
  ///
  /// - Returns: false where something has been handed over already: it must not sleep.
  func prepareToSleep() -> Bool {
    inbox.withLock { inbox in
      guard !hasNews else { return false }
      inbox.isAsleep = true
      return true
    }
  }

  /// Connects, blocking: a thread of its own does this, so that deadlines pass meanwhile.
  func connect() {
    let outcome: Result<Locked<ClientConnection?>, ClientError>
    do throws(ClientError) {
      let connection = try ClientConnection.open(
        address, security: security, lane: options.lane, spinNanoseconds: options.spinNanoseconds,
        connectTimeoutNanoseconds: options.connectTimeoutNanoseconds)
      outcome = .success(Locked<ClientConnection?>(connection))
    } catch { outcome = .failure(error) }
    _ = handOver { inbox in
      inbox.connected = outcome
      return true
    }
  }

  func close() {
    _ = handOver { inbox in
      inbox.isClosed = true
      return true
    }
  }

  /// Everything handed over since the last time.
  func takeInbox() -> Inbox {
    inbox.withLock { inbox in
      let taken = inbox
      inbox.calls = []
      inbox.watches = []
      inbox.cancelled = []
      inbox.connected = nil
      inbox.isAsleep = false
      news.store(false, ordering: .relaxed)
      return taken
    }
  }
}
