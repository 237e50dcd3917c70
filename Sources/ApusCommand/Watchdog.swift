import ApusBase
import ApusServer
import Glibc

/// The service manager's watchdog (sd_watchdog_enabled(3)): it kills the service unless it hears from it in
/// time. It hears twice as often, but only while every reactor answers: each is asked by its mailbox, as a
/// connection would be, and one that has not come round keeps the next message back.
struct Watchdog {
  private let periodNanoseconds: UInt64
  private var next: Instant

  /// While a reactor has not answered, the wait for the next look, in parts of the period.
  private static let looksPerPeriod: UInt64 = 8

  /// - Parameters:
  ///   - microseconds: `WATCHDOG_USEC`, within which the manager wants to hear.
  ///   - process: `WATCHDOG_PID`; nil speaks to whoever reads it.
  /// - Returns: nil where the manager does not watch this process.
  init?(microseconds: String?, process: String?, now: Instant) {
    guard let microseconds = microseconds.flatMap({ UInt64($0) }), (1...1 << 50).contains(microseconds),
      process == nil || process.flatMap({ pid_t($0) }) == getpid()
    else { return nil }
    periodNanoseconds = microseconds * 500
    next = now.advanced(by: periodNanoseconds)
  }

  init?() {
    func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
    self.init(microseconds: variable("WATCHDOG_USEC"), process: variable("WATCHDOG_PID"), now: .now)
  }

  /// Until the next turn, at least 1.
  func milliseconds(at now: Instant) -> Int32 { Int32(clamping: next.since(now) / 1_000_000 + 1) }

  /// Whether the manager is to hear from the service now, and the reactors are to be asked anew.
  mutating func isDue(at now: Instant, allAnswered: Bool) -> Bool {
    guard now >= next else { return false }
    next = now.advanced(by: allAnswered ? periodNanoseconds : periodNanoseconds / Self.looksPerPeriod)
    return allAnswered
  }
}
