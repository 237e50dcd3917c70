import ApusBase
import ApusWire

/// Calls that wait for the same threads, and the decision which may.
struct AdmittedQueue {
  private var queue = JobQueue()
  private var admission: Admission

  init(threads: Int, _ limits: Limits) {
    admission = Admission(threads: threads, mostNanoseconds: limits.queueNanoseconds)
  }

  var isEmpty: Bool { queue.isEmpty }
  var count: Int { queue.count }

  /// The work that waits, in nanoseconds of one thread.
  var nanoseconds: UInt64 { queue.nanoseconds(before: .batch) }

  /// Of the work that may wait, how much does: 0 idle, 1 saturated.
  func load(at now: Instant) -> Float { admission.load(queued: nanoseconds, at: now) }

  /// Why a call of so many rows may not wait; nil: it may.
  func refusal(
    of priority: CallPriority, _ flow: Flow, rows: Int, _ cost: ModelCost, deadline: Instant, at now: Instant
  ) -> Status? {
    let own = cost.nanoseconds(rows: rows)
    let refusal = admission.refusal(
      queued: queue.nanoseconds(before: priority, of: flow, taking: own), own: own, deadline: deadline,
      at: now)
    if refusal?.code == .deadlineExceeded { cost.doubted() }
    return refusal
  }

  /// As `JobQueue` does.
  mutating func add(_ job: Job, of flow: Flow) { queue.add(job, of: flow) }

  /// As `JobQueue` does.
  mutating func remove(_ job: Job) -> Bool { queue.remove(job) }

  /// Takes the next batch for a thread.
  ///
  /// - Parameters:
  ///   - goesOn: whether there was more to do when the thread ended its batch before.
  ///   - all: whether nothing waits for others any more.
  mutating func take(
    _ jobs: inout ContiguousArray<Job>, by thread: Int, goesOn: Bool, at now: Instant, all: Bool
  ) -> JobQueue.Next {
    let next = queue.take(&jobs, at: now, all: all)
    if next == .batch, let model = jobs[0].question?.model {
      admission.began(
        thread, expectedNanoseconds: model.cost.nanoseconds(rows: jobs.rows), goesOn: goesOn, at: now)
    }
    return next
  }

  /// A thread has computed its batch.
  mutating func ended(_ model: LoadedModel, by thread: Int, areLate: Bool, at now: Instant) {
    queue.ended(model)
    admission.ended(thread, at: now)
    admission.answered(areLate: areLate, at: now)
  }
}

extension ContiguousArray<Job> {
  /// Of all of them.
  var rows: Int {
    var rows = 0
    for place in 0..<count { rows += self[place].rows }
    return rows
  }
}
