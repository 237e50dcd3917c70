import ApusBase

/// A graph made ready to run for batches of any number of rows: its steps in order, and one arena in which
/// every value has its place. Immutable, so that any number of threads may run it at once, each with an arena
/// of its own.
package final class Program: Sendable {
  /// Elements of one input row, and what they are.
  package let inputs: Int
  package let inputElement: ElementType
  /// Floats of one output row.
  package let outputs: Int
  /// Bytes that a run needs beside its input and output.
  package let arenaBytes: Int
  /// Most rows of one run.
  package let blockRows: Int

  private let steps: [ProgramStep]
  private let constants: [Tensor]
  /// Where rows that lie apart are gathered and made; nil: the steps take them as they lie.
  private let gatherOffset: Int?
  private let scatterOffset: Int?

  /// Rows of a block are as many as make the arena no larger than this, as it shall stay in cache.
  private static let mostArenaBytes = 4 << 20
  /// The same where rows are computed with all others of their call.
  private static let mostCoupledArenaBytes = 64 << 20
  /// More than a row may not take.
  private static let largestArenaBytes = 1 << 30
  static let mostRows = 128
  static let mostCoupledRows = 4096

  /// Makes every node a step as it stands in the graph, in its plain form.
  ///
  /// - Throws: as the other initializer.
  package convenience init(plainly graph: Graph, output: Graph.ValueID? = nil) throws(GraphError) {
    try self.init(graph, output, planner: nil)
  }

  /// Makes steps of fewer and larger nodes, with the quickest kernel for each.
  ///
  /// - Parameters:
  ///   - output: the value that callers get, of float32 and shape [rows, …]; nil: the first output.
  ///   - couplesRows: whether as many rows as memory allows are run together.
  /// - Throws: `GraphError` where the graph's inputs and that output are not of such shapes, where a node's
  ///   inputs do not fit it, and where a row takes more than 1 GiB.
  package convenience init(
    _ graph: Graph, output: Graph.ValueID? = nil, couplesRows: Bool = false,
    planner: KernelPlanner = KernelPlanner()
  ) throws(GraphError) {
    try self.init(graph, output, couplesRows: couplesRows, planner: planner)
  }

  private init(
    _ graph: Graph, _ output: Graph.ValueID?, couplesRows: Bool = false, planner: KernelPlanner?
  ) throws(GraphError) {
    var graph = graph
    graph.outputs = [output ?? graph.outputs[0]]
    if planner != nil { graph = try graph.withIntegerProducts() }
    graph = try graph.folded()
    if planner != nil { graph = try graph.fused() }
    graph = graph.withAllOutputs()
    let output = graph.outputs[0]
    let typing = try BatchTyping(graph)
    guard let input = graph.inputs.first, graph.inputs.count == 1 else {
      throw GraphError("the graph has \(graph.inputs.count) inputs; one is served")
    }
    inputs = try typing.rowCount(of: input.value, graph)
    inputElement = input.element
    outputs = try typing.rowCount(of: output, graph)
    guard typing.types[output]?.element == .float32 else {
      throw GraphError("the output '\(graph.values[output].name)' is not of float32")
    }
    let plan = ProgramPlan(graph, typing, input: input.value, output: output, planner: planner)
    var rows = typing.fixedRows ?? (couplesRows ? Self.mostCoupledRows : Self.mostRows)
    let mostBytes = couplesRows ? Self.mostCoupledArenaBytes : Self.mostArenaBytes
    var memory = plan.memory(rows: rows)
    while typing.fixedRows == nil, rows > 1, memory.byteCount > mostBytes {
      rows /= 2
      memory = plan.memory(rows: rows)
    }
    guard memory.byteCount <= Self.largestArenaBytes else {
      throw GraphError(
        "a row takes \(memory.byteCount >> 20) MiB of memory; at most \(Self.largestArenaBytes >> 20)")
    }
    blockRows = rows
    arenaBytes = memory.byteCount
    steps = plan.steps(memory)
    constants = plan.constants
    let apart = plan.apart(memory)
    gatherOffset = plan.gathersInput ? apart.input : nil
    scatterOffset = plan.scattersOutput ? apart.output : nil
  }

  /// Bytes of the constants that runs read.
  package var constantBytes: Int {
    steps.reduce(0) { $0 + $1.kernel.ownBytes } + constants.reduce(0) { $0 + $1.type.byteCount }
  }

  /// Whether the input may change while it is read.
  var inputMayChange: Bool {
    steps.allSatisfy { $0.kernel.toleratesChanges || !$0.inputs.contains { $0.base == .input } }
  }

  var kernelDescriptions: [String] { steps.map(\.kernel.description) }

  /// The steps, a line for a person each.
  package var descriptions: [String] { steps.map { "\($0.name): \($0.kernel.description)" } }
}

// MARK: - Running

extension Program {
  /// Runs up to `blockRows` rows.
  ///
  /// Invariant: `input` covers `rows` rows of `inputs` elements, `inputStride` elements apart, and `output`
  /// as many of `outputs` floats, `outputStride` apart; `arena` covers `arenaBytes`, aligned to 64. None
  /// overlap. What lies between rows is neither read nor written.
  ///
  /// - Throws: `GraphError` for numbers that an operator does not allow.
  package func run(
    rows: Int, input: UnsafeRawPointer, inputStride: Int, output: UnsafeMutablePointer<Float>,
    outputStride: Int, arena: UnsafeMutableRawPointer
  ) throws(GraphError) {
    guard rows > 0 else { return }
    let gathered = inputStride == inputs || rows == 1 ? nil : gatherOffset.map { arena + $0 }
    let scattered = outputStride == outputs || rows == 1 ? nil : scatterOffset.map { arena + $0 }
    if let gathered { gather(rows, input, inputStride, into: gathered) }
    let memory = ProgramMemory(
      arena: arena, input: gathered.map { UnsafeRawPointer($0) } ?? input,
      output: scattered ?? UnsafeMutableRawPointer(output),
      inputStride: gathered == nil ? inputStride : inputs,
      outputStride: scattered == nil ? outputStride : outputs)
    for index in 0..<steps.count {
      let step = steps[index]
      do { try step.kernel.run(rows: rows, StepRun(step: step, memory: memory)) } catch {
        throw GraphError("\(step.name): \(error.description)")
      }
    }
    if let scattered {
      let source = scattered.assumingMemoryBound(to: Float.self)
      for row in 0..<rows {
        (output + row * outputStride).update(from: source + row * outputs, count: outputs)
      }
    }
  }

  private func gather(
    _ rows: Int, _ input: UnsafeRawPointer, _ stride: Int, into target: UnsafeMutableRawPointer
  ) {
    let size = inputElement.byteCount
    for row in 0..<rows {
      (target + row * inputs * size).copyMemory(from: input + row * stride * size, byteCount: inputs * size)
    }
  }

  /// Runs rows that lie one after the other.
  package func run(
    rows: Int, input: UnsafeRawPointer, output: UnsafeMutablePointer<Float>, arena: UnsafeMutableRawPointer
  ) throws(GraphError) {
    try run(
      rows: rows, input: input, inputStride: inputs, output: output, outputStride: outputs, arena: arena)
  }
}

// MARK: - Measuring

/// What a step of a program takes.
package struct StepTime: Sendable {
  /// As the node is called that it computes.
  package let name: String
  /// How it is computed.
  package let kernel: String
  package let nanoseconds: Double
}

extension Program {
  /// The least that each step took in some runs.
  ///
  /// Invariant: as that of `run`.
  func stepTimes(
    rows: Int, runs: Int, input: UnsafeRawPointer, output: UnsafeMutablePointer<Float>,
    arena: UnsafeMutableRawPointer
  ) throws(GraphError) -> [StepTime] {
    let memory = ProgramMemory(
      arena: arena, input: input, output: UnsafeMutableRawPointer(output), inputStride: inputs,
      outputStride: outputs)
    var best = steps.map { _ in Double.infinity }
    for _ in 0..<runs {
      for (index, step) in steps.enumerated() {
        let start = Instant.now
        try step.kernel.run(rows: rows, StepRun(step: step, memory: memory))
        best[index] = min(best[index], Double(Instant.now.since(start)))
      }
    }
    return zip(steps, best).map { StepTime(name: $0.name, kernel: $0.kernel.description, nanoseconds: $1) }
  }
}
