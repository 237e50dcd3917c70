import ApusBase
import ApusIO
import ApusStream
import ApusTLS
import Glibc
import Synchronization

/// A TLS connection that shakes hands.
struct Handshaking: ~Copyable {
  let descriptor: Descriptor
  var session: TLSSession
  let begun: Instant
  /// The session cannot go on before the kernel takes what it wrote.
  var waitsForWriting = false

  init(descriptor: consuming Descriptor, session: consuming TLSSession, begun: Instant) {
    self.descriptor = descriptor
    self.session = session
    self.begun = begun
  }
}

/// Accepts TLS connections, shakes hands with them and hands them to the reactors, on a thread of its own and
/// of lower priority: a handshake computes for as long as a hundred calls take, and none of those waits for
/// it. Handshakes are bounded in number and in time.
struct Handshaker: ~Copyable {
  private let fleet: Fleet
  private let credentials: TLSCredentials
  private let mailbox: Mailbox
  private let poller: Poller
  private var table: SlotTable<Handshaking>
  private var slotsUsed = 0
  private var acceptingPaused = false
  private var draining = false
  private var drainDeadline = Instant.never
  private var nextSweep = Instant.never
  /// Connections that are done, by the reactor that will serve them.
  private var arrivals: [[Message]]

  /// While the table is full, a newcomer takes the place of the oldest handshake that has taken longer.
  private static let evictableNanoseconds: UInt64 = 100_000_000

  init(fleet: Fleet, credentials: TLSCredentials, mailbox: Mailbox) throws(SystemError) {
    let poller = try Poller()
    try poller.add(mailbox.wakeUp.descriptor, .readable, word: Reactor.mailboxWord)
    self.poller = poller
    self.fleet = fleet
    self.credentials = credentials
    self.mailbox = mailbox
    table = SlotTable(capacity: fleet.limits.handshakes)
    arrivals = Array(repeating: [], count: fleet.mailboxes.count)
  }

  /// Serves until a drain has ended.
  mutating func run(accepting listeners: borrowing ListenerSet) {
    Thread.lowerPriority()
    listeners.watch(by: poller)
    while !(draining && (table.count == 0 || Instant.now >= drainDeadline)) {
      let next = min(nextSweep, drainDeadline)
      let timeout = next == .never ? -1 : Int64(min(next.since(.now), 1 << 60))
      let count = poller.wait(timeoutNanoseconds: timeout)
      for index in 0..<count { handle(poller.event(index).word, listeners) }
      handOverAll()
      if Instant.now >= nextSweep { sweep(listeners) }
    }
  }

  private mutating func handle(_ word: UInt64, _ listeners: borrowing ListenerSet) {
    if word == Reactor.mailboxWord {
      for message in mailbox.take() { if case .drain = message { drain(listeners) } }
    } else if word >= Reactor.listenerWord {
      accept(from: listeners, Int(word - Reactor.listenerWord))
    } else {
      advance(SlotKey(rawValue: word))
    }
  }

  /// Whoever has connected is still served; nobody else comes.
  private mutating func drain(_ listeners: borrowing ListenerSet) {
    draining = true
    drainDeadline = Instant.now.advanced(by: fleet.limits.lingerNanoseconds)
    for which in 0..<listeners.count { while accept(from: listeners, which) {} }
    listeners.stop(watchedBy: poller)
  }

  /// Takes a few of the connections that wait, so that the handshakes under way go on; true when there may be
  /// more.
  @discardableResult
  private mutating func accept(from listeners: borrowing ListenerSet, _ which: Int) -> Bool {
    for _ in 0..<16 {
      guard table.count < table.capacity || evictOldest() else {
        pauseAccepting(listeners)
        return false
      }
      let number = listeners.accept(which)
      if number == -EMFILE || number == -ENFILE { pauseAccepting(listeners) }
      guard number >= 0 else { return false }
      begin(Descriptor(owning: number))
    }
    return true
  }

  private mutating func begin(_ descriptor: consuming Descriptor) {
    Address.setNoDelay(descriptor)
    do {
      let session = try TLSSession(
        server: credentials.current, transport: TLSTransport(socket: descriptor))
      let key = table.insert(Handshaking(descriptor: descriptor, session: session, begun: .now))
      slotsUsed = max(slotsUsed, key.index + 1)
      guard let place = table.pointer(to: key) else { return }
      if nextSweep == .never { scheduleSweep() }
      try poller.add(place.pointee.descriptor, .readable, word: key.rawValue)
      // A client's first bytes often come with its connection.
      advance(key)
    } catch {
      fleet.handshakes.failed.add(1, ordering: .relaxed)
    }
  }

  private mutating func advance(_ key: SlotKey) {
    guard let place = table.pointer(to: key) else { return }
    switch place.pointee.session.handshake() {
    case .done: handOver(key)
    case .wantsRead: wait(key, place, forWriting: false)
    case .wantsWrite: wait(key, place, forWriting: true)
    case .failed:
      if place.pointee.session.refusedCertificate { fleet.handshakes.untrusted.add(1, ordering: .relaxed) }
      fail(key)
    }
  }

  private func wait(_ key: SlotKey, _ place: UnsafeMutablePointer<Handshaking>, forWriting: Bool) {
    guard place.pointee.waitsForWriting != forWriting else { return }
    place.pointee.waitsForWriting = forWriting
    poller.change(place.pointee.descriptor, forWriting ? .writable : .readable, word: key.rawValue)
  }

  private mutating func handOver(_ key: SlotKey) {
    guard let done = table.take(key) else { return }
    poller.remove(done.descriptor)
    fleet.handshakes.completed.add(1, ordering: .relaxed)
    if done.session.isResumed { fleet.handshakes.resumed.add(1, ordering: .relaxed) }
    let session = Locked<TLSSession?>(done.session)
    let arrival = Arrival(descriptor: done.descriptor.release(), transport: .tls(session))
    arrivals[nextReactor()].append(.connection(arrival))
  }

  /// One that sleeps, as taking a connection over costs a busy one a few calls' time; among such, the one
  /// with the fewest connections, those on their way included.
  private func nextReactor() -> Int {
    arrivals.indices.min { load(of: $0) < load(of: $1) } ?? 0
  }

  private func load(of reactor: Int) -> (busy: UInt64, connections: Int) {
    let recorder = fleet.recorders[reactor]
    return (1 - recorder.value(.asleep), Int(recorder.value(.connectionsOpen)) + arrivals[reactor].count)
  }

  /// Wakes each reactor once for all that came in this turn: a wake-up costs a busy processor more than the
  /// connections do.
  private mutating func handOverAll() {
    for index in arrivals.indices where !arrivals[index].isEmpty {
      fleet.mailboxes[index].post(contentsOf: arrivals[index])
      arrivals[index].removeAll(keepingCapacity: true)
    }
  }

  private mutating func fail(_ key: SlotKey) {
    if table.remove(key) { fleet.handshakes.failed.add(1, ordering: .relaxed) }
  }

  // MARK: Bounds

  /// Makes room by ending the handshake that has taken longest; false when all have begun just now.
  private mutating func evictOldest() -> Bool {
    var oldest: (key: SlotKey, begun: Instant)?
    for slot in 0..<slotsUsed {
      guard let key = table.key(at: slot), let begun = table.pointer(to: key)?.pointee.begun else { continue }
      if oldest.map({ begun < $0.begun }) ?? true { oldest = (key, begun) }
    }
    guard let oldest, Instant.now.since(oldest.begun) >= Self.evictableNanoseconds else { return false }
    fail(oldest.key)
    return true
  }

  private mutating func pauseAccepting(_ listeners: borrowing ListenerSet) {
    guard !acceptingPaused, !draining else { return }
    acceptingPaused = true
    listeners.unwatch(by: poller)
    scheduleSweep()
  }

  private mutating func scheduleSweep() {
    nextSweep = Instant.now.advanced(by: Reactor.sweepNanoseconds)
  }

  private mutating func sweep(_ listeners: borrowing ListenerSet) {
    let now = Instant.now
    for slot in 0..<slotsUsed {
      guard let key = table.key(at: slot), let begun = table.pointer(to: key)?.pointee.begun,
        now.since(begun) >= fleet.limits.handshakeTimeoutNanoseconds
      else { continue }
      fail(key)
    }
    if acceptingPaused, !draining {
      acceptingPaused = false
      listeners.watch(by: poller)
    }
    if table.count > 0 { scheduleSweep() } else { nextSweep = .never }
  }
}
