import ApusBase
import ApusClient
import ApusIO
import ApusWire
import ArgumentParser
import Glibc
import Histogram
import Synchronization

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure latency and throughput of Classify.",
    discussion: """
      Closed loop: --concurrency calls in flight, each answered call followed by the next.

        apus bench --to unix:/tmp/apus.sock --model digits --concurrency 16

      Open loop: --rate calls a second at fixed times, whether earlier ones were answered or not. A latency counts
      from the time at which the call was due, so that a stall is not hidden by the calls that it kept from being made
      (coordinated omission).
      """)

  @Option(help: "The server: unix:PATH or tcp://HOST:PORT.")
  var to: String

  @Option(help: "The model to call.")
  var model: String

  @Option(help: "Calls in flight, over all connections.")
  var concurrency = 1

  @Option(help: "Calls a second, at fixed times.")
  var rate: Double?

  @Option(help: "Connections, each with a thread of its own.")
  var connections = 1

  @Option(help: "Inputs in a call.")
  var rows = 1

  @Option(help: "Longest time to poll for an answer before sleeping, in microseconds.")
  var spinUs = 50

  @Option(help: "How long to measure, in seconds.")
  var duration = 5.0

  @Flag(help: "Print one JSON document.")
  var json = false

  func validate() throws {
    do { _ = try Address(to) } catch { throw ValidationError("\(error)") }
    guard (1...1024).contains(connections) else { throw ValidationError("--connections takes 1 to 1024") }
    guard concurrency >= connections, concurrency <= 1024 * connections else {
      throw ValidationError("--concurrency takes at least one call and at most 1024 for each connection")
    }
    guard (1...65_536).contains(rows) else { throw ValidationError("--rows takes 1 to 65536") }
    guard duration > 0, duration <= 86_400 else { throw ValidationError("--duration takes up to 86400 seconds") }
    if let rate, !(rate > 0 && rate <= 10_000_000) { throw ValidationError("--rate takes up to 10000000") }
    guard (0...1_000_000).contains(spinUs) else { throw ValidationError("--spin-us takes 0 to 1000000") }
  }

  func run() throws {
    let address = try Address(to)
    let width = try inputWidth(address)
    let plan = LoadPlan(
      address: address, model: model, rows: rows, width: width, inFlight: concurrency / connections,
      intervalNanoseconds: rate.map { UInt64(1e9 * Double(connections) / $0) }, spinNanoseconds: UInt64(spinUs) * 1000,
      durationNanoseconds: UInt64(duration * 1e9))
    let outcome = try measure(plan)
    if json { print(outcome.json) } else { print(outcome.text) }
  }

  /// Numbers in one input, as the server tells.
  private func inputWidth(_ address: Address) throws -> Int {
    do {
      var connection = try ClientConnection(address)
      let name = model
      _ = try connection.submit(.getModel) { output, arena in
        GetModelRequest(model: name).encode(into: output, arena: arena)
      }
      guard let answer = try connection.receive(until: Instant.now.advanced(by: 10_000_000_000)) else {
        throw CommandFailure("\(to) does not answer")
      }
      if answer.isStatus { throw CommandFailure(connection.status(answer).message) }
      let info = try GetModelResponse(decoding: answer.metadata, arena: MetadataArena(byteCount: 1 << 18)).model
      guard let shape = info.inputs.first?.shape else { throw CommandFailure("model '\(model)' has no inputs") }
      return shape.dropFirst().reduce(1) { $0 * Int($1) }
    } catch let error as ClientError {
      throw CommandFailure("\(error)")
    }
  }

  /// Runs a thread for each connection and adds up what they saw.
  private func measure(_ plan: LoadPlan) throws -> LoadOutcome {
    let sum = Mutex(LoadOutcome())
    try withThreads(connections) { index in
      let outcome = runLoad(plan, connection: index)
      sum.withLock { $0.add(outcome) }
    }
    let outcome = sum.withLock { $0 }
    if let failure = outcome.failure, outcome.calls == 0 { throw CommandFailure(failure) }
    return outcome
  }

  private func withThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
    guard count > 1 else { return body(0) }
    let threads = UnsafeMutablePointer<Thread>.allocate(capacity: count)
    for index in 0..<count { (threads + index).initialize(to: try Thread(name: "bench-\(index)") { body(index) }) }
    for index in 0..<count { (threads + index).move().join() }
    threads.deallocate()
  }
}
