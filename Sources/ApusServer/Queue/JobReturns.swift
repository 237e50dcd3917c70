import ApusBase
import ApusIO
import Synchronization

/// Jobs on their way back to the reactor that owns them, which looks for them while it is awake and is woken
/// when it sleeps.
final class JobReturns: Sendable {
  private let jobs = Locked<ContiguousArray<Job>>([])
  private let count = Atomic<Int>(0)
  /// The reactor sleeps, or is about to.
  private let isAwaited = Atomic<Bool>(false)
  private let mailbox: Mailbox

  init(_ mailbox: Mailbox) { self.mailbox = mailbox }

  func add(_ job: Job) {
    jobs.withLock { jobs in
      jobs.append(job)
      count.store(jobs.count, ordering: .sequentiallyConsistent)
    }
    if isAwaited.exchange(false, ordering: .sequentiallyConsistent) { mailbox.wakeUp.signal() }
  }

  @inline(__always)
  var isEmpty: Bool { count.load(ordering: .acquiring) == 0 }

  /// - Parameter taken: empty; gets the jobs, and lends its memory for the next ones.
  func take(_ taken: inout ContiguousArray<Job>) {
    jobs.withLock { jobs in
      swap(&jobs, &taken)
      count.store(0, ordering: .sequentiallyConsistent)
    }
  }

  /// Asks for being woken.
  ///
  /// - Returns: false when a job has come back already: no time to sleep.
  func prepareToSleep() -> Bool {
    isAwaited.store(true, ordering: .sequentiallyConsistent)
    return count.load(ordering: .sequentiallyConsistent) == 0
  }

  func woke() { isAwaited.store(false, ordering: .relaxed) }
}
