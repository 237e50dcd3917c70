import ApusBase
import ApusIO
import ApusLog
import Synchronization

/// What all reactors share.
final class Fleet: Sendable {
  let limits: Limits
  /// One for each reactor, and behind them one for each service of calls from inside the process.
  let recorders: [Recorder]
  let mailboxes: [Mailbox]
  /// One for each reactor.
  let returns: [JobReturns]
  let pool: WorkerPool
  let access: AccessControl
  /// Of large calls and answers, of all connections.
  let memory: MemoryAccount
  private let current: Locked<Catalog>
  private let newest: Atomic<UInt64>
  /// The generation that each reactor serves.
  private let adopted: [Adopted]
  private let announced = Atomic<Bool>(false)
  private let draining = Atomic<Bool>(false)
  let refusals = RefusalLog()
  let handshakes = HandshakeCounters()
  /// Wakes whoever logs refusals.
  let attention: WakeUp
  /// nil: calls are not logged.
  let accessLog: AccessLog?
  /// nil: the models are those that the server was started with.
  let administration: Administration?
  let started: Instant

  private final class Adopted: Sendable {
    let generation: Atomic<UInt64>
    init(_ generation: UInt64) { self.generation = Atomic(generation) }
  }

  init(
    catalog: Catalog, limits: Limits, access: AccessControl, accessLog: AccessLog?,
    administration: Administration?, reactors: Int, workers: Int, localServices: Int
  ) throws(SystemError) {
    self.accessLog = accessLog
    self.access = access
    self.limits = limits
    memory = MemoryAccount(limit: limits.slabBytes)
    self.administration = administration
    current = Locked(catalog)
    newest = Atomic(catalog.generation)
    adopted = (0..<reactors).map { _ in Adopted(catalog.generation) }
    let slots = (catalog.slots.max() ?? -1) + 1
    recorders = (0..<reactors + localServices).map { _ in Recorder(models: slots) }
    var mailboxes: [Mailbox] = []
    for _ in 0..<reactors { mailboxes.append(try Mailbox()) }
    self.mailboxes = mailboxes
    returns = mailboxes.map { JobReturns($0) }
    pool = WorkerPool(workers: workers, limits, observer: administration?.observer)
    access.whenReplaced { [mailboxes] in for mailbox in mailboxes { mailbox.post(.watchesMayChange) } }
    attention = try WakeUp()
    started = .now
  }

  // MARK: Models

  /// The models that are served now.
  var catalog: Catalog { current.withLock { $0 } }

  /// The newest catalog's generation: whoever has another one takes the new one before the next call.
  var generation: UInt64 { newest.load(ordering: .acquiring) }

  /// Serves other models from the next call on. Calls that have begun end as they began.
  func install(_ catalog: Catalog) {
    let slots = (catalog.slots.max() ?? -1) + 1
    for recorder in recorders { recorder.reserve(slots: slots) }
    current.withLock { current in
      current = catalog
      newest.store(catalog.generation, ordering: .releasing)
    }
    for mailbox in mailboxes { mailbox.post(.watchesMayChange) }
  }

  /// A reactor tells that it has no earlier catalog any more.
  func adopted(_ generation: UInt64, by reactor: Int) {
    adopted[reactor].generation.store(generation, ordering: .releasing)
  }

  /// Whether every reactor serves this generation or a later one.
  func isAdopted(_ generation: UInt64) -> Bool {
    adopted.allSatisfy { $0.generation.load(ordering: .acquiring) >= generation }
  }

  // MARK: Ending

  /// Whether Health says already that the server ends, while calls are still answered.
  var isDrainAnnounced: Bool { announced.load(ordering: .relaxed) }
  func announceDrain() {
    announced.store(true, ordering: .relaxed)
    pool.beginDrain()
  }

  /// Whether the server has begun to end, in either way.
  var isDraining: Bool { isDrainAnnounced || draining.load(ordering: .relaxed) }
  func beginDrain() {
    draining.store(true, ordering: .relaxed)
    pool.beginDrain()
  }

  /// The reactor with the fewest connections.
  func leastLoaded() -> Int {
    mailboxes.indices.min { recorders[$0].value(.connectionsOpen) < recorders[$1].value(.connectionsOpen) }
      ?? 0
  }
}
