import ApusAccess
import ApusBase
import ApusEngine
import ApusFeatures
import ApusLane
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

  /// The way of a call.
  func way(of call: PreparedCall, _ model: LoadedModel, _ terms: BatchTerms) -> Way {
    let cost = model.cost.nanoseconds(rows: call.rows)
    let budget = connections.count == 1 ? Self.budgetAloneNanoseconds : Self.budgetNanoseconds
    if cost > budget { return .byWorker }
    if terms.mostDelayNanoseconds > 0, call.rows < terms.mostRows { return .together }
    let gains = cost > Self.leastGathered
    // Nobody overtakes those that found no room in a turn.
    if gains, model.overflowing.load(ordering: .relaxed) > 0 { return .byWorker }
    guard ownQueue.isEmpty, turnNanoseconds + cost <= budget else {
      // What does not fit into a turn makes larger batches elsewhere, unless the way there costs more.
      let waits = turnNanoseconds + ownQueue.nanoseconds(before: .batch) + cost > budget
      return gains && waits ? .byWorker : .together
    }
    return readyConnections > 1 && gains && terms.mostRows > 1 ? .together : .atOnce
  }

  /// Most calls of a run that the reactor may compute now.
  func fittingRun(_ model: LoadedModel) -> Int {
    let budget = connections.count == 1 ? Self.budgetAloneNanoseconds : Self.budgetNanoseconds
    return model.cost.rows(in: budget > turnNanoseconds ? budget - turnNanoseconds : 0)
  }

  // MARK: Coming

  /// Lets a call wait.
  ///
  /// - Throws: RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED for one that would come too late, with the time after
  ///   which to try again.
  mutating func wait(
    _ frame: Pending, _ way: Way, _ batch: BatchTerms, _ base: UnsafeRawPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) throws(Status) {
    let call = connection.pointee.prepared
    guard let model = catalog.models[call.modelIndex].loaded else { return }
    let firstByte = min(connection.pointee.oldest, now)
    let priority =
      connection.pointee.standing?.grants.limits.priority(asked: call.priority) ?? call.priority
      ?? .interactive
    let deadline = call.timeoutNanoseconds > 0 ? firstByte.advanced(by: call.timeoutNanoseconds) : .never
    // As many as there are places left for others (Choudhury and Hahne, 1998), so that some always are.
    guard connection.pointee.jobs.count < limits.queuedCalls - jobsWaiting else { throw .queueFull }
    let own = model.cost.nanoseconds(rows: call.rows)
    let refusal =
      way == .byWorker
      ? fleet.pool.refusal(of: priority, taking: own, deadline: deadline, at: now)
      : ownAdmission.refusal(
        queued: ownQueue.nanoseconds(before: priority), own: own, deadline: deadline, at: now)
    if let refusal { throw refusal }
    let job = spareJob()
    do throws(Status) {
      let terms = Job.Terms(
        priority: priority, deadline: deadline, received: now,
        mostRows: mostRows(of: call, model, batch, way), mostDelayNanoseconds: batch.mostDelayNanoseconds,
        concurrency: batch.concurrency)
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
      if own <= Self.budgetNanoseconds {
        job.request.isOverflowing = true
        model.overflowing.add(1, ordering: .relaxed)
      }
      job.handBack = handBack
      connection.pointee.pooledWork = fleet.pool.submit(job, before: connection.pointee.pooledWork)
    } else {
      connection.pointee.ownWork = ownQueue.add(job, before: connection.pointee.ownWork)
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

  private func mostRows(
    of call: PreparedCall, _ model: LoadedModel, _ batch: BatchTerms, _ way: Way
  ) -> Int {
    guard !call.holdsTexts, !model.plan.couplesRows, call.rows < batch.mostRows else { return call.rows }
    guard way != .byWorker else { return batch.mostRows }
    return max(call.rows, min(batch.mostRows, model.cost.rows(in: Self.budgetNanoseconds)))
  }

  /// Takes the input out of the frame and begins the answer.
  private mutating func fill(
    _ job: Job, _ frame: Pending, _ call: PreparedCall, _ model: LoadedModel, _ terms: Job.Terms,
    _ base: UnsafeRawPointer, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    job.request.call = call
    job.request.catalog = catalog
    if call.wantLabels {
      job.request.call.layout = FrameLayout(metadataBytes: 0, bodyBytes: call.form.bodyBytes)
    }
    let layout = job.request.call.layout
    let (output, outputOwner) = try answerMemory(layout.frameBytes, for: job, connection)
    if !call.wantLabels {
      beginAnswer(
        output, call, requestID: frame.header.requestID,
        prefix: connection.pointee.memory.answer.baseAddress.unsafelyUnwrapped)
    }
    let (input, inputOwner) = try inputMemory(for: job, frame, call, model.plan, base, connection)
    var texts: (UnsafePointer<UInt32>, HashingFeatures)?
    if call.holdsTexts, let features = catalog.models[call.modelIndex].features {
      texts = (UnsafePointer(input.assumingMemoryBound(to: UInt32.self)), features)
    }
    let shadow = call.shadowIndex.flatMap { $0 == call.modelIndex ? nil : catalog.models[$0].loaded }
    job.question = Job.Question(
      model: model, rows: call.rows, form: call.form,
      input: call.holdsTexts ? input + roundedUpTo64(4 * call.rows) : input, inputOwner: inputOwner,
      texts: texts, body: output + layout.bodyOffset, bodyOwner: outputOwner, shadow: shadow,
      samplesDrift: call.samplesDrift, terms: terms)
  }

  private mutating func answerMemory(
    _ byteCount: Int, for job: Job, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (UnsafeMutableRawPointer, AnyObject) {
    if let (piece, pieces) = pieceMemory.take(byteCount) {
      (job.request.frame, job.request.pieces) = (piece, pieces)
      return (piece, pieces)
    }
    let slab = try slab(byteCount, connection)
    job.request.frame = slab.baseAddress
    return (slab.baseAddress, slab)
  }

  /// Where the input of a call that waits lies: in the region or the large frame that it came in, or copied
  /// out of the receive ring behind the rows that came before it.
  private mutating func inputMemory(
    for job: Job, _ frame: Pending, _ call: PreparedCall, _ plan: Plan, _ base: UnsafeRawPointer,
    _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (UnsafeRawPointer, AnyObject) {
    let body = base + frame.offset + frame.layout.bodyOffset + call.inputOffset
    if call.holdsTexts { return try copyTexts(body, call, for: job, connection) }
    if call.region > 0, plan.inputMayChange, let region = connection.pointee.regions[call.region],
      let start = region.bytes.baseAddress
    {
      return (start + call.inputOffset, region)
    }
    if call.region == 0, let slab = slabAtHand { return (body, slab) }
    var copy: MappedBuffer?
    let source = try input(of: call, frame, base, plan, connection, copy: &copy)
    if let copy {
      guard let lease = MemoryLease(copy.bytes.count, of: fleet.memory, for: connection.pointee.account)
      else {
        throw .memoryExhausted
      }
      let slab = Slab(copy, lease)
      return (UnsafeRawPointer(slab.baseAddress), slab)
    }
    let byteCount = call.rows * plan.inputs * plan.inputElement.byteCount
    recorder.add(.tensorCopies)
    recorder.add(.tensorCopiedBytes, UInt64(byteCount))
    if let ring = rowRing(for: call.modelIndex, plan), let place = ring.take(rows: call.rows) {
      job.request.ring = ring
      ring.address(of: place).copyMemory(from: source, byteCount: byteCount)
      return (UnsafeRawPointer(ring.address(of: place)), ring)
    }
    let (memory, owner) = try inputPiece(byteCount, for: job, connection)
    memory.copyMemory(from: source, byteCount: byteCount)
    return (UnsafeRawPointer(memory), owner)
  }

  private func inputPiece(
    _ byteCount: Int, for job: Job, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (UnsafeMutableRawPointer, AnyObject) {
    if let (piece, pieces) = pieceMemory.take(byteCount) {
      job.request.input = (piece, pieces)
      return (piece, pieces)
    }
    let slab = try slab(byteCount, connection)
    return (slab.baseAddress, slab)
  }

  /// Where the texts end, and behind that the texts.
  private func copyTexts(
    _ body: UnsafeRawPointer, _ call: PreparedCall, for job: Job,
    _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (UnsafeRawPointer, AnyObject) {
    let endsBytes = 4 * call.rows
    let textBytes = Int(buffers.texts.ends[call.rows - 1])
    let (memory, owner) = try inputPiece(roundedUpTo64(endsBytes) + textBytes, for: job, connection)
    memory.copyMemory(from: buffers.texts.ends, byteCount: endsBytes)
    (memory + roundedUpTo64(endsBytes)).copyMemory(from: body, byteCount: textBytes)
    return (UnsafeRawPointer(memory), owner)
  }

  /// Memory that counts as what the connection holds.
  private func slab(
    _ byteCount: Int, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> Slab {
    guard let lease = MemoryLease(byteCount, of: fleet.memory, for: connection.pointee.account),
      let memory = MappedBuffer(byteCount: byteCount)
    else { throw .memoryExhausted }
    return Slab(memory, lease)
  }

  private mutating func rowRing(for model: Int, _ plan: Plan) -> RowRing? {
    let rowBytes = plan.inputs * plan.inputElement.byteCount
    if let ring = rowRings[model] { return ring }
    let ring = RowRing(rowBytes: rowBytes)
    rowRings[model] = ring
    return ring
  }

  // MARK: Going

  /// The reactor's own batch of this turn, if there is one.
  mutating func computeOwnBatch(at now: Instant) {
    guard !ownQueue.isEmpty else { return }
    switch ownQueue.take(&jobsAtHand, at: now, all: draining) {
    case .nothing(let time): nextOwnBatch = time
    case .batch:
      nextOwnBatch = Instant(nanoseconds: 0)
      guard let model = jobsAtHand[0].question?.model else { return }
      let isLate = buffers.compute(jobsAtHand, fleet.administration?.observer)
      clock = .now
      ownAdmission.answered(areLate: isLate, at: clock)
      ownQueue.ended(model)
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
    if let input = job.request.input { input.pieces.give(back: input.piece) }
    if let frame = job.request.frame { job.request.pieces?.give(back: frame) }
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
