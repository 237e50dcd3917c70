import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Histogram
import Synchronization

/// What `apus bench` does.
struct LoadPlan: Sendable {
  let address: Address
  let security: ClientSecurity
  let model: ModelReference
  let priority: PriorityArgument?
  let input: LoadInput
  /// Keep the probabilities.
  let isRecording: Bool
  let connections: Int
  /// Calls in flight over all connections, for a closed loop.
  let inFlight: Int
  /// Between two calls of one connection, for an open loop.
  let intervalNanoseconds: UInt64?
  let spinNanoseconds: UInt64
  /// Inputs lie in memory that the server looks into.
  let usesRegion: Bool
  /// Of a call; 0: none.
  let timeoutNanoseconds: UInt64
  /// What the calls say that their caller waits; 0: without limit.
  let deadlineNanoseconds: UInt64
  let durationNanoseconds: UInt64

  /// The share of one connection.
  func inFlight(connection index: Int) -> Int {
    inFlight / connections + (index < inFlight % connections ? 1 : 0)
  }
}

/// Makes calls on one connection until the time is over, then waits for what is in flight.
func runLoad(_ plan: LoadPlan, connection index: Int, _ progress: LoadProgress) -> LoadOutcome {
  do throws(ClientError) {
    var load = try Load(plan, connection: index, progress)
    do throws(ClientError) { try load.run() } catch { load.fail(error) }
    return load.outcome
  } catch {
    var outcome = LoadOutcome()
    outcome.failure = error.description
    return outcome
  }
}

private struct Load: ~Copyable {
  private let plan: LoadPlan
  private let progress: LoadProgress
  private let window: Int
  private let call: ClassifyCall
  private var connection: ClientConnection
  private let input: LoadInput
  private let memory: LoadMemory
  private let calls: Int
  private let callBytes: Int
  private let strideBytes: Int
  /// Which of the input's calls comes next.
  private var position = 0
  /// When each call in flight was due, by its id; ids ascend, so their low bits are a place.
  private var due = [Instant](repeating: .never, count: 4096)
  private var inFlight = 0
  private let start = Instant.now
  var outcome = LoadOutcome()

  private static let longestLatency: UInt64 = 60_000_000_000
  /// Most numbers that are recorded of a connection: 1 GiB.
  private static let recordedNumbers = 1 << 28

  init(_ plan: LoadPlan, connection index: Int, _ progress: LoadProgress) throws(ClientError) {
    let memory = try LoadMemory(plan.input, usesRegion: plan.usesRegion)
    var connection = try ClientConnection.open(
      plan.address, security: plan.security, spinNanoseconds: plan.spinNanoseconds)
    if let region = memory.region {
      try connection.register(region, until: .deadline(after: plan.timeoutNanoseconds))
    }
    // Connections begin at different inputs.
    plan.input.vary(call: index, by: 0.5, in: memory.bytes)
    var call = plan.model.call(shape: plan.input.shape)
    call.timeoutNanoseconds = plan.deadlineNanoseconds
    plan.priority?.apply(to: &call)
    self.call = call.holding(textLengths: plan.input.textLengths)
    self.plan = plan
    self.progress = progress
    window = plan.inFlight(connection: index)
    input = plan.input
    calls = plan.input.calls
    callBytes = plan.input.callBytes
    strideBytes = plan.input.strideBytes
    self.memory = memory
    self.connection = connection
  }

  mutating func run() throws(ClientError) {
    let end = start.advanced(by: plan.durationNanoseconds)
    if let interval = plan.intervalNanoseconds { try runOpen(end, interval) } else { try runClosed(end) }
    while inFlight > 0 { try takeAnswers() }
    outcome.seconds = Double(Instant.now.since(start)) / 1e9
    makeRoom(forNumbers: outcome.calls * input.shape[0] * outcome.classes)
  }

  /// Counts what is in flight as failed: the connection is of no more use.
  mutating func fail(_ error: ClientError) {
    outcome.calls += inFlight
    outcome.errors += inFlight
    progress.errors.add(inFlight, ordering: .relaxed)
    outcome.failure = outcome.failure ?? error.description
    outcome.seconds = Double(Instant.now.since(start)) / 1e9
  }

  private mutating func runClosed(_ end: Instant) throws(ClientError) {
    var now = start
    while now < end {
      // Half a window at a time, so that calls and answers travel in few system calls.
      if inFlight <= window / 2 {
        while inFlight < window, try submit(due: now) {}
        connection.sendSome()
      }
      try takeAnswers()
      now = .now
    }
  }

  private mutating func runOpen(_ end: Instant, _ interval: UInt64) throws(ClientError) {
    var next = start
    while next < end {
      let now = Instant.now
      if now < next {
        _ = try takeAnswers(until: next)
        continue
      }
      var isTaken = true
      while isTaken, next <= now, next < end {
        isTaken = inFlight < due.count / 2
        if isTaken { isTaken = try submit(due: next) }
        if isTaken { next = next.advanced(by: interval) }
      }
      connection.sendSome()
      // The server takes no more until its answers are taken.
      if !isTaken { try takeAnswers() }
    }
  }

  /// - Returns: whether the connection took the call.
  private mutating func submit(due time: Instant) throws(ClientError) -> Bool {
    // An input that is not sent yet stays as it is.
    if connection.holdsInput, !connection.sendSome() { return false }
    input.vary(call: outcome.calls, by: 0.000_1, in: memory.bytes)
    let start = position * strideBytes
    let bytes = UnsafeRawBufferPointer(rebasing: memory.bytes[start..<start + callBytes])
    let id =
      memory.region == nil
      ? try connection.submit(call, lending: bytes)
      : try connection.submit(call, bytes, region: 1, offset: start)
    guard let id else { return false }
    position = position + 1 == calls ? 0 : position + 1
    due[Int(id % UInt64(due.count))] = time
    inFlight += 1
    return true
  }

  /// Waits for an answer within the calls' time-out.
  private mutating func takeAnswers() throws(ClientError) {
    let deadline = Instant.deadline(after: plan.timeoutNanoseconds)
    guard try takeAnswers(until: deadline) else { throw .timedOut }
  }

  /// Waits for one answer and takes all that have come with it.
  ///
  /// - Returns: false when none came before the deadline.
  private mutating func takeAnswers(until deadline: Instant) throws(ClientError) -> Bool {
    guard var answer = try connection.receive(until: deadline) else { return false }
    let now = Instant.now
    var taken = 0
    while true {
      taken += 1
      try take(answer, now)
      guard let next = try connection.nextAnswer() else { break }
      answer = next
    }
    progress.calls.add(taken, ordering: .relaxed)
    return true
  }

  private mutating func take(_ answer: AnswerView, _ now: Instant) throws(ClientError) {
    inFlight -= 1
    outcome.calls += 1
    do throws(ClientError) {
      let response = try connection.classifyResponse(answer)
      let latency = now.since(due[Int(answer.requestID % UInt64(due.count))])
      outcome.latency.record(min(latency, Self.longestLatency))
      outcome.total.record(min(response.time.total, Self.longestLatency))
      outcome.queue.record(min(response.time.queue, Self.longestLatency))
      outcome.compute.record(min(response.time.compute, Self.longestLatency))
      outcome.transport.record(min(latency - min(latency, response.time.compute), Self.longestLatency))
      if plan.isRecording { try keep(response, answer) }
    } catch {
      outcome.errors += 1
      progress.errors.add(1, ordering: .relaxed)
      guard case .status = error else { throw error }
      if outcome.failure == nil { outcome.failure = error.description }
    }
  }

  /// Puts the probabilities at the place of their call, which may be answered after a later one.
  private mutating func keep(_ response: ClassifyResponse, _ answer: AnswerView) throws(ClientError) {
    let form = response.form
    let count = form.rows * form.classes
    guard outcome.classes == 0 || outcome.classes == form.classes, form.rows == input.shape[0] else {
      throw .protocolBroken("answers to equal calls have different shapes")
    }
    outcome.classes = form.classes
    let (end, overflow) = Int(answer.requestID).multipliedReportingOverflow(by: count)
    guard !overflow, end <= Self.recordedNumbers else {
      throw .invalidInput(
        "over \(Self.recordedNumbers) probabilities were recorded; measure for a shorter --duration")
    }
    makeRoom(forNumbers: end)
    let start = form.probabilitiesOffset
    outcome.probabilities.withUnsafeMutableBytes {
      let source = UnsafeRawBufferPointer(rebasing: answer.body[start..<start + count * 4])
      UnsafeMutableRawBufferPointer(rebasing: $0[((end - count) * 4)..<(end * 4)]).copyMemory(from: source)
    }
  }

  /// Calls without an answer keep their place.
  private mutating func makeRoom(forNumbers count: Int) {
    let missing = (plan.isRecording ? count : 0) - outcome.probabilities.count
    if missing > 0 { outcome.probabilities.append(contentsOf: repeatElement(.nan, count: missing)) }
  }
}
