import ApusBase
import ApusWire

/// Calls that wait to be computed, in lines, one for each version; whoever computes takes a batch from one of
/// them.
///
/// Whose turn it is: interactive calls go before those of batch work, which get every eighth turn where there
/// are always interactive ones. Between connections, by start-time fair queueing (Goyal, Vin and Cheng,
/// 1996): a call's tag is the work that its connection has asked for before, or where the queue stands if
/// that is more, and the lowest tag is next. A connection that sends much so waits behind one that sends
/// little, in one line as between lines.
struct JobQueue {
  /// The calls of one version; without any, it keeps its memory for those of another.
  private struct Line {
    var model: LoadedModel?
    var interactive = JobHeap()
    var batch = JobHeap()
    /// Batches under way.
    var running = 0
    /// Since when the one that came first waits for others, whichever is next.
    var waitsSince = Instant(nanoseconds: 0)

    var isEmpty: Bool { interactive.isEmpty && batch.isEmpty }
    subscript(priority: CallPriority) -> JobHeap {
      get { priority == .interactive ? interactive : batch }
      _modify {
        if priority == .interactive { yield &interactive } else { yield &batch }
      }
    }

    /// Where the line's next batch begins.
    func first(_ preferred: CallPriority) -> Job? {
      preferred == .interactive ? interactive.first ?? batch.first : batch.first ?? interactive.first
    }

    /// Some of its calls have gone. All that are left are looked at, so only where the time is asked for.
    mutating func waitAnew() {
      guard let terms = first(.interactive)?.question?.terms, terms.mostDelayNanoseconds > 0 else { return }
      waitsSince = min(interactive.firstReceived, batch.firstReceived)
    }

    /// When its next batch is ready: it is full, or has waited for as long as its model lets it.
    func ripeTime(_ terms: Job.Terms) -> Instant {
      let isFull = interactive.rows + batch.rows >= terms.mostRows
      return isFull || terms.mostDelayNanoseconds == 0
        ? Instant(nanoseconds: 0) : waitsSince.advanced(by: terms.mostDelayNanoseconds)
    }
  }

  private var lines: ContiguousArray<Line> = []
  private(set) var count = 0
  /// Connections that have interactive calls here, and what they are charged for these.
  private var flows = 0
  private var charged: UInt64 = 0
  private var tickets: UInt64 = 0
  /// The tag of what was taken last.
  private var virtualTime: UInt64 = 0
  /// Batches of interactive calls taken since one of batch work, while such work waited.
  private var passedOver = 0
  private static let mostPassedOver = 7

  var isEmpty: Bool { count == 0 }

  // MARK: Coming

  /// Lets a job wait, behind what its connection has asked for before.
  mutating func add(_ job: Job, of flow: Flow) {
    guard let question = job.question else { return }
    tickets += 1
    job.ticket = tickets
    enter(job, question, flow)
    count += 1
    let place = place(of: question.model)
    if lines[place].isEmpty { lines[place].waitsSince = question.terms.received }
    lines[place][question.terms.priority].insert(job)
  }

  private mutating func enter(_ job: Job, _ question: Job.Question, _ flow: Flow) {
    let priority = question.terms.priority
    let start = max(virtualTime, flow[priority].end)
    // Never before those that came earlier over the same connection.
    job.tag = flow[priority].waiting > 0 ? max(start, flow[priority].lastTag) : start
    job.work = min(question.model.cost.nanoseconds(rows: question.rows), Self.mostWork)
    job.flow = flow
    flow[priority].lastTag = job.tag
    flow[priority].end = start + job.work
    flow[priority].waiting += 1
    guard priority == .interactive else { return }
    charged += job.work
    if flow[priority].waiting == 1 { flows += 1 }
  }

  /// Sums of it stay far from overflowing.
  private static let mostWork: UInt64 = 1 << 40

  private mutating func leave(_ job: Job, _ priority: CallPriority) {
    guard let flow = job.flow else { return }
    job.flow = nil
    flow[priority].waiting -= 1
    guard priority == .interactive else { return }
    charged -= job.work
    if flow[priority].waiting == 0 { flows -= 1 }
  }

  /// Takes a job out that waits.
  ///
  /// - Returns: false when it does not wait any more.
  mutating func remove(_ job: Job) -> Bool {
    guard job.place >= 0, let question = job.question else { return false }
    let place = place(of: question.model)
    let priority = question.terms.priority
    lines[place][priority].remove(job)
    count -= 1
    // What is not done is not charged.
    if let flow = job.flow { flow[priority].end -= min(flow[priority].end, job.work) }
    leave(job, priority)
    if question.terms.received <= lines[place].waitsSince { lines[place].waitAnew() }
    leaveIfIdle(place)
    return true
  }

  private mutating func place(of model: LoadedModel) -> Int {
    for place in 0..<lines.count where lines[place].model === model { return place }
    for place in 0..<lines.count where lines[place].model == nil {
      lines[place].model = model
      return place
    }
    lines.append(Line(model: model))
    return lines.count - 1
  }

  /// A line without calls would keep its model in memory.
  private mutating func leaveIfIdle(_ place: Int) {
    if lines[place].isEmpty, lines[place].running == 0 { lines[place].model = nil }
  }

  // MARK: Going

  enum Next: Equatable {
    /// There is a batch.
    case batch
    /// None is ready before this time, if nothing else comes.
    case nothing(until: Instant)
  }

  /// Takes the next batch.
  ///
  /// - Parameter all: whether nothing waits for others any more.
  mutating func take(_ jobs: inout ContiguousArray<Job>, at now: Instant, all: Bool = false) -> Next {
    jobs.removeAll(keepingCapacity: true)
    let isDue = passedOver >= Self.mostPassedOver
    let preferred: CallPriority = isDue ? .batch : .interactive
    var best: (place: Int, job: Job)?
    var earliest = Instant.never
    for place in 0..<lines.count {
      guard let first = lines[place].first(preferred), let terms = first.question?.terms,
        lines[place].running < terms.concurrency
      else { continue }
      let ripe = lines[place].ripeTime(terms)
      guard all || ripe <= now else {
        earliest = min(earliest, ripe)
        continue
      }
      if let other = best?.job, !isBefore(first, other, preferred) { continue }
      best = (place, first)
    }
    guard let best else { return .nothing(until: earliest) }
    fill(&jobs, from: best.place, best.job)
    return .batch
  }

  private func isBefore(_ job: Job, _ other: Job, _ preferred: CallPriority) -> Bool {
    let priorities = (job.question?.terms.priority, other.question?.terms.priority)
    if priorities.0 != priorities.1 { return priorities.0 == preferred }
    return job.tag != other.tag ? job.tag < other.tag : job.ticket < other.ticket
  }

  private mutating func fill(_ jobs: inout ContiguousArray<Job>, from place: Int, _ first: Job) {
    guard let terms = first.question?.terms else { return }
    let isInteractive = terms.priority == .interactive
    passedOver = isInteractive && hasBatchWork ? passedOver + 1 : 0
    virtualTime = max(virtualTime, first.tag)
    take(first, from: place, into: &jobs)
    var room = terms.mostRows - first.rows
    take(isInteractive ? .interactive : .batch, from: place, into: &jobs, &room, terms.mostRows)
    take(isInteractive ? .batch : .interactive, from: place, into: &jobs, &room, terms.mostRows)
    lines[place].running += 1
    lines[place].waitAnew()
  }

  private var hasBatchWork: Bool {
    for place in 0..<lines.count where !lines[place].batch.isEmpty { return true }
    return false
  }

  /// Calls of one priority, as long as the next one fits.
  private mutating func take(
    _ priority: CallPriority, from place: Int, into jobs: inout ContiguousArray<Job>, _ room: inout Int,
    _ mostRows: Int
  ) {
    while room > 0, let next = lines[place][priority].first, next.rows <= room,
      next.question?.terms.mostRows == mostRows
    {
      room -= next.rows
      take(next, from: place, into: &jobs)
    }
  }

  private mutating func take(_ job: Job, from place: Int, into jobs: inout ContiguousArray<Job>) {
    guard let priority = job.question?.terms.priority else { return }
    lines[place][priority].remove(job)
    count -= 1
    leave(job, priority)
    jobs.append(job)
  }

  /// A batch of this model has ended.
  mutating func ended(_ model: LoadedModel) {
    let place = place(of: model)
    lines[place].running -= 1
    leaveIfIdle(place)
  }

  // MARK: Telling

  /// The work that goes before a connection's next call, in nanoseconds of one thread. Where others wait,
  /// too, they get as much meanwhile as the connection itself with all that it has asked for before, however
  /// much of theirs waits now: no more, as turns are fair, and no less, as they may go on to ask.
  func nanoseconds(before priority: CallPriority, of flow: Flow, taking own: UInt64) -> UInt64 {
    let all = nanoseconds(before: priority)
    let sharing = flow[priority].waiting > 0 ? flows : flows + 1
    guard priority == .interactive, sharing > 1, charged > 0 else { return all }
    let end = flow[priority].end
    let asked = Double(end > virtualTime ? end - virtualTime : 0)
    // Batches take less than each of their calls by itself.
    let gain = Double(all) / Double(charged)
    return UInt64(min(max(0, Double(sharing) * (asked + Double(own)) * gain - Double(own)), 1e18))
  }

  /// The work that goes before any call of this priority, in nanoseconds of one thread.
  func nanoseconds(before priority: CallPriority) -> UInt64 {
    var sum: UInt64 = 0
    for place in 0..<lines.count {
      let ahead = priority == .interactive ? lines[place].interactive : lines[place].batch
      guard let cost = lines[place].model?.cost,
        let mostRows = (ahead.first ?? lines[place].interactive.first)?.question?.terms.mostRows
      else {
        continue
      }
      let rows = lines[place].interactive.rows + (priority == .batch ? lines[place].batch.rows : 0)
      sum += cost.nanoseconds(waiting: rows, mostRows: mostRows)
    }
    return sum
  }
}
