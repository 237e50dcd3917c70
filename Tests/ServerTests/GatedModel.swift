import ApusBase
import ApusEngine
import ApusModels
import ApusServer
import ApusWire
import Testing

/// An operator that gives its input back, once the test lets it: a computation that takes as long as it must.
final class Gate: Operator {
  private struct State {
    var isOpen = true
    /// Runs that may pass a closed gate.
    var permits = 0
    var inside = 0
    var mostInside = 0
    /// The first number of each row, of each run in the order they began.
    var runs: [[Float]] = []
  }

  /// Numbers of a row.
  static let width = 4
  private let state = Monitor(State())
  var name: String { "Gate" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    [try inputs.required(0, "x").type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard let input = inputs[0] else { throw GraphError("the input is missing") }
    let rows = input.type.count / Self.width
    let numbers = input.elements(Float.self)
    let firsts = (0..<rows).map { numbers[$0 * Self.width] }
    state.withLock { state in
      state.runs.append(firsts)
      state.inside += 1
      state.mostInside = max(state.mostInside, state.inside)
    }
    state.waiting { (state) -> Monitor<State>.Step<Void> in
      guard state.isOpen || state.permits > 0 else { return .sleep(until: .never) }
      if !state.isOpen { state.permits -= 1 }
      state.inside -= 1
      return .done(())
    }
    outputs[0].start.copyMemory(from: input.start, byteCount: input.type.byteCount)
  }

  /// Forgets what has passed, and lets nothing pass any more.
  func close() {
    state.withLock { $0 = State(isOpen: false) }
  }

  func open() {
    state.withLock { $0.isOpen = true }
    state.notifyAll()
  }

  /// Lets so many runs pass.
  func pass(_ count: Int) {
    state.withLock { $0.permits += count }
    state.notifyAll()
  }

  /// The first number of each row, of each run that has begun, in that order.
  var runs: [[Float]] { state.withLock { $0.runs } }
  /// Runs that have begun and not ended.
  var inside: Int { state.withLock { $0.inside } }
  /// The most of them at one time.
  var mostInside: Int { state.withLock { $0.mostInside } }

  /// Waits until so many runs have begun and not ended.
  func holds(_ count: Int) -> Bool { waitUntil(seconds: 60) { inside == count } }
}

/// Models whose calls workers compute, whatever this machine is like.
enum GatedModel {
  /// A model that answers what it is asked, behind a gate that is closed when it comes back.
  static func model(
    _ name: String, version: UInt64 = 1, _ gate: Gate, batchMaximum: Int = 1,
    _ schedule: (inout ModelSchedule) -> Void = { _ in }
  ) throws -> ServedModel {
    let graph = try Graph(
      values: [Graph.Value(name: "x"), Graph.Value(name: "y")],
      inputs: [Graph.Input(value: 0, element: .float32, shape: [nil, Gate.width])], outputs: [1],
      nodes: [Graph.Node(name: "gate", operation: gate, inputs: [0], outputs: [1])])
    let model = try slow(
      name, version: version, Classifier(graph, head: OutputActivation.none), batchMaximum: batchMaximum,
      schedule)
    gate.close()
    return model
  }

  /// A model of which every call seems to take so long that a worker computes it.
  ///
  /// - Parameter like: a plan of the classifier, in whose blocks it is computed.
  static func slow(
    _ name: String, version: UInt64 = 1, _ classifier: Classifier, like plan: Plan? = nil,
    batchMaximum: Int = 65_536, _ change: (inout ModelSchedule) -> Void = { _ in }
  ) throws -> ServedModel {
    let measured = try plan ?? Plan(classifier, planning: .fixed(.sgemm))
    // Measurements correct it to a 64th at most.
    let lines = measured.costs.text.split(separator: "\n").map { line in
      let fields = line.split(separator: " ")
      return fields.first == "program" ? "program \(fields[1]) \(fields[2]) 1e8 1e6" : String(line)
    }
    let costs = MeasuredCosts(text: lines.joined(separator: "\n")[...])
    let plan = try Plan(classifier, planning: .fixed(.sgemm), known: costs)
    try #require(plan.nanosecondsPerRow.single == 1e8)
    return served(name, version: version, classifier, plan, batchMaximum: batchMaximum, change)
  }

  /// - Parameter plan: of the classifier.
  static func served(
    _ name: String, version: UInt64 = 1, _ classifier: Classifier, _ plan: Plan,
    batchMaximum: Int = 65_536, _ change: (inout ModelSchedule) -> Void = { _ in }
  ) -> ServedModel {
    var description = ModelDescription()
    description.inputShape = classifier.inputShape
    description.classes = classifier.outputs
    description.batchMaximum = batchMaximum
    change(&description.schedule)
    return ServedModel(
      name: name, version: version, description, state: .ready, loaded: LoadedModel(plan, labels: []))
  }

  /// A server of one worker where calls without a deadline may wait for ever.
  static func server(
    _ models: [ServedModel], _ change: (inout Server.Configuration) throws -> Void = { _ in }
  ) throws -> MetricsServer {
    try MetricsServer(models) { configuration, _ in
      configuration.limits.queueNanoseconds = 3_600_000_000_000
      try change(&configuration)
    }
  }

  /// A call of one row that begins with this number.
  static func call(
    _ id: UInt64, _ model: String, _ first: Float, _ configure: (inout ClassifyOptions) -> Void = { _ in }
  ) -> [UInt8] {
    classifyFrame(id, model, row(first), configure)
  }

  /// Connections of which each has sent a call to the model `gated`: of the id and first number 1, the next
  /// of 2, and so on.
  static func callers(_ count: Int, _ server: MetricsServer) throws -> [RawConnection] {
    try (1...count).map { place in
      let connection = try RawConnection(server.address)
      connection.send(call(UInt64(place), "gated", Float(place)))
      return connection
    }
  }

  static func row(_ first: Float) -> [Float] { [first, -first, first / 2, 3] }
}

extension MetricsServer {
  /// Calls that the server has and has not answered.
  func inFlight() throws -> UInt64 { try #require(try metrics().number("apus_requests_in_flight")) }

  /// Calls that wait and have not been begun.
  func queued() throws -> UInt64 { try #require(try metrics().number("apus_queued_calls")) }

  /// Waits until so many calls wait.
  func hasQueued(_ count: UInt64) throws -> Bool { try waitUntil(seconds: 60) { try queued() == count } }

  func isIdle() throws -> Bool {
    try waitUntil(seconds: 60) { try inFlight() == 0 && queued() == 0 }
  }

  /// How many calls were refused for a reason.
  func refusals(_ reason: String) throws -> UInt64 {
    try metrics().number("apus_refusals_total", ["reason": reason]) ?? 0
  }
}
