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

  init(server: Server, security: ServeSecurity, manager: ServiceManager, logs: ServeLog) {
    self.server = server
    self.security = security
    self.manager = manager
    self.logs = logs
    log = logs.log
  }

  /// Returns after SIGTERM or SIGINT.
  mutating func run(_ signals: borrowing SignalSource) {
    while true {
      let isQuiet = Instant.now < quietUntil
      let signal = signals.wait(
        timeoutMilliseconds: isQuiet || security.watchesFiles ? 1000 : -1,
        orReadable: isQuiet ? -1 : server.attention)
      switch signal {
      case SIGHUP:
        manager.reloading()
        security.reload(always: true)
        logs.reload()
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
