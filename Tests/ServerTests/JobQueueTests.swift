import ApusBase
import Testing

@testable import ApusServer

/// Whose turn it is among calls that wait.
@Suite struct JobQueueTests {
  // MARK: Between connections

  @Test(arguments: [true, false]) func aFloodWaitsBehindTheFewCallsOfAnother(areOfOneModel: Bool) throws {
    let flooded = try QueuedJobs.loaded()
    let other = areOfOneModel ? flooded : try QueuedJobs.loaded()
    var queue = JobQueue()
    var before: UInt64 = 0
    let flood = (0..<50).map { _ in QueuedJobs.job(flooded, mostRows: 1) }
    for job in flood { before = queue.add(job, before: before) }
    #expect(before >= 50 * (flooded.cost.nanoseconds(rows: 1)))
    // Two calls are computed before the others come.
    #expect(same(queue.passing(), [flood[0]]) && same(queue.passing(), [flood[1]]))
    var otherEnds: UInt64 = 0
    let few = (0..<3).map { _ in QueuedJobs.job(other, mostRows: 1) }
    for job in few { otherEnds = queue.add(job, before: otherEnds) }
    // Each connection's tags lie one call's work apart, from where the queue stands.
    var merged: [Job] = []
    for _ in 0..<8 { merged += queue.passing() }
    let places = few.compactMap { call in merged.firstIndex { $0 === call } }
    #expect(places.count == 3 && places == places.sorted(), "\(places)")
    var rest = 8
    while !queue.isEmpty {
      #expect(queue.passing().count == 1)
      rest += 1
    }
    #expect(rest == 48 + 3)
  }

  @Test func callsOfOneConnectionKeepTheirOrder() throws {
    let model = try QueuedJobs.loaded()
    var queue = JobQueue()
    var before: UInt64 = 0
    let jobs = (0..<20).map { _ in QueuedJobs.job(model, mostRows: 4) }
    for job in jobs { before = queue.add(job, before: before) }
    for first in stride(from: 0, to: 20, by: 4) {
      #expect(same(queue.passing(), Array(jobs[first..<first + 4])))
    }
    #expect(queue.isEmpty && queue.passing().isEmpty)
  }

  /// Who waited long does not come with a claim to all the time that was others'.
  @Test func anIdleConnectionBeginsWhereTheQueueStands() throws {
    let model = try QueuedJobs.loaded()
    var queue = JobQueue()
    let busy = QueuedJobs.job(model, mostRows: 1)
    _ = queue.add(busy, before: 1_000_000)
    #expect(same(queue.passing(), [busy]))
    let idle = QueuedJobs.job(model, mostRows: 1)
    let end = queue.add(idle, before: 0)
    #expect(idle.tag == 1_000_000 && end == 1_000_000 + model.cost.nanoseconds(rows: 1))
  }

  // MARK: Priorities

  @Test func interactiveCallsGoFirstAndBatchWorkGetsEveryEighthTurn() throws {
    let model = try QueuedJobs.loaded()
    let other = try QueuedJobs.loaded()
    for batchModel in [model, other] {
      var queue = JobQueue()
      for _ in 0..<4 { _ = queue.add(QueuedJobs.job(batchModel, .batch, mostRows: 1), before: 0) }
      for _ in 0..<40 { _ = queue.add(QueuedJobs.job(model, mostRows: 1), before: 0) }
      var turns: [Int] = []
      for turn in 1...44 where queue.passing()[0].question?.terms.priority == .batch { turns.append(turn) }
      #expect(turns == [8, 16, 24, 32])
    }
  }

  @Test func batchesAreFilledUpWithTheOtherPriority() throws {
    let model = try QueuedJobs.loaded()
    var queue = JobQueue()
    let batch = (0..<3).map { _ in QueuedJobs.job(model, .batch, mostRows: 4) }
    let interactive = (0..<6).map { _ in QueuedJobs.job(model, mostRows: 4) }
    for job in batch + interactive { _ = queue.add(job, before: 0) }
    #expect(same(queue.passing(), Array(interactive[0..<4])))
    #expect(same(queue.passing(), Array(interactive[4...]) + batch[0..<2]))
    #expect(same(queue.passing(), [batch[2]]))
  }

  // MARK: Batches

  @Test func noBatchIsOverItsMost() throws {
    var random = Xorshift(seed: 3)
    let model = try QueuedJobs.loaded()
    for _ in 0..<50 {
      var queue = JobQueue()
      let most = random.next(in: 2...20)
      let count = random.next(in: 1...60)
      for _ in 0..<count {
        let rows = random.next(in: 1...most + 2)
        let priority: CallPriority = random.next(in: 0...1) == 0 ? .batch : .interactive
        // As a reactor has it: what is as large as a batch, or couples its rows, is alone.
        let isAlone = rows >= most || random.next(in: 0...5) == 0
        let job = QueuedJobs.job(model, rows: rows, priority, mostRows: isAlone ? rows : most)
        _ = queue.add(job, before: UInt64(random.next(in: 0...1000)))
      }
      var seen = 0
      while !queue.isEmpty {
        let jobs = queue.passing()
        seen += jobs.count
        let terms = try #require(jobs.first?.question?.terms)
        #expect(jobs.reduce(0) { $0 + $1.rows } <= terms.mostRows)
        #expect(jobs.allSatisfy { $0.question?.terms.mostRows == terms.mostRows && $0.place == -1 })
      }
      #expect(seen == count)
    }
  }

  @Test func aCallThatMustBeAloneIs() throws {
    let model = try QueuedJobs.loaded()
    var queue = JobQueue()
    let jobs = [8, 1, 8, 8].map { QueuedJobs.job(model, rows: 1, mostRows: $0) }
    for job in jobs { _ = queue.add(job, before: 0) }
    #expect(same(queue.passing(), [jobs[0]]))
    #expect(same(queue.passing(), [jobs[1]]))
    #expect(same(queue.passing(), [jobs[2], jobs[3]]))
  }

  @Test func noMoreBatchesRunThanAModelAllows() throws {
    let bound = try QueuedJobs.loaded()
    let free = try QueuedJobs.loaded()
    var queue = JobQueue()
    let jobs = (0..<4).map { _ in QueuedJobs.job(bound, mostRows: 1, concurrency: 2) }
    let others = (0..<3).map { _ in QueuedJobs.job(free, mostRows: 1) }
    for job in jobs + others { _ = queue.add(job, before: 0) }
    #expect(same(queue.next(), [jobs[0]]) && same(queue.next(), [jobs[1]]))
    for other in others { #expect(same(queue.next(), [other])) }
    #expect(queue.time(at: 0) == .never)
    #expect(queue.next(all: true).isEmpty, "nor when a server ends")
    queue.ended(bound)
    #expect(same(queue.next(), [jobs[2]]) && queue.next().isEmpty)
    queue.ended(bound)
    queue.ended(bound)
    #expect(same(queue.next(), [jobs[3]]))
  }

  // MARK: Delays

  /// Whose turn is later may have come first.
  @Test func aDelayCountsFromTheCallThatCameFirst() throws {
    let model = try QueuedJobs.loaded()
    var queue = JobQueue()
    func add(at time: UInt64, before: UInt64) -> Job {
      let job = QueuedJobs.job(model, mostRows: 4, received: time, delay: 100)
      _ = queue.add(job, before: before)
      return job
    }
    let first = add(at: 1000, before: 1_000_000)
    let full = (0..<4).map { _ in add(at: 1010, before: 0) }
    let second = add(at: 1020, before: 500_000)
    #expect(same(queue.passing(at: 1020), full))
    #expect(queue.time(at: 1020) == Instant(nanoseconds: 1100))
    // The next by its turn goes, and then the one that came first.
    let third = add(at: 1030, before: 600_000)
    let isSecondThere = queue.remove(second)
    #expect(isSecondThere)
    #expect(queue.time(at: 1030) == Instant(nanoseconds: 1100))
    let isFirstThere = queue.remove(first)
    #expect(isFirstThere)
    #expect(queue.time(at: 1030) == Instant(nanoseconds: 1130))
    #expect(same(queue.passing(at: 1130), [third]))
  }

  @Test func aBatchIsRipeWhenItIsFullOrHasWaited() throws {
    let model = try QueuedJobs.loaded()
    var queue = JobQueue()
    func add(at time: UInt64, rows: Int = 1) -> Job {
      let job = QueuedJobs.job(model, rows: rows, mostRows: 4, received: time, delay: 100)
      _ = queue.add(job, before: 0)
      return job
    }
    let first = add(at: 1000)
    #expect(queue.time(at: 1000) == Instant(nanoseconds: 1100))
    let second = add(at: 1050)
    #expect(queue.time(at: 1099) == Instant(nanoseconds: 1100))
    #expect(same(queue.passing(at: 1100), [first, second]))
    // Full, in rows, it does not wait.
    let third = add(at: 2000)
    #expect(queue.time(at: 2000) == Instant(nanoseconds: 2100))
    let fourth = add(at: 2001, rows: 3)
    #expect(same(queue.passing(at: 2001), [third, fourth]))
    // What is left over waits from when it came.
    let left = (0..<5).map { add(at: 3000 + 10 * UInt64($0)) }
    #expect(same(queue.passing(at: 3040), Array(left[0..<4])))
    #expect(queue.time(at: 3040) == Instant(nanoseconds: 3140))
    #expect(same(queue.passing(at: 3041, all: true), [left[4]]), "a server that ends waits for nobody")
    #expect(queue.time(at: 3041) == .never)
  }

  @Test func theEarliestOfAllLinesIsToldAndOthersAreNotHeldUp() throws {
    let models = try (0..<3).map { _ in try QueuedJobs.loaded() }
    var queue = JobQueue()
    let slow = QueuedJobs.job(models[0], received: 0, delay: 500)
    let quick = QueuedJobs.job(models[1], received: 10, delay: 200)
    for job in [slow, quick] { _ = queue.add(job, before: 0) }
    #expect(queue.time(at: 100) == Instant(nanoseconds: 210))
    let ready = QueuedJobs.job(models[2])
    _ = queue.add(ready, before: 1_000_000)
    #expect(same(queue.passing(at: 100), [ready]), "although its turn is the last")
    #expect(same(queue.passing(at: 210), [quick]))
    #expect(queue.time(at: 210) == Instant(nanoseconds: 500))
    #expect(same(queue.passing(at: 500), [slow]))
  }

  /// Who is left behind by one that goes away waits no less long for others than it may.
  @Test func aBatchWhoseFirstIsTakenOutWaitsFromTheNext() throws {
    let model = try QueuedJobs.loaded()
    var queue = JobQueue()
    let jobs = [0, 60].map { QueuedJobs.job(model, received: $0, delay: 100) }
    for job in jobs { _ = queue.add(job, before: 0) }
    #expect(queue.remove(jobs[0]) == true)
    #expect(queue.time(at: 100) == Instant(nanoseconds: 160))
    #expect(same(queue.passing(at: 160), [jobs[1]]))
  }

  // MARK: Going away

  @Test func firstMiddleAndLastCanBeTakenOut() throws {
    let model = try QueuedJobs.loaded()
    for gone in 0..<7 {
      var queue = JobQueue()
      let jobs = (0..<7).map { _ in QueuedJobs.job(model, mostRows: 1) }
      for (place, job) in jobs.enumerated() { _ = queue.add(job, before: UInt64(7 - place) * 10) }
      #expect(queue.remove(jobs[gone]) == true)
      #expect(queue.remove(jobs[gone]) == false, "twice")
      #expect(queue.count == 6)
      var order: [Job] = []
      while !queue.isEmpty { order += queue.passing() }
      #expect(same(order, jobs.reversed().filter { $0 !== jobs[gone] }))
      #expect(queue.remove(jobs[6]) == false, "it was taken")
    }
  }

  /// Held against an array in order.
  @Test func theHeapIsInOrderWhateverComesAndGoes() throws {
    let model = try QueuedJobs.loaded()
    var random = Xorshift(seed: 17)
    var heap = JobHeap()
    var sorted: [Job] = []
    var tickets: UInt64 = 0
    for step in 0..<5000 {
      if sorted.isEmpty || random.next(in: 0...9) < (step / 500 % 2 == 0 ? 6 : 4) {
        let job = QueuedJobs.job(model, rows: random.next(in: 1...9))
        tickets += 1
        (job.tag, job.ticket) = (UInt64(random.next(in: 0...20)), tickets)
        heap.insert(job)
        sorted.insert(job, at: sorted.firstIndex { $0.tag > job.tag } ?? sorted.count)
      } else {
        let place = random.next(in: 0...2) == 0 ? 0 : random.next(in: 0...sorted.count - 1)
        heap.remove(sorted[place])
        #expect(sorted[place].place == -1)
        sorted.remove(at: place)
      }
      try #require(heap.first === sorted.first && heap.count == sorted.count, "step \(step)")
      try #require(heap.rows == sorted.reduce(0) { $0 + $1.rows } && heap.isEmpty == sorted.isEmpty)
    }
    while let first = heap.first {
      try #require(first === sorted.removeFirst())
      heap.remove(first)
    }
    #expect(sorted.isEmpty && heap.rows == 0)
  }

  // MARK: Memory

  @Test func anIdleLineLetsGoOfItsModel() throws {
    var queue = JobQueue()
    var model: LoadedModel? = try QueuedJobs.loaded()
    weak let gone = model
    for isRemoved in [false, true] {
      let job = QueuedJobs.job(try #require(model))
      _ = queue.add(job, before: 0)
      if isRemoved {
        #expect(queue.remove(job) == true)
      } else {
        #expect(queue.next().count == 1)
        queue.ended(try #require(model))
      }
      job.question = nil
    }
    // Removed while a batch of it runs: the line stays until that has ended.
    let jobs = try (0..<2).map { _ in QueuedJobs.job(try #require(model), mostRows: 1, concurrency: 1) }
    for job in jobs { _ = queue.add(job, before: 0) }
    #expect(queue.next().count == 1 && queue.remove(jobs[1]))
    for job in jobs { job.question = nil }
    if let running = model { queue.ended(running) }
    #expect(gone != nil)
    model = nil
    #expect(gone == nil)
    // Its place in memory is another's.
    _ = queue.add(QueuedJobs.job(try QueuedJobs.loaded()), before: 0)
    #expect(queue.passing().count == 1)
  }

  // MARK: Telling

  @Test func workIsToldByPriority() throws {
    let model = try QueuedJobs.loaded()
    var queue = JobQueue()
    #expect(queue.nanoseconds(before: .interactive) == 0 && queue.nanoseconds(before: .batch) == 0)
    _ = queue.add(QueuedJobs.job(model, rows: 3, .batch, mostRows: 8), before: 0)
    #expect(queue.nanoseconds(before: .interactive) == 0)
    #expect(queue.nanoseconds(before: .batch) == model.cost.nanoseconds(rows: 3))
    _ = queue.add(QueuedJobs.job(model, rows: 20, mostRows: 8), before: 0)
    #expect(queue.nanoseconds(before: .interactive) == model.cost.nanoseconds(waiting: 20, mostRows: 8))
    #expect(queue.nanoseconds(before: .batch) == model.cost.nanoseconds(waiting: 23, mostRows: 8))
  }
}

/// Numbers that are the same in every run (Marsaglia's xorshift, 64 bits).
struct Xorshift {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next(in range: ClosedRange<Int>) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return range.lowerBound + Int(state >> 11) % range.count
  }
}
