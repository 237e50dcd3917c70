import ApusBase
import ApusIO
import ApusServer
import ApusWire
import Glibc
import Logging

/// What the main thread does while the reactors serve: it waits for signals, reads changed files again and
/// logs what was refused.
struct ServeLoop: ~Copyable {
  let server: Server
  let security: ServeSecurity
  let manager: ServiceManager
  let logs: ServeLog
  private let log: Logger
  /// Refusals are logged once a second at most, so that no flood of them fills the log.
  private var quietUntil = Instant(nanoseconds: 0)
  private var watchdog = Watchdog()

  init(server: Server, security: ServeSecurity, manager: ServiceManager, logs: ServeLog) {
    self.server = server
    self.security = security
    self.manager = manager
    self.logs = logs
    log = logs.log
  }

  /// Returns after SIGTERM or SIGINT.
  mutating func run(_ signals: borrowing SignalSource) {
    if watchdog != nil { server.pingReactors() }
    while true {
      let isQuiet = Instant.now < quietUntil
      let signal = signals.wait(
        timeoutMilliseconds: timeoutMilliseconds(isQuiet || security.watchesFiles ? 1000 : -1),
        orReadable: isQuiet ? -1 : server.attention)
      tellWatchdog()
      switch signal {
      case SIGHUP:
        manager.reloading()
        security.reload(always: true)
        logs.reload()
        do throws(SystemError) { try server.rescanModels() } catch { log.error("\(error)") }
        manager.reloaded()
      case SIGUSR1: logs.beMoreVerbose()
      case SIGUSR2: logs.beLessVerbose()
      case 0:
        security.reload()
        if !isQuiet { logRefusals() }
      default:
        logRefusals()
        log.info("draining after signal \(signal)")
        return
      }
    }
  }

  /// The time-out, -1 for none, or the watchdog's where that is sooner.
  private func timeoutMilliseconds(_ others: Int32) -> Int32 {
    guard let watchdog else { return others }
    let own = watchdog.milliseconds(at: .now)
    return others < 0 ? own : min(others, own)
  }

  private mutating func tellWatchdog() {
    guard watchdog?.isDue(at: .now, allAnswered: server.haveReactorsAnswered) == true else { return }
    manager.alive()
    server.pingReactors()
  }

  private mutating func logRefusals() {
    server.heardAttention()
    let (counts, others) = server.refusals.take()
    guard !counts.isEmpty else { return }
    for (refusal, count) in counts {
      log.warning(
        """
        refused \(printable(refusal.identity)) \(refusal.attempt): \(refusal.code.name) \(refusal.reason), \
        \(count == 1 ? "once" : "\(count) times")
        """)
    }
    if others > 0 { log.warning("refused \(others) more calls") }
    quietUntil = Instant.now.advanced(by: 1_000_000_000)
  }
}
