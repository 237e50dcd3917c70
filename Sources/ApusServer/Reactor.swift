import ApusBase
import ApusEngine
import ApusIO
import ApusLog
import ApusStream
import ApusWire
import Glibc
import Synchronization

/// A request in the receive ring, found but not yet answered.
struct Pending {
  var offset: Int
  var header: FrameHeader
  var layout: FrameLayout
  var cancelled: Bool
}

/// One thread's whole world: it reads the requests of its connections, computes and answers, and shares
/// nothing with the other reactors but counters. All its memory is taken here; a call takes none.
///
/// Invariant of the unsafe code in this struct and its extensions: a pointer to a `Connection` comes from
/// `connections` and is not used after `close`; `pending` holds `limits.callsInFlight` places; `answers`
/// holds what was made for the connection at hand and is empty between two connections.
struct Reactor: ~Copyable {
  let fleet: Fleet
  let index: Int
  let recorder: Recorder
  /// Changes between two batches of frames alone.
  var catalog: Catalog
  let limits: Limits
  let decoder: FrameDecoder
  let laneDecoder: FrameDecoder
  let poller: Poller
  var connections: SlotTable<Connection>
  let arena: MetadataArena
  let answers: AlignedBuffer
  var answerBytes = 0
  let pending: UnsafeMutablePointer<Pending>
  /// As large as the models of `catalog` need.
  var buffers: ModelBuffers
  /// Body and then metadata of an answer with labels, while it is made.
  let labelled: AlignedBuffer
  let labels: UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>
  var polling: AdaptivePolling
  /// The time as it was read last: what has begun since then has begun then. Reading it costs as much as a
  /// small layer.
  var clock = Instant(nanoseconds: 0)
  var timedConnections = 0
  var slotsUsed = 0
  var nextSweep = Instant.never
  /// The process has no descriptors left; the next sweep tries again.
  var acceptingPaused = false
  var draining = false
  var drainDeadline = Instant.never
  /// The only connection that was active in the last turn, which is then polled directly.
  var hot: SlotKey?
  /// What is told of each call, and of the one at hand.
  let accessRing: AccessRing
  var named = NamedCall()
  var connectionsAdopted: UInt64 = 0
  /// Calls that wait for the end of the turn, to be computed by the reactor itself.
  var ownQueue: AdmittedQueue
  /// Whether more waited when the last batch ended.
  var ownQueueGoesOn = false
  /// When the queue's next batch is ready, if nothing else comes.
  var nextOwnBatch = Instant(nanoseconds: 0)
  /// What the reactor has computed since it looked for what has come, and how many connections it found then.
  var turnNanoseconds: UInt64 = 0
  var readyConnections = 0
  /// Jobs that wait, are computed, or are answered; those of an earlier catalog keep its versions in memory.
  var jobsInUse = 0
  var jobsWaiting = 0
  /// Calls of the frames at hand that stay in flight as jobs, for callers with a limit.
  var heldCalls = 0
  var jobsOfEarlierCatalogs = 0
  var spareJobs: ContiguousArray<Job> = []
  /// Those that are being answered.
  var jobsAtHand: ContiguousArray<Job> = []
  /// After calls of this turn were refused.
  var overloadPause = OverloadPause()
  /// When the first call that waits has waited for too long.
  var nextJobDeadline = Instant.never
  let pieceMemory: PieceMemory
  /// By the versions' places in `catalog`.
  var rowRings: [Int: RowRing] = [:]
  /// The large frame at hand.
  var slabAtHand: Slab?
  let returns: JobReturns
  let handBack: @Sendable (Job) -> Void
  /// Lanes that have not been asked for a bell: they are looked at.
  var awakeLanes: [SlotKey] = []
  /// Connections that hold decrypted or buffered bytes, of which the poller knows nothing.
  var unread: [SlotKey] = []

  /// State of the random numbers by which canaries get their calls (Marsaglia's xorshift, 64 bits).
  private var random: UInt64

  mutating func nextDraw() -> UInt64 {
    random ^= random << 13
    random ^= random >> 7
    random ^= random << 17
    return random
  }

  /// Requests of all turns before the last.
  var requestsBefore: UInt64 = 0

  /// With an atomic in it the reactor is passed by its address. Without, each call of a method that changes
  /// nothing copies all of it, many times in a Classify.
  private let address = Atomic<Bool>(false)

  /// Break between two looks for more, for each call of the last turn over `callsWithoutBreak`: who makes
  /// many calls at a time takes longer for the next ones, and a look is a system call.
  static let breakNanosecondsPerCall: UInt64 = 32
  static let callsWithoutBreak: UInt64 = 16
  /// Every so many looks one is epoll's.
  static let looksDirectly = 8
  /// Lanes are looked at for so long before epoll is asked again, for the others.
  static let laneNanoseconds: UInt64 = 20_000
  static let looksWithoutClock = 16
  static let listenerWord: UInt64 = 0xFFFF_FFFF_0000_0000
  static let mailboxWord = UInt64.max
  static let sweepNanoseconds: UInt64 = 20_000_000
  static let quietNanoseconds: UInt64 = 200_000_000
  static let labelCapacity = 8192

  init(fleet: Fleet, index: Int, spinNanoseconds: UInt64) throws(SystemError) {
    guard let pieceMemory = PieceMemory(calls: fleet.limits.queuedCalls) else {
      throw SystemError("take memory for answers", errorNumber: ENOMEM)
    }
    let poller = try Poller()
    try poller.add(fleet.mailboxes[index].wakeUp.descriptor, .readable, word: Self.mailboxWord)
    self.poller = poller
    self.pieceMemory = pieceMemory
    self.fleet = fleet
    self.index = index
    recorder = fleet.recorders[index]
    catalog = fleet.catalog
    limits = fleet.limits
    decoder = FrameDecoder(reader: .server, limits: fleet.limits)
    laneDecoder = FrameDecoder(reader: .lane, limits: fleet.limits)
    connections = SlotTable(capacity: fleet.limits.connections)
    arena = MetadataArena(byteCount: fleet.limits.metadataArenaBytes)
    answers = AlignedBuffer(byteCount: fleet.limits.answerBufferBytes)
    pending = .allocate(capacity: fleet.limits.callsInFlight)
    buffers = ModelBuffers(catalog.needs, limits)
    labelled = AlignedBuffer(byteCount: fleet.limits.answerBufferBytes / 4 + fleet.limits.metadataBytes)
    labels = .allocate(capacity: Self.labelCapacity)
    accessRing = fleet.accessLog?.newRing() ?? .disabled
    ownQueue = AdmittedQueue(threads: 1, limits)
    let returns = fleet.returns[index]
    self.returns = returns
    handBack = { returns.add($0) }
    random = .random(in: 1...UInt64.max)
    polling = AdaptivePolling(maximumNanoseconds: spinNanoseconds)
    awakeLanes.reserveCapacity(min(limits.lanes, 1024))
    unread.reserveCapacity(min(limits.lanes, 1024))
    recorder.set(.answerBytes, UInt64(answers.bytes.count + labelled.bytes.count))
    recorder.set(.workspaceBytes, UInt64(buffers.byteCount))
    recorder.set(
      .arenaBytes,
      UInt64(limits.metadataArenaBytes + limits.callsInFlight * MemoryLayout<Pending>.stride))
  }

  deinit {
    pending.deallocate()
    labels.deallocate()
  }

  /// Serves until a drain has ended.
  mutating func run(accepting listeners: borrowing ListenerSet) {
    listeners.watch(by: poller)
    while !isFinished {
      let count = waitForEvents()
      let now = Instant.now
      clock = max(clock, now)
      hot = nil
      beginTurn(ready: count + unread.count)
      for position in 0..<count { handle(poller.event(position), of: count, at: now, listeners) }
      advanceUnread(at: now)
      takeReturns()
      computeOwnBatch(at: clock)
      expireJobs(at: now)
      recorder.set(.callsWaiting, UInt64(ownQueue.count))
      if now >= nextSweep { sweep(at: now, listeners) }
    }
    for slot in 0..<slotsUsed { if let key = connections.key(at: slot) { close(key) } }
  }

  private var isFinished: Bool { draining && (connections.count == 0 || Instant.now >= drainDeadline) }

  private mutating func handle(
    _ event: (word: UInt64, readiness: Readiness), of count: Int, at now: Instant,
    _ listeners: borrowing ListenerSet
  ) {
    if event.word == Self.mailboxWord {
      let messages = fleet.mailboxes[index].take()
      takeCatalog()
      for message in messages { receive(message, listeners) }
    } else if event.word >= Self.listenerWord {
      accept(from: listeners, Int(event.word - Self.listenerWord))
    } else {
      let key = SlotKey(rawValue: event.word)
      guard let connection = connections.pointer(to: key) else { return }
      if connection.pointee.stream.isLane {
        guard noteSocket(key, connection) else { return }
      } else if count == 1 {
        hot = key
      }
      advance(key, event.readiness, at: now)
    }
  }

  // MARK: Time-outs

  /// Gives a connection a time-out, or takes it away.
  mutating func setDeadline(_ connection: UnsafeMutablePointer<Connection>, _ deadline: Instant) {
    let had = connection.pointee.deadline != .never
    connection.pointee.deadline = deadline
    let has = deadline != .never
    if had != has { timedConnections += has ? 1 : -1 }
    if has, nextSweep == .never { nextSweep = Instant.now.advanced(by: Self.sweepNanoseconds) }
  }

  private mutating func sweep(at now: Instant, _ listeners: borrowing ListenerSet) {
    for slot in 0..<slotsUsed {
      guard let key = connections.key(at: slot), let connection = connections.pointer(to: key),
        connection.pointee.deadline <= now
      else { continue }
      expire(key, connection)
    }
    if acceptingPaused, !draining {
      acceptingPaused = false
      listeners.watch(by: poller)
    }
    nextSweep = timedConnections > 0 ? now.advanced(by: Self.sweepNanoseconds) : .never
  }

  // MARK: Messages and new connections

  private mutating func receive(_ message: Message, _ listeners: borrowing ListenerSet) {
    switch message {
    case .connection(let arrival): adopt(arrival)
    case .watchesMayChange: updateWatches()
    case .answer(let answer): take(answer)
    case .ping: fleet.mailboxes[index].answerPing()
    case .drain:
      guard !draining else { return }
      draining = true
      if index == 0 { stopAccepting(listeners) }
      drainDeadline = Instant.now.advanced(by: limits.drainNanoseconds)
      for slot in 0..<slotsUsed { if let key = connections.key(at: slot) { sayGoaway(key) } }
    }
  }

  /// Whoever has connected already is told, too. The other reactors drain only now, so that no connection is
  /// on its way to one that has ended.
  private mutating func stopAccepting(_ listeners: borrowing ListenerSet) {
    listeners.removeFiles()
    for which in 0..<listeners.count { while accept(from: listeners, which) {} }
    listeners.stop(watchedBy: poller)
    for mailbox in fleet.mailboxes.dropFirst(index + 1) { mailbox.post(.drain) }
  }

  /// Takes up to 64 of the connections that wait; true when there may be more.
  @discardableResult
  private mutating func accept(from listeners: borrowing ListenerSet, _ which: Int) -> Bool {
    for _ in 0..<64 {
      let descriptor = listeners.accept(which)
      if descriptor == -EMFILE || descriptor == -ENFILE { pauseAccepting(listeners) }
      guard descriptor >= 0 else { return false }
      recorder.add(.systemCalls)
      let arrival = Arrival(descriptor: descriptor, transport: listeners.transport(which))
      let target = fleet.leastLoaded()
      if target == index { adopt(arrival) } else { fleet.mailboxes[target].post(.connection(arrival)) }
    }
    return true
  }

  /// Without a free descriptor the waiting connection stays, and epoll would report it without end.
  private mutating func pauseAccepting(_ listeners: borrowing ListenerSet) {
    guard !acceptingPaused else { return }
    acceptingPaused = true
    listeners.unwatch(by: poller)
    if nextSweep == .never { nextSweep = Instant.now.advanced(by: Self.sweepNanoseconds) }
  }
}
