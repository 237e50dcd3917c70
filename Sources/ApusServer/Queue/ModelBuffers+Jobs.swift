import ApusBase
import ApusEngine
import ApusWire

/// Batches of calls that waited.
extension ModelBuffers {
  /// Computes a batch of one version's calls and notes in each what came of it.
  ///
  /// - Parameter jobs: which may change their order.
  /// - Returns: whether any was too late.
  mutating func compute(_ jobs: inout ContiguousArray<Job>, _ observer: Observer?) -> Bool {
    guard !jobs.isEmpty, let question = jobs[0].question else { return false }
    let model = question.model
    fit(model.plan, takesTexts: question.texts != nil)
    let begun = Instant.now
    let rows = jobs.rows
    let expectedEnd = begun.advanced(by: model.cost.nanoseconds(rows: rows))
    var areInTime = true
    for place in 0..<jobs.count {
      jobs[place].outcome = Job.Outcome()
      areInTime = areInTime && !jobs[place].isOver(at: expectedEnd)
    }
    guard areInTime else { return computeThoseInTime(jobs, observer, until: expectedEnd) }
    if jobs.count == 1 {
      computeAlone(jobs[0])
    } else if !computeTogether(&jobs, rows, model.plan) {
      // One holds numbers that the model does not allow: the others are computed without it.
      for place in 0..<jobs.count { computeAlone(jobs[place]) }
    }
    let computed = Instant.now
    model.cost.measured(rows: rows, nanoseconds: computed.since(begun))
    var isLate = false
    for place in 0..<jobs.count {
      jobs[place].outcome.begun = begun
      jobs[place].outcome.computed = computed
      jobs[place].outcome.batchRows = rows
      isLate = isLate || jobs[place].isOver(at: computed)
    }
    jobs[0].outcome.opensBatch = true
    if let observer { observe(jobs, at: begun, observer) }
    return isLate
  }

  /// What nobody would wait for any more is not computed.
  private mutating func computeThoseInTime(
    _ jobs: ContiguousArray<Job>, _ observer: Observer?, until end: Instant
  ) -> Bool {
    var live = ContiguousArray(jobs.filter { !$0.isOver(at: end) })
    for job in jobs where job.isOver(at: end) {
      job.outcome.failure = .deadlinePassed
      job.question?.model.cost.doubted()
    }
    if !live.isEmpty { _ = compute(&live, observer) }
    return true
  }

  private func computeAlone(_ job: Job) {
    guard let question = job.question else { return }
    let plan = question.model.plan
    let places = AnswerPlaces(form: question.form, bodies: question.body, stride: 0)
    do throws(GraphError) {
      if let texts = question.texts {
        try withRows(of: question.input, ends: texts.ends, count: question.rows, plan, texts.features) {
          (rows, count, first) throws(GraphError) in
          try answerRows(rows, stride: plan.inputs, rows: count, from: first, plan, places)
        }
      } else {
        try answerRows(
          question.input, stride: plan.inputs, rows: question.rows, from: 0, plan, places)
      }
    } catch { job.outcome.failure = .inputRefused(error.description) }
  }

  /// Several calls as one matrix.
  ///
  /// - Returns: false where the model does not allow what one of them holds.
  private mutating func computeTogether(
    _ jobs: inout ContiguousArray<Job>, _ rows: Int, _ plan: Plan
  ) -> Bool {
    let input = matrix(of: &jobs, rows, plan)
    do throws(GraphError) {
      try plan.logits(
        input: input, inputStride: plan.inputs, rows: rows, output: scratch.floats,
        outputStride: plan.outputs, workspace: workspace.baseAddress)
    } catch { return false }
    var first = 0
    for place in 0..<jobs.count {
      guard let question = jobs[place].question else { continue }
      for row in 0..<question.rows {
        answerRow(
          scratch.floats + (first + row) * plan.outputs, plan, question.form, row: row, question.body)
      }
      first += question.rows
    }
    return true
  }

  /// The rows of all: as they lie where they lie one behind the other, and otherwise brought together.
  private mutating func matrix(
    of jobs: inout ContiguousArray<Job>, _ rows: Int, _ plan: Plan
  ) -> UnsafeRawPointer {
    let rowBytes = plan.inputs * plan.inputElement.byteCount
    if let matrix = jobs.matrix(rowBytes) { return matrix }
    if jobs.byteSpan(rowBytes) == rows * rowBytes {
      jobs.sortByMemory()
      // Calls that name the same bytes of a region span no more, and are no matrix.
      if let matrix = jobs.matrix(rowBytes) { return matrix }
    }
    let memory = gathering(rows * rowBytes)
    var next = memory
    for place in 0..<jobs.count {
      guard let input = jobs[place].question?.input else { continue }
      next.copyMemory(from: input, byteCount: jobs[place].rows * rowBytes)
      next += jobs[place].rows * rowBytes
      jobs[place].outcome.wasGathered = true
    }
    return UnsafeRawPointer(memory)
  }

  /// Hands on the rows of calls that are mirrored, and now and then one row to count drift.
  private mutating func observe(_ jobs: ContiguousArray<Job>, at now: Instant, _ observer: Observer) {
    for place in 0..<jobs.count {
      guard let question = jobs[place].question, question.shadow != nil || question.samplesDrift else {
        continue
      }
      if question.shadow == nil {
        guard now >= nextDriftSample else { continue }
        nextDriftSample = now.advanced(by: DriftCounters.periodNanoseconds)
      }
      let plan = question.model.plan
      let rows = question.shadow == nil ? 1 : question.rows
      guard let texts = question.texts else {
        observer.observe(
          question.model, shadow: question.shadow, question.input, stride: plan.inputs, rows: rows)
        continue
      }
      withRows(of: question.input, ends: texts.ends, count: rows, plan, texts.features) { input, count, _ in
        observer.observe(question.model, shadow: question.shadow, input, stride: plan.inputs, rows: count)
      }
    }
  }
}

extension Job {
  /// Whether an answer of this time would be late.
  fileprivate func isOver(at time: Instant) -> Bool {
    guard let terms = question?.terms else { return true }
    guard terms.deadline != .never else { return false }
    return terms.deadline <= time.advanced(by: terms.deadline.since(terms.received) / Self.wayShare)
  }

  fileprivate func liesBefore(_ other: Job) -> Bool {
    guard let input = question?.input, let otherInput = other.question?.input else { return false }
    return input < otherInput
  }
}

extension ContiguousArray<Job> {
  /// Where all rows begin; nil where they do not lie one behind the other in the jobs' order.
  fileprivate func matrix(_ rowBytes: Int) -> UnsafeRawPointer? {
    let start = self[0].question?.input
    var end = start
    for place in 0..<count {
      guard self[place].question?.input == end else { return nil }
      end = end.map { $0 + self[place].rows * rowBytes }
    }
    return start
  }

  /// From the first byte of all rows to the last.
  fileprivate func byteSpan(_ rowBytes: Int) -> Int {
    guard var first = self[0].question?.input else { return 0 }
    var end = first
    for place in 0..<count {
      guard let input = self[place].question?.input else { return 0 }
      first = Swift.min(first, input)
      end = Swift.max(end, input + self[place].rows * rowBytes)
    }
    return end - first
  }

  /// Rows are taken when bodies begin to come, and calls wait once these have ended: they nearly are in the
  /// order of their memory, so each goes back past few others.
  fileprivate mutating func sortByMemory() {
    for end in 1..<count {
      let job = self[end]
      var place = end
      while place > 0, job.liesBefore(self[place - 1]) {
        self[place] = self[place - 1]
        place -= 1
      }
      self[place] = job
    }
  }
}
