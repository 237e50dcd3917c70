import ApusBase
import ApusIO
import ArgumentParser
import Glibc

/// Work on a thread of its own, while this one waits for its end or for a signal.
final class Interruptible: Sendable {
  private let ended: WakeUp
  private let outcome = Locked<ExitCode?>(nil)

  private init() throws(SystemError) { ended = try WakeUp() }

  /// - Parameter work: may throw an `ExitCode`, after its reason was written to standard error.
  /// - Returns: the signal that came first, upon which the process is to end, as the work goes on; nil: none.
  /// - Throws: what the work did, or `SystemError`.
  static func run(
    _ signals: borrowing SignalSource, _ work: @escaping @Sendable () throws -> Void
  ) throws -> Int32? {
    let run = try Interruptible()
    let thread = try Thread(name: "apus-publish") {
      let code = result(of: work)
      run.outcome.withLock { $0 = code }
      run.ended.signal()
    }
    let survivesHangUp = isIgnored(SIGHUP)
    while true {
      let signal = signals.wait(orReadable: [run.ended.descriptor.number])
      if let code = run.outcome.withLock({ $0 }) {
        thread.join()
        guard code == .success else { throw code }
        return nil
      }
      switch signal {
      case 0, SIGUSR1, SIGUSR2: break
      case SIGHUP where survivesHangUp: break
      default: return signal
      }
    }
  }

  private static func result(of work: () throws -> Void) -> ExitCode {
    do {
      try work()
      return .success
    } catch let code as ExitCode {
      return code
    } catch { return failure("\(error)") }
  }
}
