import ApusBase
package import ApusIO
import Glibc
import Synchronization

/// The access log and the log of slow calls: takes the records out of every ring, makes lines of them and
/// writes them, on a thread of low priority.
///
/// ```swift
/// let log = try AccessLog(settings, models: names, output: output)
/// let ring = log.newRing()      // one for each thread that serves
/// try log.start()
/// …                             // ring.append(record)
/// log.stop()                    // when nothing is appended any more: writes what is left
/// ```
package final class AccessLog: Sendable {
  package struct Settings: Sendable {
    /// A file, or `-` for standard error; nil: calls are not logged.
    package var path: String?
    /// Lines that are written a second at most, slow calls not counted.
    package var maximumPerSecond = 10_000
    /// Calls that take longer are logged as warnings; 0: none is slow.
    package var slowNanoseconds: UInt64 = 0
    /// Records that a ring holds, a power of two.
    package var ringCapacity = 2048
    /// Between two looks at the rings.
    package var periodMilliseconds: Int32 = 50

    package init() {}

    /// Whether there is anything to log.
    package var isEnabled: Bool { path != nil || slowNanoseconds > 0 }
  }

  private let settings: Settings
  private let output: LogOutput
  /// The numbers of models' names in records.
  package let names: ModelNames
  private let rings = Locked<[AccessRing]>([])
  private let writer: Locked<AccessWriter?>
  private let thread = Locked<Thread?>(nil)
  private let wakeUp: WakeUp
  private let isStopping = Atomic<Bool>(false)
  private let mustReopen = Atomic<Bool>(false)
  private let counts = AccessCounts()

  /// Opens the file.
  ///
  /// - Parameters:
  ///   - models: names, whose numbers are their places; more may come.
  ///   - output: the server's own log, for slow calls and what goes wrong.
  package init(_ settings: Settings, models: [String] = [], output: LogOutput) throws(SystemError) {
    self.settings = settings
    self.output = output
    names = ModelNames(models)
    wakeUp = try WakeUp()
    writer = Locked(
      try AccessWriter(settings, lines: AccessLines(names: names), output: output, counts: counts))
  }

  /// A ring for one thread that serves.
  package func newRing() -> AccessRing {
    let slow = settings.slowNanoseconds
    let threshold = settings.path != nil ? 0 : slow > 0 ? slow + 1 : .max
    let ring = AccessRing(capacity: settings.ringCapacity, threshold: threshold)
    rings.withLock { $0.append(ring) }
    return ring
  }

  /// Lines written since the start, and calls of which there is none because a ring was full, there were too
  /// many a second, or the file took no more.
  package var written: UInt64 { counts.written.load(ordering: .relaxed) }
  package var dropped: UInt64 {
    rings.withLock { $0.reduce(counts.overLimit.load(ordering: .relaxed)) { $0 + $1.droppedCount } }
  }

  package func start() throws(SystemError) {
    try thread.withLock { (thread) throws(SystemError) in
      thread = try Thread(name: "apus-log") { [self] in
        Thread.lowerPriority()
        run()
      }
    }
  }

  /// Opens the file anew, for who has renamed it.
  package func reopen() {
    mustReopen.store(true, ordering: .releasing)
    wakeUp.signal()
  }

  /// Writes what is left in the rings and ends the thread. Nothing may be appended any more.
  package func stop() {
    isStopping.store(true, ordering: .releasing)
    wakeUp.signal()
    let taken = thread.withLock { $0.take() }
    taken?.join()
  }

  private func run() {
    guard var writer = writer.withLock({ $0.take() }) else { return }
    while true {
      // What was appended before the stop is seen by the pass after it.
      let isLast = isStopping.load(ordering: .acquiring)
      if mustReopen.exchange(false, ordering: .acquiring) { writer.reopen() }
      writer.pass(rings.withLock { $0 }, isLast: isLast)
      if isLast { return }
      var entry = pollfd(fd: wakeUp.descriptor.number, events: Int16(POLLIN), revents: 0)
      if poll(&entry, 1, settings.periodMilliseconds) > 0 { wakeUp.drain() }
    }
  }
}

/// What the writing thread counts and others read.
final class AccessCounts: Sendable {
  let written = Atomic<UInt64>(0)
  let overLimit = Atomic<UInt64>(0)
}
