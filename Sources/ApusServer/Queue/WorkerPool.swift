import ApusBase
import ApusIO
import ApusWire
import Synchronization

/// Threads that compute what takes long, so that no other call waits behind it. They are started by the first
/// such call.
final class WorkerPool: Sendable {
  private struct State {
    var queue: AdmittedQueue
    /// Threads that run.
    var alive = 0
    /// No batch waits for others any more.
    var isDraining = false
    var isEnding = false
  }

  private let state: Monitor<State>
  private let workers: Int
  private let limits: Limits
  private let observer: Observer?
  private let running = Joinable()
  private let isStarted = Atomic<Bool>(false)
  /// Of the work that may wait, as `Float` bits.
  private let loadBits = Atomic<UInt32>(0)
  private let waitingCount = Atomic<Int>(0)

  /// After the reactors have ended, threads may take so long to end their batches.
  private static let endNanoseconds: UInt64 = 1_000_000_000

  init(workers: Int, _ limits: Limits, observer: Observer?) {
    self.workers = max(1, workers)
    self.limits = limits
    self.observer = observer
    state = Monitor(State(queue: AdmittedQueue(threads: max(1, workers), limits)))
  }

  /// 0 idle, 1 saturated.
  var load: Float { Float(bitPattern: loadBits.load(ordering: .relaxed)) }
  /// Calls that wait.
  var waiting: Int { waitingCount.load(ordering: .relaxed) }

  /// Why a call may not wait for a thread; nil: it may.
  func refusal(
    of priority: CallPriority, _ flow: Flow, rows: Int, _ cost: ModelCost, deadline: Instant, at now: Instant
  ) -> Status? {
    state.withLock { $0.queue.refusal(of: priority, flow, rows: rows, cost, deadline: deadline, at: now) }
  }

  /// Gives a job to the threads; it is handed back by one of them.
  func submit(_ job: Job, of flow: Flow) {
    state.withLock { state in
      state.queue.add(job, of: flow)
      publish(state, at: .now)
    }
    start()
    state.notifyOne()
  }

  /// Takes a job back that no thread has begun.
  ///
  /// - Returns: false when one has: then it is handed back.
  func withdraw(_ job: Job) -> Bool {
    state.withLock { state in
      defer { publish(state, at: .now) }
      return state.queue.remove(job)
    }
  }

  private func publish(_ state: State, at now: Instant) {
    loadBits.store(state.queue.load(at: now).bitPattern, ordering: .relaxed)
    waitingCount.store(state.queue.count, ordering: .relaxed)
  }

  // MARK: Threads

  private func start() {
    guard !isStarted.load(ordering: .relaxed), !isStarted.exchange(true, ordering: .relaxed) else { return }
    for worker in 0..<workers {
      // One is enough to go on with; without any, the next call tries again.
      guard
        let thread = try? Thread(
          name: "apus-worker-\(worker)",
          { [self] in
            Thread.lowerPriorityALittle()
            run(worker)
          })
      else { return isStarted.store(worker > 0, ordering: .relaxed) }
      state.withLock { $0.alive += 1 }
      running.add(thread)
    }
  }

  private func run(_ worker: Int) {
    var buffers = ModelBuffers(ModelNeeds(), limits)
    var jobs = ContiguousArray<Job>()
    while next(worker, &jobs) {
      // The one that was woken for what still waits may be this one.
      if waiting > 0 { state.notifyOne() }
      guard let model = jobs[0].question?.model else { continue }
      let isLate = buffers.compute(&jobs, observer)
      state.withLock { state in
        let now = Instant.now
        state.queue.ended(model, by: worker, areLate: isLate, at: now)
        publish(state, at: now)
      }
      for place in 0..<jobs.count { jobs[place].handBack?(jobs[place]) }
    }
    state.withLock { $0.alive -= 1 }
    state.notifyAll()
  }

  /// Waits for a batch; false when there will be none.
  private func next(_ worker: Int, _ jobs: inout ContiguousArray<Job>) -> Bool {
    jobs.removeAll(keepingCapacity: true)
    var goesOn = true
    return state.waiting { state in
      let now = Instant.now
      switch state.queue.take(&jobs, by: worker, goesOn: goesOn, at: now, all: state.isDraining) {
      case .nothing where state.isEnding: return .done(false)
      case .nothing(let time):
        goesOn = false
        return .sleep(until: time)
      case .batch:
        publish(state, at: now)
        return .done(true)
      }
    }
  }

  /// From here on batches are computed as they are: callers wait for their answers with the whole server.
  func beginDrain() {
    state.withLock { $0.isDraining = true }
    state.notifyAll()
  }

  /// Ends the threads when what waits is computed. One that does not come back in time is left behind: the
  /// process ends without it, and what it writes to stays until then.
  func stop() {
    state.withLock { ($0.isDraining, $0.isEnding) = (true, true) }
    state.notifyAll()
    let deadline = Instant.deadline(after: Self.endNanoseconds)
    let haveEnded = state.waiting { state in
      state.alive == 0 ? .done(true) : Instant.now >= deadline ? .done(false) : .sleep(until: deadline)
    }
    if haveEnded { running.join() }
  }
}
