import ApusAccess
package import ApusBase
import ApusEngine
package import ApusWire

/// A call from inside the process that a worker computes, while the thread of its service goes on with
/// others.
package final class WaitingCall: Sendable {
  private enum State {
    case awaited
    /// Back from the worker.
    case computed
    /// Nobody waits for the answer; its worker may still be at it.
    case abandoned
  }

  fileprivate let job: Job
  /// Without its numbers, which the job has.
  fileprivate let call: LocalCall
  fileprivate let model: LocalModel
  fileprivate let caller: LocalCaller
  private let state = Locked(State.awaited)

  /// When the answer is of no use any more; `.never`: there is no limit.
  package var deadline: Instant { job.question?.terms.deadline ?? .never }

  fileprivate init(_ job: Job, _ call: LocalCall, _ model: LocalModel, _ caller: LocalCaller) {
    self.job = job
    var call = call
    call.values = []
    self.call = call
    self.model = model
    self.caller = caller
  }

  /// On the worker's thread. `tell` runs under the lock, so that nobody is told after it was abandoned: the
  /// thread to be told may have ended by then.
  fileprivate func isBack(_ tell: () -> Void) {
    let isAwaited = state.withLock { state in
      guard state == .awaited else { return false }
      state = .computed
      tell()
      return true
    }
    if !isAwaited { end() }
  }

  /// - Returns: whether it is back already.
  fileprivate func abandon() -> Bool {
    state.withLock { state in
      defer { state = .abandoned }
      return state == .computed
    }
  }

  /// Gives back what it holds. Called once.
  fileprivate func end() {
    caller.leave()
    job.handBack = nil
    job.question = nil
  }
}

extension LocalService {
  /// What has become of a call.
  package enum Progress {
    case answered(LocalAnswer)
    /// A worker has it.
    case waiting(WaitingCall)
  }

  /// Classifies on this thread what takes little time, and lets a worker do the rest, so that neither short
  /// calls nor health wait behind it.
  ///
  /// - Parameters:
  ///   - flow: the connection's calls in the workers' queue.
  ///   - whenComputed: makes what tells this thread, from another one, that the call can be ended. It is made
  ///     for a call that waits alone.
  /// - Throws: what `classify` does, and RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED for a call that would come
  ///   too late, with the time after which to try again.
  package func begin(
    _ call: LocalCall, with model: LocalModel, by caller: LocalCaller, of flow: Flow,
    whenComputed: () -> @Sendable () -> Void
  ) throws(Status) -> Progress {
    guard let loaded = model.served.loaded,
      loaded.cost.nanoseconds(rows: call.rows) > Reactor.budgetNanoseconds
    else { return .answered(try classify(call, with: model, by: caller)) }
    do throws(Status) {
      try check(call, model, caller)
      let job = Job()
      job.question = try question(call, loaded, model, caller, flow)
      try enter(caller, rows: call.rows)
      let waiting = WaitingCall(job, call, model, caller)
      let tell = whenComputed()
      job.handBack = { _ in waiting.isBack(tell) }
      countWaiting(1)
      fleet.pool.submit(job, of: flow)
      return .waiting(waiting)
    } catch {
      refuse(call, error, model, by: caller)
      throw error
    }
  }

  private func question(
    _ call: LocalCall, _ loaded: LoadedModel, _ model: LocalModel, _ caller: LocalCaller, _ flow: Flow
  ) throws(Status) -> Job.Question {
    let terms = try terms(of: call, loaded, model, caller, flow)
    let classes = call.topK > 0 ? min(call.topK, model.classes) : model.classes
    let form = AnswerForm(
      rows: call.rows, classes: classes, allClasses: model.classes, hasIndices: call.topK > 0,
      hasScores: call.wantsScores, version: model.served.version)
    let bodyOffset = roundedUpTo64(call.values.count * loaded.plan.inputElement.byteCount)
    let memory = try memory(bodyOffset + form.bodyBytes)
    let input = memory.baseAddress
    do throws(NumbersError) { try loaded.plan.store(call.values, to: input) } catch {
      throw .inputRefused(error.description)
    }
    return Job.Question(
      model: loaded, rows: call.rows, form: form, input: UnsafeRawPointer(input), inputOwner: memory,
      texts: nil, body: input + bodyOffset, bodyOwner: memory, shadow: model.shadow,
      samplesDrift: loaded.drift != nil, terms: terms)
  }

  /// - Throws: why it may not wait.
  private func terms(
    of call: LocalCall, _ loaded: LoadedModel, _ model: LocalModel, _ caller: LocalCaller, _ flow: Flow
  ) throws(Status) -> Job.Terms {
    let now = Instant.now
    let deadline = call.timeoutNanoseconds > 0 ? call.begun.advanced(by: call.timeoutNanoseconds) : .never
    guard now < deadline else { throw .deadlinePassed }
    guard callsWaiting < fleet.limits.queuedCalls else { throw .queueFull }
    let priority = (caller.standing?.grants.limits ?? .none).priority(asked: call.priority)
    let refusal = fleet.pool.refusal(
      of: priority, flow, rows: call.rows, loaded.cost, deadline: deadline, at: now)
    if let refusal { throw refusal }
    let batch = model.served.batchTerms(loaded, fleet.limits)
    return Job.Terms(
      priority: priority, deadline: deadline, received: call.received,
      mostRows: batch.mostRows(with: call.rows), mostDelayNanoseconds: batch.mostDelayNanoseconds,
      concurrency: batch.concurrency)
  }

  /// Memory of a call for its input and answer, counted with those of large calls. A small one always has it,
  /// and one that is alone.
  private func memory(_ byteCount: Int) throws(Status) -> Slab {
    let own = MemoryAccount(limit: .max)
    guard let memory = MappedBuffer(byteCount: byteCount) else { throw .memoryExhausted }
    if let lease = MemoryLease(byteCount, of: fleet.memory, for: own) { return Slab(memory, lease) }
    guard byteCount <= Self.smallBytes || fleet.memory.heldBytes == 0 else { throw .memoryExhausted }
    return Slab(memory, MemoryLease(owed: byteCount, of: fleet.memory, for: own))
  }

  private static let smallBytes = 64 << 10

  // MARK: Ending

  /// The answer of a call that is back.
  ///
  /// - Throws: INVALID_ARGUMENT for numbers that the model does not allow, DEADLINE_EXCEEDED when the call's
  ///   time was over before it was computed.
  package func end(_ waiting: WaitingCall) throws(Status) -> LocalAnswer {
    countWaiting(-1)
    defer { waiting.end() }
    let (call, model, outcome) = (waiting.call, waiting.model, waiting.job.outcome)
    guard outcome.failure == nil, let question = waiting.job.question else {
      let failure = outcome.failure ?? .deadlinePassed
      refuse(call, failure, model, by: waiting.caller)
      throw failure
    }
    var answer = LocalAnswer(question)
    let now = Instant.now
    answer.time = TimeAccount(
      CallTimes(
        firstByte: call.begun, received: call.received, begun: outcome.begun, computed: outcome.computed,
        rows: outcome.batchRows),
      written: now)
    count(
      answer.time, of: call, model, waiting.caller, batchRows: outcome.opensBatch ? outcome.batchRows : 0)
    return answer
  }

  /// Ends a call whose time is over.
  ///
  /// - Returns: DEADLINE_EXCEEDED; nil where a worker has begun: then there will be an answer.
  package func expire(_ waiting: WaitingCall) -> Status? {
    guard fleet.pool.withdraw(waiting.job) else { return nil }
    countWaiting(-1)
    waiting.end()
    refuse(waiting.call, .deadlinePassed, waiting.model, by: waiting.caller)
    return .deadlinePassed
  }

  /// Forgets a call whose answer nobody waits for any more.
  package func abandon(_ waiting: WaitingCall) {
    countWaiting(-1)
    if fleet.pool.withdraw(waiting.job) || waiting.abandon() { waiting.end() }
  }
}

extension LocalAnswer {
  /// Of a call that a worker has computed.
  ///
  /// Invariant of the unsafe code: the body holds what the form says.
  fileprivate init(_ question: Job.Question) {
    let form = question.form
    func numbers<Number>(_ offset: Int, _ count: Int, _: Number.Type) -> [Number] {
      let start = (question.body + offset).assumingMemoryBound(to: Number.self)
      return Array(UnsafeBufferPointer(start: start, count: count))
    }
    let kept = form.rows * form.classes
    self.init(
      rows: form.rows, classes: form.classes, probabilities: numbers(0, kept, Float.self),
      indices: form.hasIndices ? numbers(form.indicesOffset, kept, UInt32.self) : [],
      scores: form.hasScores ? numbers(form.scoresOffset, form.rows * form.allClasses, Float.self) : [])
  }
}
