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
  /// nil where somebody else says that the models have changed, or nobody can.
  private var models: FolderWatch?

  init(
    server: Server, security: ServeSecurity, manager: ServiceManager, logs: ServeLog,
    models: consuming FolderWatch?
  ) {
    self.server = server
    self.security = security
    self.manager = manager
    self.logs = logs
    log = logs.log
    self.models = models
  }

  /// Returns after SIGTERM or SIGINT.
  mutating func run(_ signals: borrowing SignalSource) {
    if watchdog != nil { server.pingReactors() }
    while true {
      let isQuiet = Instant.now < quietUntil
      let signal = signals.wait(
        timeoutMilliseconds: timeoutMilliseconds(isQuiet || security.watchesFiles ? 1000 : -1),
        orReadable: [isQuiet ? -1 : server.attention, models?.number ?? -1])
      tellWatchdog()
      switch signal {
      case SIGHUP:
        manager.reloading()
        security.reload(always: true)
        logs.reload()
        rescanModels()
        manager.reloaded()
      case SIGUSR1: logs.beMoreVerbose()
      case SIGUSR2: logs.beLessVerbose()
      case 0:
        security.reload()
        if models?.hasComeToRest(at: .now) == true { rescanModels() }
        if !isQuiet { logRefusals() }
      default:
        logRefusals()
        log.info("draining after signal \(signal)")
        return
      }
    }
  }

  /// The shortest of the time-outs; -1: there is none.
  private func timeoutMilliseconds(_ other: Int32) -> Int32 {
    let now = Instant.now
    let all = [other, watchdog?.milliseconds(at: now) ?? -1, models?.milliseconds(at: now) ?? -1]
    return all.filter { $0 >= 0 }.min() ?? -1
  }

  private func rescanModels() {
    do throws(SystemError) { try server.rescanModels() } catch { log.error("\(error)") }
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
