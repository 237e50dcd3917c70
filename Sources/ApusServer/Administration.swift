import ApusBase
package import ApusIO
import ApusModels
import ApusWire
import Glibc
import Synchronization

/// The service that changes models while they are served. A thread of its own does what is asked, one act
/// after the other; another one loads, so that a large model holds up no other act. Both let calls go first.
package final class Administration: Sendable {
  enum Event: Sendable {
    case call(AdministrationCall)
    case loaded(UInt64, ModelLoader.Outcome)
    case step(UInt64, ModelLoader.Step)
    case verified(UInt64, Result<[UInt8], ModelError>)
    case rescan
    case stop
  }

  private struct Inbox {
    var events: [Event] = []
    var bytes = 0
    var isStopped = false
  }

  /// Bytes of requests that may wait.
  private static let mostBytes = 64 << 20

  private let inbox = Locked(Inbox())
  private let wakeUp: WakeUp
  /// Until the threads run, or the server ends.
  private let platform: Locked<Platform?>
  private let fleet = Locked<Fleet?>(nil)
  private let running = Joinable()
  let loads: LoadQueue
  let observer: Observer

  /// - Parameter platform: what this owns from now on.
  package init(_ platform: Platform) throws(SystemError) {
    wakeUp = try WakeUp()
    loads = try LoadQueue()
    observer = try Observer()
    self.platform = Locked(platform)
  }

  /// Hands a request on.
  ///
  /// - Throws: RESOURCE_EXHAUSTED when too much waits, UNAVAILABLE when the server ends.
  func submit(_ call: AdministrationCall) throws(Status) {
    try inbox.withLock { inbox throws(Status) in
      guard !inbox.isStopped else { throw .serverEnds }
      guard inbox.bytes + call.byteCount <= Self.mostBytes else { throw .memoryExhausted }
      inbox.bytes += call.byteCount
      inbox.events.append(.call(call))
    }
    wakeUp.signal()
    do throws(SystemError) { try run() } catch { throw .memoryExhausted }
  }

  func post(_ event: Event) {
    inbox.withLock { $0.events.append(event) }
    wakeUp.signal()
  }

  /// Looks for versions that were placed by hand since the start.
  package func rescan() throws(SystemError) {
    post(.rescan)
    try run()
  }

  /// From here on it can be asked. Until it is, there are no threads, unless calls are watched,
  /// mirrored, or looked at for drift.
  func start(_ fleet: Fleet) throws(SystemError) {
    let watches = platform.withLock { platform in
      self.fleet.withLock { $0 = fleet }
      return platform?.models.values.contains { model in
        model.record.canary != nil || model.record.shadow > 0
          || model.versions.values.contains { $0.loaded?.drift != nil }
      } == true
    }
    if watches { try run() }
  }

  /// Starts the threads, once.
  private func run() throws(SystemError) {
    guard let fleet = fleet.withLock({ $0 }), let platform = platform.withLock({ $0.take() }) else { return }
    let first = Locked<Platform?>(platform)
    loads.start(self)
    running.add(
      try Thread(name: "apus-admin") { [self] in
        Thread.lowerPriority()
        guard var administrator = administrator(of: first, fleet) else { return }
        run(&administrator)
      })
    running.add(
      try Thread(name: "apus-loader") { [loads] in
        Thread.lowerPriority()
        loads.run()
      })
    running.add(
      try Thread(name: "apus-observer") { [observer] in
        Thread.lowerPriority()
        observer.run()
      })
  }

  /// Ends the threads when the act at hand is done. What waits is refused.
  func stop() {
    loads.stop()
    observer.stop()
    let isIdle = platform.withLock { $0.take() } != nil
    if isIdle { inbox.withLock { $0.isStopped = true } }
    post(.stop)
    running.join()
    fleet.withLock { $0 = nil }
  }

  /// In a function of its own, so that no copy of the platform outlives it and keeps models in memory.
  private func administrator(of platform: Locked<Platform?>, _ fleet: Fleet) -> PlatformAdministrator? {
    platform.withLock { $0.take() }.map { PlatformAdministrator($0, fleet, self) }
  }

  private func run(_ administrator: inout PlatformAdministrator) {
    while true {
      var entry = pollfd(fd: wakeUp.descriptor.number, events: Int16(POLLIN), revents: 0)
      _ = poll(&entry, 1, administrator.timeoutMilliseconds)
      wakeUp.drain()
      let events = inbox.withLock { inbox in
        defer { (inbox.events, inbox.bytes) = ([], 0) }
        return inbox.events
      }
      for (place, event) in events.enumerated() {
        if case .stop = event { return end(&administrator, events.dropFirst(place)) }
        administrator.handle(event)
      }
      administrator.tick()
    }
  }

  private func end(_ administrator: inout PlatformAdministrator, _ events: ArraySlice<Event>) {
    let waiting = inbox.withLock { inbox in
      inbox.isStopped = true
      return events + inbox.events
    }
    for case .call(let call) in waiting { call.reply.send(.failure(.serverEnds)) }
    administrator.end()
  }
}

extension Status {
  static let serverEnds = Status(
    .unavailable, "NOT_PROCESSED", "this server is shutting down; try another", retryAfterNanoseconds: 1)
}
