import ApusBase
import ApusClient
import ApusFormats
import ApusIO
import ApusJSON
import ApusWire
import ArgumentParser
import Glibc
import Synchronization

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure latency and throughput of Classify.",
    discussion: """
      Closed loop: --concurrency calls in flight, each answered call followed by the next.

        apus bench --to unix:/run/apus.sock --model digits --concurrency 16

      Open loop: --rate calls a second at fixed times, whether earlier ones were answered or not. A latency \
      counts from the time at which the call was due, so that a stall is not hidden by the calls that it \
      kept from being made (coordinated omission).

        apus bench --to unix:/run/apus.sock --model digits --rate 5000

      Errors are counted, and the exit status is 0 all the same.
      """)

  @OptionGroup var connection: ConnectionOptions

  @Option(
    help: ArgumentHelp(
      "The model, and if wanted its version or an alias.", valueName: "name[@version|:alias]"),
    transform: { try ModelReference($0) })
  var model: ModelReference

  @Option(help: ArgumentHelp("Calls in flight, over all connections. Default: one on each.", valueName: "c"))
  var concurrency: Int?

  @Option(help: ArgumentHelp("Calls a second, at fixed times.", valueName: "r"))
  var rate: Double?

  @Option(help: ArgumentHelp("Connections, each with a thread of its own.", valueName: "k"))
  var connections = 1

  @Option(
    help: ArgumentHelp(
      "Inputs in a call. Default: 1, and with --tensor all of the file's; fewer are sent in turn.",
      valueName: "n"))
  var rows: Int?

  @Option(
    help: ArgumentHelp(
      "Send this array, of one input or a batch. Default: random numbers, or random words for a model of "
        + "texts, other ones in each call.",
      valueName: "file.npy"))
  var tensor: String?

  @Option(
    help: ArgumentHelp(
      "Write the answers' probabilities to this file, a row each, in the order in which the calls were sent, "
        + "one connection after another; NaN for a call that failed.", valueName: "out.npy"))
  var record: String?

  @Option(help: "Whose turn it is where calls wait in the server: interactive or batch.")
  var priority: PriorityArgument?

  @Option(
    help: ArgumentHelp("Longest time to poll for an answer before sleeping, in microseconds.", valueName: "n")
  )
  var spinUs = 50

  @Option(
    help: ArgumentHelp(
      "Deadline of each call, in milliseconds: the server refuses what it cannot answer by then. "
        + "Default: --timeout.", valueName: "d"))
  var deadlineMs: Double?

  @Flag(help: "Put the inputs into memory that the server looks into, at a shm: address.")
  var region = false

  @Option(help: ArgumentHelp("How long to measure, in seconds.", valueName: "s"))
  var duration = 5.0

  @Flag(help: "Print one JSON document.")
  var json = false

  func validate() throws {
    guard (1...1024).contains(connections) else { throw ValidationError("--connections takes 1 to 1024") }
    if let concurrency {
      guard rate == nil else { throw ValidationError("give --rate or --concurrency, not both") }
      guard concurrency >= connections, concurrency <= 1024 * connections else {
        throw ValidationError("--concurrency takes at least one call and at most 1024 for each connection")
      }
    }
    if let rows, !(1...65_536).contains(rows) { throw ValidationError("--rows takes 1 to 65536") }
    guard duration > 0, duration <= 86_400 else {
      throw ValidationError("--duration takes up to 86400 seconds")
    }
    if let rate, !(rate >= 0.001 && rate <= 10_000_000) {
      throw ValidationError("--rate takes 0.001 to 10000000 calls a second")
    }
    guard !region || connection.address.hasPrefix("shm:") else {
      throw ValidationError("--region is for a shm: address")
    }
    guard deadlineMs.map({ 0.001...3_600_000 ~= $0 }) ?? true else {
      throw ValidationError("--deadline-ms takes 0.001 to 3600000 milliseconds")
    }
    guard (0...1_000_000).contains(spinUs) else { throw ValidationError("--spin-us takes 0 to 1000000") }
  }

  func run() throws {
    let input = try input()
    guard !region || input.textLengths.isEmpty else {
      throw failure("--region takes numbers, and the model takes texts", status: 2)
    }
    let address = try Address(connection.address)
    let plan = LoadPlan(
      address: address, security: try ClientSecurity(address, connection.security()), model: model,
      priority: priority, input: input, isRecording: record != nil,
      connections: connections, inFlight: concurrency ?? connections,
      intervalNanoseconds: rate.map { UInt64(1e9 * Double(connections) / $0) },
      spinNanoseconds: UInt64(spinUs) * 1000, usesRegion: region,
      timeoutNanoseconds: connection.timeoutNanoseconds,
      deadlineNanoseconds: deadlineMs.map { UInt64($0 * 1e6) } ?? connection.timeoutNanoseconds,
      durationNanoseconds: UInt64(duration * 1e9))
    // A file that cannot be written is found before the measurement.
    if let record { try write(LoadOutcome(), to: record) }
    let outcome = try measure(plan)
    if let reason = outcome.failure {
      guard outcome.calls > 0 else { throw failure(reason) }
      printError("apus: \(outcome.errors) of \(outcome.calls) calls failed, the first: \(printable(reason))")
    }
    if let record { try write(outcome, to: record) }
    if json { print(outcome.json) } else { print(outcome.text) }
  }

  /// What the calls send, in the shape that the server tells.
  private func input() throws -> LoadInput {
    let array = try tensor.map { try readTensor($0) }
    let info = try connection.withClient {
      try $0.getModel(model.request, timeoutNanoseconds: connection.timeoutNanoseconds)
    }
    guard let array else {
      guard info.inputs.first?.dtype != .utf8 else { return LoadInput(randomTexts: rows ?? 1) }
      let oneInput = info.inputs.first?.shape.dropFirst().map { Int($0) } ?? []
      return LoadInput(randomRows: rows ?? 1, shape: oneInput)
    }
    let shape = model.batchShape(of: array.shape, info)
    let rowsPerCall = rows ?? shape[0]
    guard shape[0] % rowsPerCall == 0 else {
      throw failure(
        "--rows \(rowsPerCall) does not divide the \(shape[0]) rows of \(tensor ?? "the array")", status: 2)
    }
    return LoadInput(values: array.values, shape: [rowsPerCall] + shape.dropFirst())
  }

  private func write(_ outcome: LoadOutcome, to path: String) throws {
    let classes = max(outcome.classes, 1)
    let array = NumPyFile(
      shape: [outcome.probabilities.count / classes, classes], values: outcome.probabilities)
    do { try array.write(to: path) } catch { throw failure("--record \(path): \(error)", status: 2) }
  }

  /// Runs a thread for each connection and adds up what they saw, in the connections' order.
  private func measure(_ plan: LoadPlan) throws -> LoadOutcome {
    let progress = LoadProgress()
    let outcomes = Locked([LoadOutcome?](repeating: nil, count: connections))
    // Invariant: the first `started` places hold threads, which are joined before the memory goes.
    let threads = UnsafeMutablePointer<Thread>.allocate(capacity: connections)
    var started = 0
    defer {
      for index in 0..<started { (threads + index).move().join() }
      threads.deallocate()
    }
    while started < connections {
      let index = started
      let thread = try Thread(name: "bench-\(index)") {
        let outcome = runLoad(plan, connection: index, progress)
        outcomes.withLock { $0[index] = outcome }
        progress.finished.add(1, ordering: .relaxed)
      }
      (threads + index).initialize(to: thread)
      started += 1
    }
    if !json, isatty(STDERR_FILENO) != 0 { progress.show(until: connections) }
    while started > 0 {
      started -= 1
      (threads + started).move().join()
    }
    return outcomes.withLock { $0 }.reduce(into: LoadOutcome()) { sum, outcome in
      if let outcome { sum.add(outcome) }
    }
  }
}
