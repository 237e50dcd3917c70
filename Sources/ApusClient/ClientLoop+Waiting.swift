import ApusBase
import ApusIO
import ApusStream

/// How the I/O thread waits: at a lane it looks around for as long as calls keep coming, because a look takes
/// no system call and being woken many times what a call takes; then it sleeps.
extension ClientLoop {
  mutating func waitForEvents() {
    let next = nextDeadline
    if !poll(until: next) { sleep(until: next) }
  }

  /// When something is to be done though nothing happens.
  private var nextDeadline: Instant {
    var next = inFlight.values.map(\.deadline).min() ?? .never
    for call in waiting {
      next = min(next, call.deadline)
      if call.notBefore.nanoseconds > 0 { next = min(next, call.notBefore) }
      if !isConnected && !isConnecting { next = min(next, max(call.notBefore, connectNotBefore)) }
    }
    if !watches.waiting.isEmpty, !isConnected, !isConnecting { next = min(next, connectNotBefore) }
    return next
  }

  private static let looksWithoutClock = 64

  /// Looks at the lane, and for calls, for as long as that has helped.
  ///
  /// - Returns: whether there is something to do.
  private mutating func poll(until next: Instant) -> Bool {
    guard let window = connection?.pollingNanoseconds, window > 0 else { return false }
    let end = min(next, .now.advanced(by: window))
    repeat {
      for _ in 0..<Self.looksWithoutClock {
        if core.hasNews || connection?.stream.hasBuffered ?? false {
          connection?.polling.succeeded()
          return true
        }
        pauseProcessor()
      }
    } while Instant.now < end
    connection?.polling.failed()
    return false
  }

  private mutating func sleep(until next: Instant) {
    // The bell of a lane tells of room, too.
    watchForRoom(connection?.waitsForSocket ?? false)
    let maySleep = core.prepareToSleep() && connection?.stream.prepareToSleep() ?? true
    let slept = Instant.now
    let timeout: Int64 = !maySleep ? 0 : next == .never ? -1 : max(1, Int64(clamping: next.since(slept)))
    let count = poller.wait(timeoutNanoseconds: timeout)
    for index in 0..<count {
      if poller.event(index).word == Self.wakeUpWord {
        core.wakeUp.drain()
      } else {
        connection?.stream.noteSocket()
      }
    }
    if count > 0 { connection?.polling.woke(afterNanoseconds: Instant.now.since(slept)) }
  }

  private mutating func watchForRoom(_ isWanted: Bool) {
    guard isWanted != watchesForRoom else { return }
    switch connection {
    case .some(let open):
      let interest: Readiness = isWanted ? [.readable, .writable] : .readable
      poller.change(open.stream.descriptor, interest, word: Self.socketWord)
      watchesForRoom = isWanted
    case .none: break
    }
  }
}

extension ClientConnection {
  /// How long the I/O thread looks around before it sleeps. Room for what is unsent is told of by a bell.
  fileprivate var pollingNanoseconds: UInt64 { isLane && !hasUnsent ? polling.windowNanoseconds : 0 }
}
