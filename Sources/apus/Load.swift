import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Histogram

/// What one thread of `apus bench` does.
struct LoadPlan: Sendable {
  let address: Address
  let model: String
  let rows: Int
  let width: Int
  /// Calls in flight on one connection; with an interval, only a bound.
  let inFlight: Int
  /// Between two calls of one connection, for an open loop.
  let intervalNanoseconds: UInt64?
  let spinNanoseconds: UInt64
  let durationNanoseconds: UInt64
}

/// What was measured.
struct LoadOutcome: Sendable {
  var calls = 0
  var errors = 0
  var seconds = 0.0
  var failure: String?
  var latency = LoadOutcome.histogram()
  var queue = LoadOutcome.histogram()
  var compute = LoadOutcome.histogram()

  /// 1 ns to a minute with three significant digits.
  static func histogram() -> Histogram<UInt64> {
    Histogram(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
  }

  mutating func add(_ other: LoadOutcome) {
    calls += other.calls
    errors += other.errors
    seconds = max(seconds, other.seconds)
    failure = failure ?? other.failure
    latency.add(other.latency)
    queue.add(other.queue)
    compute.add(other.compute)
  }

  private func microseconds(_ histogram: Histogram<UInt64>, _ percentile: Double) -> String {
    let tenths = histogram.totalCount == 0 ? 0 : (histogram.valueAtPercentile(percentile) + 5) / 10
    let fraction = tenths % 100
    return "\(tenths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
  }

  private var callsPerSecond: Double { seconds > 0 ? (Double(calls) / seconds).rounded() : 0 }

  var json: String {
    let percentiles = [("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9), ("max", 100)]
      .map { "\"\($0.0)\": \(microseconds(latency, $0.1))" }.joined(separator: ", ")
    return """
      {"calls": \(calls), "errors": \(errors), "seconds": \((seconds * 1000).rounded() / 1000), \
      "calls_per_second": \(callsPerSecond), "latency_us": {\(percentiles)}, \
      "server_us": {"queue": {"p50": \(microseconds(queue, 50))}, "compute": {"p50": \(microseconds(compute, 50))}}}
      """
  }

  var text: String {
    """
    calls       \(calls) in \((seconds * 100).rounded() / 100) s, \(Int(callsPerSecond)) a second, \(errors) errors
    latency     p50 \(microseconds(latency, 50))  p90 \(microseconds(latency, 90))  p99 \(microseconds(latency, 99))  \
    p99.9 \(microseconds(latency, 99.9))  max \(microseconds(latency, 100)) µs
    in server   queue p50 \(microseconds(queue, 50)), compute p50 \(microseconds(compute, 50)) µs
    """
  }
}

/// Makes calls on one connection until the time is over, then waits for what is in flight.
func runLoad(_ plan: LoadPlan, connection index: Int) -> LoadOutcome {
  var outcome = LoadOutcome()
  do {
    var load = try Load(plan, connection: index)
    do { try load.run() } catch { load.outcome.failure = error.description }
    outcome = load.outcome
  } catch {
    outcome.failure = error.description
  }
  return outcome
}

private struct Load: ~Copyable {
  private let plan: LoadPlan
  private var connection: ClientConnection
  private let call: ClassifyCall
  private let input: AlignedBuffer
  /// When each call in flight was due, by its id; ids ascend, so their low bits are a place.
  private var due: [Instant]
  private var inFlight = 0
  var outcome = LoadOutcome()

  init(_ plan: LoadPlan, connection index: Int) throws(ClientError) {
    self.plan = plan
    connection = try ClientConnection(plan.address, spinNanoseconds: plan.spinNanoseconds)
    call = ClassifyCall(plan.model, shape: [plan.rows, plan.width])
    input = AlignedBuffer(byteCount: plan.rows * plan.width * 4)
    due = Array(repeating: .never, count: 4096)
    var generator = SystemRandomNumberGenerator()
    for number in 0..<(plan.rows * plan.width) {
      input.floats[number] = Float.random(in: -1..<1, using: &generator)
    }
  }

  mutating func run() throws(ClientError) {
    let start = Instant.now
    let end = start.advanced(by: plan.durationNanoseconds)
    if let interval = plan.intervalNanoseconds {
      try runOpen(start, end, interval)
    } else {
      try runClosed(end)
    }
    while inFlight > 0 { try takeAnswers(until: .never) }
    outcome.seconds = Double(Instant.now.since(start)) / 1e9
  }

  private mutating func runClosed(_ end: Instant) throws(ClientError) {
    var now = Instant.now
    while now < end {
      // Half a window at a time, so that calls and answers travel in few system calls.
      if inFlight <= plan.inFlight / 2 {
        while inFlight < plan.inFlight, try submit(due: now) {}
        connection.sendSome()
      }
      try takeAnswers(until: .never)
      now = .now
    }
  }

  private mutating func runOpen(_ start: Instant, _ end: Instant, _ interval: UInt64) throws(ClientError) {
    var next = start
    while next < end {
      let now = Instant.now
      if now < next || inFlight >= due.count / 2 {
        try takeAnswers(until: inFlight >= due.count / 2 ? .never : next)
        continue
      }
      var isTaken = true
      while isTaken, next <= now, next < end, inFlight < due.count / 2 {
        isTaken = try submit(due: next)
        if isTaken { next = next.advanced(by: interval) }
      }
      connection.sendSome()
      // The server does not read until its answers are taken.
      if !isTaken { try takeAnswers(until: .never) }
    }
  }

  /// Inputs differ from call to call, so that nothing could answer from memory.
  ///
  /// - Returns: whether the connection took the call.
  private mutating func submit(due time: Instant) throws(ClientError) -> Bool {
    input.floats[outcome.calls % (plan.rows * plan.width)] += 0.000_1
    let bytes = UnsafeRawBufferPointer(rebasing: input.bytes[..<(plan.rows * plan.width * 4)])
    guard let id = try connection.submit(call, bytes) else { return false }
    due[Int(id % UInt64(due.count))] = time
    inFlight += 1
    return true
  }

  /// Waits for one answer and takes all that have come with it.
  private mutating func takeAnswers(until deadline: Instant) throws(ClientError) {
    guard var answer = try connection.receive(until: deadline) else { return }
    let now = Instant.now
    while true {
      inFlight -= 1
      outcome.calls += 1
      outcome.latency.record(min(now.since(due[Int(answer.requestID % UInt64(due.count))]), 60_000_000_000))
      do throws(ClientError) {
        let response = try connection.classifyResponse(answer)
        outcome.queue.record(min(response.time.queue, 60_000_000_000))
        outcome.compute.record(min(response.time.compute, 60_000_000_000))
      } catch {
        outcome.errors += 1
        if outcome.failure == nil { outcome.failure = error.description }
      }
      guard let next = try connection.nextAnswer() else { return }
      answer = next
    }
  }
}
