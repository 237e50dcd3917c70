import ApusAccess
import ApusBase
import ApusEngine
import ApusWire
import Synchronization

/// Calls that wait: for a worker, where they take long, or for the end of the turn, to be computed with those
/// of other connections.
extension Reactor {
  /// How a call is computed.
  enum Way {
    /// By the reactor, where it lies.
    case atOnce
    /// By the reactor, with others that have come meanwhile.
    case together
    /// By a worker.
    case byWorker
  }

  /// Most time for what the reactor computes before it looks for what has come: nobody waits longer behind
  /// it.
  static let budgetNanoseconds: UInt64 = 200_000
  /// The same where there is one client alone, so that nobody waits but who asked.
  static let budgetAloneNanoseconds: UInt64 = 1_000_000
  /// Waiting for others gains nothing where a call takes less than what waiting costs.
  static let leastGathered: UInt64 = 4_000

  private var turnBudgetNanoseconds: UInt64 {
    connections.count == 1 ? Self.budgetAloneNanoseconds : Self.budgetNanoseconds
  }

  /// The way of a call.
  func way(of call: PreparedCall, _ model: LoadedModel) -> Way {
    let cost = model.cost.nanoseconds(rows: call.rows)
    let budget = turnBudgetNanoseconds
    if cost > budget { return .byWorker }
    if call.batch.mostDelayNanoseconds > 0, call.rows < call.batch.mostRows { return .together }
    let gains = cost > Self.leastGathered
    // Nobody overtakes those that found no room in a turn.
    if gains, model.overflowing.load(ordering: .relaxed) > 0 { return .byWorker }
    guard ownQueue.isEmpty, turnNanoseconds + cost <= budget else {
      // What does not fit into a turn makes larger batches elsewhere, unless the way there costs more.
      let waits = turnNanoseconds + ownQueue.nanoseconds + cost > budget
      return gains && waits ? .byWorker : .together
    }
    return readyConnections > 1 && gains && call.batch.mostRows > 1 ? .together : .atOnce
  }

  /// Most calls of a run that the reactor may compute now.
  func fittingRun(_ model: LoadedModel) -> Int {
    let budget = turnBudgetNanoseconds
    return model.cost.rows(in: budget > turnNanoseconds ? budget - turnNanoseconds : 0)
  }

  // MARK: Coming

  /// Lets a call wait.
  ///
  /// - Throws: RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED for one that would come too late, with the time after
  ///   which to try again.
  mutating func wait(
    _ frame: Pending, _ way: Way, _ base: UnsafeRawPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) throws(Status) {
    let call = connection.pointee.prepared
    guard let model = catalog.models[call.modelIndex].loaded else { return }
    let firstByte = min(connection.pointee.oldest, now)
    let ofCaller = connection.pointee.standing?.grants.limits ?? .none
    let priority = ofCaller.priority(asked: call.priority)
    let deadline = call.timeoutNanoseconds > 0 ? firstByte.advanced(by: call.timeoutNanoseconds) : .never
    // As many as there are places left for others (Choudhury and Hahne, 1998), so that some always are.
    guard connection.pointee.jobs.count < limits.queuedCalls - jobsWaiting else { throw .queueFull }
    let refusal =
      way == .byWorker
      ? fleet.pool.refusal(
        of: priority, connection.pointee.pooledFlow, rows: call.rows, model.cost, deadline: deadline, at: now)
      : ownQueue.refusal(
        of: priority, connection.pointee.ownFlow, rows: call.rows, model.cost, deadline: deadline, at: now)
    if let refusal {
      if refusal.code == .resourceExhausted { overloadPause.refused(deadline, at: now) }
      throw refusal
    }
    let job = spareJob()
    do throws(Status) {
      let terms = Job.Terms(
        priority: priority, deadline: deadline, received: now,
        mostRows: mostRows(of: call, model, way), mostDelayNanoseconds: call.batch.mostDelayNanoseconds,
        concurrency: call.batch.concurrency)
      try fill(job, frame, call, model, terms, base, connection)
    } catch {
      release(job)
      throw error
    }
    job.request.connection = key
    job.request.requestID = frame.header.requestID
    job.request.frameBytes = frame.layout.frameBytes
    job.request.firstByte = firstByte
    job.request.received = now
    job.request.isPooled = way == .byWorker
    job.request.index = connection.pointee.jobs.count
    connection.pointee.jobs.append(job)
    connection.pointee.newestJobID = max(connection.pointee.newestJobID, frame.header.requestID)
    jobsInUse += 1
    jobsWaiting += 1
    hold(job, connection)
    nextJobDeadline = min(nextJobDeadline, deadline)
    if way == .byWorker {
      if model.cost.nanoseconds(rows: call.rows) <= Self.budgetNanoseconds {
        job.request.isOverflowing = true
        model.overflowing.add(1, ordering: .relaxed)
      }
      job.handBack = handBack
      fleet.pool.submit(job, of: connection.pointee.pooledFlow)
    } else {
      ownQueue.add(job, of: connection.pointee.ownFlow)
      nextOwnBatch = Instant(nanoseconds: 0)
    }
  }

  /// Jobs are made many at a time, so that traffic soon makes none.
  private mutating func spareJob() -> Job {
    if spareJobs.isEmpty { for _ in 0..<max(128, jobsInUse) { spareJobs.append(Job()) } }
    return spareJobs.removeLast()
  }

  /// A caller with a limit of calls in flight has one more until this is answered.
  private mutating func hold(_ job: Job, _ connection: UnsafeMutablePointer<Connection>) {
    guard let standing = connection.pointee.standing, standing.grants.limits.maximumInFlight != nil else {
      return
    }
    job.request.standing = standing
    heldCalls += 1
  }

  private func mostRows(of call: PreparedCall, _ model: LoadedModel, _ way: Way) -> Int {
    let most = call.holdsTexts ? call.rows : call.batch.mostRows(with: call.rows)
    guard way != .byWorker, most > call.rows else { return most }
    return max(call.rows, min(most, model.cost.rows(in: Self.budgetNanoseconds)))
  }

  // MARK: Going

  /// The reactor's own batch of this turn, if there is one.
  mutating func computeOwnBatch(at now: Instant) {
    guard !ownQueue.isEmpty else { return }
    switch ownQueue.take(&jobsAtHand, by: 0, goesOn: ownQueueGoesOn, at: now, all: draining) {
    case .nothing(let time): nextOwnBatch = time
    case .batch:
      nextOwnBatch = Instant(nanoseconds: 0)
      guard let model = jobsAtHand[0].question?.model else { return }
      let isLate = buffers.compute(&jobsAtHand, fleet.administration?.observer)
      clock = .now
      ownQueue.ended(model, by: 0, areLate: isLate, at: clock)
      ownQueueGoesOn = !ownQueue.isEmpty
      answerJobs()
    }
  }

  /// Takes what workers have computed.
  mutating func takeReturns() {
    guard !returns.isEmpty else { return }
    jobsAtHand.removeAll(keepingCapacity: true)
    returns.take(&jobsAtHand)
    answerJobs()
  }

  /// Refuses the calls whose time is over while they wait, to the millisecond.
  mutating func expireJobs(at now: Instant) {
    guard now >= nextJobDeadline else { return }
    nextJobDeadline = .never
    for slot in 0..<slotsUsed {
      guard let key = connections.key(at: slot), let connection = connections.pointer(to: key),
        !connection.pointee.jobs.isEmpty
      else { continue }
      expireJobs(of: key, connection, at: now)
    }
    nextJobDeadline = max(nextJobDeadline, now.advanced(by: Self.betweenExpiries))
  }

  private static let betweenExpiries: UInt64 = 500_000

  private mutating func expireJobs(
    of key: SlotKey, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) {
    for job in connection.pointee.jobs {
      guard let deadline = job.question?.terms.deadline else { continue }
      if deadline > now {
        nextJobDeadline = min(nextJobDeadline, deadline)
      } else if withdraw(job) {
        job.outcome.failure = .deadlinePassed
        guard answer(job, key, connection) else { return }
      }
    }
    if flush(key, connection) { endWhenAnswered(key, connection) }
  }

  /// Takes a job out of its queue; false when it is being computed.
  mutating func withdraw(_ job: Job) -> Bool {
    job.request.isPooled ? fleet.pool.withdraw(job) : ownQueue.remove(job)
  }

  /// A request of a cancel frame that still waits.
  ///
  /// - Returns: false when the connection was closed.
  mutating func cancelJob(
    _ requestID: UInt64, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    guard let job = connection.pointee.jobs.first(where: { $0.request.requestID == requestID }),
      withdraw(job)
    else { return true }
    job.outcome.failure = Self.cancelled
    return answer(job, key, connection)
  }

  /// Nobody waits for the answers of a connection that has closed. What is being computed comes back later.
  mutating func dropJobs(of connection: UnsafeMutablePointer<Connection>) {
    for job in connection.pointee.jobs {
      job.request.connection = nil
      jobsWaiting -= 1
      if withdraw(job) { end(job) }
    }
    connection.pointee.jobs.removeAll()
    for job in connection.pointee.done { end(job) }
    connection.pointee.done.removeAll()
  }

  // MARK: Ending

  /// Forgets a job whose request has been answered, or needs no answer.
  mutating func end(_ job: Job) {
    job.request.standing?.usage.leave(1)
    if let catalog = job.request.catalog, catalog.generation != self.catalog.generation {
      jobsOfEarlierCatalogs -= 1
      tellAdopted()
    }
    jobsInUse -= 1
    recorder.set(.inFlight, UInt64(jobsInUse))
    release(job)
  }

  /// Gives back what a job holds.
  private mutating func release(_ job: Job) {
    if let ring = job.request.ring, let input = job.question?.input {
      ring.give(back: input, rows: job.rows)
    }
    job.request.inputPiece?.giveBack()
    job.request.answerPiece?.giveBack()
    if job.request.isOverflowing { job.question?.model.overflowing.subtract(1, ordering: .relaxed) }
    job.question = nil
    job.outcome = Job.Outcome()
    job.handBack = nil
    job.request = WaitingRequest()
    spareJobs.append(job)
  }
}

extension Connection {
  /// Takes a job out of the list of those that its peer waits for.
  mutating func forget(_ job: Job) {
    let last = jobs.removeLast()
    guard last !== job else { return }
    jobs[job.request.index] = last
    last.request.index = job.request.index
  }

  /// Whether a request of this id waits to be computed, or for the peer to take its answer.
  func hasJob(_ requestID: UInt64) -> Bool {
    jobs.contains { $0.request.requestID == requestID } || done.contains { $0.request.requestID == requestID }
  }

  /// Another thread, or a later turn, answers requests of this connection.
  var awaitsAnswers: Bool { !deferred.isEmpty || !jobs.isEmpty || !done.isEmpty }
}
