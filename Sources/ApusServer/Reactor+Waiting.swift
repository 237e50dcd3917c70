import ApusBase
import ApusIO
import ApusStream
import Glibc

/// How a reactor waits for what comes: it polls while calls keep coming, and then sleeps.
extension Reactor {
  mutating func beginTurn(ready: Int) {
    readyConnections = ready
    turnNanoseconds = 0
  }

  /// Whether there is something to do that no event tells of.
  var hasWork: Bool {
    !unread.isEmpty || !returns.isEmpty || !ownQueue.isEmpty && nextOwnBatch <= clock
  }

  /// Polls for the adaptive window, then sleeps.
  mutating func waitForEvents() -> Int {
    if overloadPause.isDue {
      usleep(UInt32(overloadPause.take() / 1000))
      return lookAround()
    }
    guard !hasWork else { return lookAround() }
    if polling.windowNanoseconds > 0 {
      let count = poll()
      if count > 0 || hasWork {
        polling.succeeded()
        recorder.add(.wakeUpsSaved)
        return count
      }
      polling.failed()
    }
    guard armLanes(), returns.prepareToSleep() else { return poller.wait(timeoutNanoseconds: 0) }
    let slept = Instant.now
    recorder.add(.sleeps)
    recorder.add(.systemCalls)
    recorder.add(.asleep)
    let count = poller.wait(timeoutNanoseconds: timeoutNanoseconds(at: slept))
    recorder.subtract(.asleep)
    returns.woke()
    polling.woke(afterNanoseconds: Instant.now.since(slept))
    return count
  }

  /// What has come while there is something to do.
  mutating func lookAround() -> Int {
    if !awakeLanes.isEmpty {
      beginTurn(ready: awakeLanes.count)
      advanceAwakeLanes()
    }
    recorder.add(.systemCalls)
    return poller.wait(timeoutNanoseconds: 0)
  }

  /// Looks for events without sleeping. Lanes are looked at each time, which takes no system call. The one
  /// busy connection is read directly, which saves asking epoll first; every eighth look is epoll's, so that
  /// nobody else waits. Where only lanes are busy epoll is asked now and then.
  mutating func poll() -> Int {
    var now = Instant.now
    var idleSince = now
    var end = now.advanced(by: polling.windowNanoseconds)
    defer { recorder.add(.pollingNanoseconds, now.since(idleSince)) }
    var looks = 0
    var breakNanoseconds = breakAfterTurn()
    var nextAsked = now.advanced(by: Self.laneNanoseconds)
    while true {
      looks += 1
      if hasWork || overloadPause.isDue { return 0 }
      beginTurn(ready: 1)
      let looksAtLanesAlone = hot == nil && !awakeLanes.isEmpty
      let isDirect = looks % Self.looksDirectly != 0
      if !awakeLanes.isEmpty && advanceAwakeLanes() || isDirect && pollHot() {
        polling.succeeded()
        recorder.add(.wakeUpsSaved)
        breakNanoseconds = breakAfterTurn()
        recorder.add(.pollingNanoseconds, now.since(idleSince))
        (now, idleSince) = (clock, clock)
        end = clock.advanced(by: polling.windowNanoseconds)
        guard looksAtLanesAlone && now >= nextAsked else { continue }
      } else if looksAtLanesAlone, looks % Self.looksWithoutClock != 0 {
        // A look at lanes takes less than one at the clock.
        pauseProcessor()
        continue
      }
      if looksAtLanesAlone ? now >= nextAsked : !isDirect || hot == nil {
        recorder.add(.systemCalls)
        let count = poller.wait(timeoutNanoseconds: 0)
        if count > 0 { return count }
        recorder.add(.polls)
      }
      now = .now
      clock = max(clock, now)
      if now >= end || now >= nextSweep || now >= nextJobDeadline { return 0 }
      if looksAtLanesAlone, now >= nextAsked { nextAsked = now.advanced(by: Self.laneNanoseconds) }
      if breakNanoseconds > 0 {
        now = min(end, now.advanced(by: breakNanoseconds))
        now.spin()
      }
    }
  }

  mutating func pollHot() -> Bool {
    guard let hot else { return false }
    return pollDirectly(hot)
  }

  mutating func breakAfterTurn() -> UInt64 {
    let requests = recorder.value(.requests)
    defer { requestsBefore = requests }
    let calls = requests - requestsBefore
    return calls > Self.callsWithoutBreak
      ? (calls - Self.callsWithoutBreak) * Self.breakNanosecondsPerCall : 0
  }

  func timeoutNanoseconds(at now: Instant) -> Int64 {
    let ofJobs = min(nextJobDeadline, ownQueue.isEmpty ? .never : nextOwnBatch)
    let next = min(min(nextSweep, drainDeadline), ofJobs)
    return next == .never ? -1 : Int64(min(next.since(now), 1 << 60))
  }
}
