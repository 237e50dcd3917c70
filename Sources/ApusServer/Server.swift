package import ApusBase
import ApusEngine
package import ApusIO
package import ApusLog
import Synchronization

/// A running server: its sockets, a thread for each reactor, and one that shakes hands with TLS clients.
package final class Server: Sendable {
  package struct Configuration: Sendable {
    package var listen: [Address] = []
    /// Sockets of the service manager, served beside `listen`.
    package var passed: [PassedSocket] = []
    /// Mode bits of the socket files.
    package var socketMode: UInt32 = 0o660
    package var threads = 1
    /// Threads that compute models whose calls take long.
    package var workers = 1
    /// Threads beside the reactors that call models from inside the process, each by a service of its own.
    package var localServices = 0
    package var spinNanoseconds: UInt64 = 50_000
    package var limits = Limits()
    /// For the addresses that are encrypted.
    package var credentials: TLSCredentials?
    package var access = AccessControl(nil)
    /// nil: calls are not logged. It is started and, after the drain, stopped by whoever made it.
    package var accessLog: AccessLog?
    /// nil: the models stay those of the catalog.
    package var administration: Administration?

    package init() {}
  }

  let fleet: Fleet
  /// Of large calls and answers.
  package var memory: MemoryAccount { fleet.memory }
  package let localServices: [LocalService]
  private let listeners: SharedListeners
  private let running = Joinable()
  private let encrypted: SharedListeners
  private let handshaking = Joinable()
  private let handshaker: Mailbox
  let credentials: TLSCredentials?
  /// Of the metrics' last text, so that the next one finds its memory.
  let metricsBytes = Atomic<Int>(0)

  /// The addresses, with the ports that the kernel chose.
  package var addresses: [Address] { listeners.set.addresses + encrypted.set.addresses }

  /// Opens the sockets and starts the threads: from here on clients are answered.
  package init(catalog: Catalog, _ configuration: Configuration) throws(SystemError) {
    let threads = max(1, configuration.threads)
    fleet = try Fleet(
      catalog: catalog, limits: configuration.limits, access: configuration.access,
      accessLog: configuration.accessLog, administration: configuration.administration, reactors: threads,
      workers: configuration.workers, localServices: configuration.localServices)
    let fleet = fleet
    credentials = configuration.credentials
    localServices = (0..<configuration.localServices).map { LocalService(fleet: fleet, index: threads + $0) }
    warmUpBLAS(threads: threads)
    // All that a reactor needs is made before clients can come and use it up.
    var reactors: [Locked<Reactor?>] = []
    for index in 0..<threads {
      reactors.append(
        Locked(try Reactor(fleet: fleet, index: index, spinNanoseconds: configuration.spinNanoseconds)))
    }
    handshaker = try Mailbox()
    var first: Locked<Handshaker?>?
    if let credentials = configuration.credentials {
      first = Locked(try Handshaker(fleet: fleet, credentials: credentials, mailbox: handshaker))
    }
    let mode = configuration.socketMode
    listeners = SharedListeners(
      try ListenerSet(
        configuration.listen.filter { !$0.isEncrypted },
        passed: configuration.passed.filter { !$0.address.isEncrypted }, mode: mode))
    encrypted = SharedListeners(
      try ListenerSet(
        configuration.listen.filter { $0.isEncrypted },
        passed: configuration.passed.filter { $0.address.isEncrypted }, mode: mode))
    do throws(SystemError) {
      for (index, reactor) in reactors.enumerated() { try start(reactor, index) }
      if let first, encrypted.set.count > 0 { try start(first) }
      try fleet.administration?.start(fleet)
    } catch {
      for mailbox in fleet.mailboxes { mailbox.post(.drain) }
      running.join()
      throw error
    }
  }

  /// Starts a thread, which takes its reactor over.
  private func start(_ reactor: Locked<Reactor?>, _ index: Int) throws(SystemError) {
    let accepting = index == 0 ? listeners : SharedListeners(try ListenerSet([], mode: 0))
    running.add(
      try Thread(name: "apus-reactor-\(index)") {
        guard var reactor = reactor.withLock({ $0.take() }) else { return }
        reactor.run(accepting: accepting.set)
      })
  }

  private func start(_ handshaker: Locked<Handshaker?>) throws(SystemError) {
    let accepting = encrypted
    handshaking.add(
      try Thread(name: "apus-tls") {
        guard var handshaker = handshaker.withLock({ $0.take() }) else { return }
        handshaker.run(accepting: accepting.set)
      })
  }

  /// What was refused, and the means to wait for it.
  package var refusals: RefusalLog { fleet.refusals }
  package var attention: Int32 { fleet.attention.descriptor.number }
  package func heardAttention() { fleet.attention.drain() }

  /// What the server calls itself: `0.1.0`.
  package var version: String { String(serverVersion.dropFirst("apus/".count)) }

  /// Looks for models that were placed in the repository by hand since the start.
  package func rescanModels() throws(SystemError) { try fleet.administration?.rescan() }

  /// Whether it takes calls: not since a drain began.
  package var isReady: Bool { !fleet.isDraining }

  /// Says in Health from now on that the server ends; it still answers.
  package func announceDrain() {
    fleet.announceDrain()
    for mailbox in fleet.mailboxes { mailbox.post(.watchesMayChange) }
  }

  /// Asks every reactor for a sign of life: it gives one when it comes round.
  package func pingReactors() {
    for mailbox in fleet.mailboxes { mailbox.ping() }
  }

  /// Whether every reactor has come round since it was asked.
  package var haveReactorsAnswered: Bool { fleet.mailboxes.allSatisfy { $0.hasAnsweredPing } }

  /// Stops accepting, says goaway to every client, answers what was sent before, and returns when all threads
  /// have ended.
  package func drain() {
    fleet.beginDrain()
    // Whoever shakes hands still reaches a reactor.
    handshaker.post(.drain)
    handshaking.join()
    // The first reactor accepts; it passes the word on when it has accepted its last connection.
    fleet.mailboxes[0].post(.drain)
    // What is asked of administration is answered before its callers' connections end.
    fleet.administration?.stop()
    running.join()
    fleet.pool.stop()
  }
}

/// Listeners that reactor threads look at; the set itself never changes.
private final class SharedListeners: Sendable {
  let set: ListenerSet
  init(_ set: consuming ListenerSet) { self.set = set }
}
