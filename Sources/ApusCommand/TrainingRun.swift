import ApusBase
import ApusIO
import CLinux
@preconcurrency import Glibc

/// Runs a command in a process group of its own, to its end or to the end of its time.
struct TrainingRun: ~Copyable {
  /// Why it is over. In all cases no process of the group is left.
  enum Outcome: Equatable {
    case ended(ChildEnd)
    case timedOut
    /// By a signal of this number to this process, which was passed on.
    case interrupted(Int32)
  }

  /// Between the first signal and SIGKILL.
  static let graceNanoseconds: UInt64 = 10_000_000_000

  private let process: pid_t
  /// Readable once the process has ended.
  private let ended: Descriptor
  private var deadline: Instant
  private var outcome: Outcome?

  /// - Parameter limitNanoseconds: how long it may run; 0: without limit.
  /// - Throws: where the command cannot be started.
  init(_ start: ChildStart, limitNanoseconds: UInt64) throws(SystemError) {
    var start = start
    start.leadsGroup = true
    let process = try start.start()
    ended = try Self.watch(process, start.program)
    self.process = process
    deadline = .deadline(after: limitNanoseconds)
  }

  private static func watch(_ process: pid_t, _ program: String) throws(SystemError) -> Descriptor {
    let descriptor = clinux_process_descriptor(process)
    if descriptor >= 0 { return Descriptor(owning: descriptor) }
    kill(-process, SIGKILL)
    _ = waitForChild(process)
    throw SystemError("watch \(program)", errorNumber: -descriptor)
  }

  /// Returns when the command has ended. What it leaves running is killed, as it could still write.
  consuming func run(_ signals: borrowing SignalSource) -> Outcome {
    let survivesHangUp = isIgnored(SIGHUP)
    while true {
      let signal = signals.wait(timeoutMilliseconds: milliseconds, orReadable: [ended.number])
      switch signal {
      case 0: if Instant.now >= deadline { end(.timedOut, SIGTERM) }
      case SIGUSR1, SIGUSR2: kill(-process, signal)
      case SIGHUP where survivesHangUp: break
      default: end(.interrupted(signal), signal)
      }
      if isReadable(ended) { break }
    }
    // Until it is waited for, the number is no other group's.
    kill(-process, SIGKILL)
    let end = waitForChild(process)
    return outcome ?? .ended(end)
  }

  /// Asks the group to end, and the second time makes it.
  private mutating func end(_ reason: Outcome, _ signal: Int32) {
    guard outcome == nil else {
      kill(-process, SIGKILL)
      deadline = .never
      return
    }
    outcome = reason
    kill(-process, signal)
    // One that was stopped ends too.
    kill(-process, SIGCONT)
    deadline = .now.advanced(by: Self.graceNanoseconds)
  }

  /// Until the deadline, rounded up; -1: there is none.
  private var milliseconds: Int32 {
    guard deadline != .never else { return -1 }
    return Int32(clamping: (deadline.since(.now) + 999_999) / 1_000_000)
  }
}

/// Whether the parent process wanted a signal to be ignored, as `nohup` does.
func isIgnored(_ signal: Int32) -> Bool {
  var action = sigaction()
  guard sigaction(signal, nil, &action) == 0 else { return false }
  // SIG_IGN is 1 in a pointer's place, and no function.
  return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
}

private func isReadable(_ descriptor: borrowing Descriptor) -> Bool {
  var entry = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
  return poll(&entry, 1, 0) > 0
}
