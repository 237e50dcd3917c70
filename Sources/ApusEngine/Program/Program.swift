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

  /// Rows of a block are as many as make the arena no larger than this, as it shall stay in cache.
  private static let mostArenaBytes = 4 << 20
  private static let mostRows = 128

  /// - Parameters:
  ///   - output: the value that callers get, of float32 and shape [rows, classes]; nil: the first output.
  ///   - isPlain: whether every node is computed in its plain form, as it stands in the graph.
  /// - Throws: `GraphError` where the graph's inputs and that output are not of such shapes, and where a
  ///   node's inputs do not fit it.
  package init(_ graph: Graph, output: Graph.ValueID? = nil, isPlain: Bool = false) throws(GraphError) {
    var graph = graph
    graph.outputs = [output ?? graph.outputs[0]]
    if !isPlain { graph = try graph.withIntegerProducts() }
    graph = try graph.folded()
    if !isPlain { graph = try graph.fused() }
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
    let plan = ProgramPlan(graph, typing, input: input.value, output: output, isPlain: isPlain)
    var rows = typing.fixedRows ?? Self.mostRows
    var memory = plan.memory(rows: rows)
    while typing.fixedRows == nil, rows > 1, memory.byteCount > Self.mostArenaBytes {
      rows /= 2
      memory = plan.memory(rows: rows)
    }
    blockRows = rows
    arenaBytes = memory.byteCount
    steps = plan.steps(memory)
  }

  /// Runs up to `blockRows` rows.
  ///
  /// Invariant: `input` covers `rows` rows of `inputs` elements and `output` as many of `outputs` floats, one
  /// after the other; `arena` covers `arenaBytes`, aligned to 64. None overlap.
  ///
  /// - Throws: `GraphError` for numbers that an operator does not allow.
  package func run(
    rows: Int, input: UnsafeRawPointer, output: UnsafeMutablePointer<Float>, arena: UnsafeMutableRawPointer
  ) throws(GraphError) {
    let memory = ProgramMemory(arena: arena, input: input, output: UnsafeMutableRawPointer(output))
    for step in steps {
      do { try step.kernel.run(rows: rows, StepRun(step: step, memory: memory)) } catch {
        throw GraphError("\(step.name): \(error.description)")
      }
    }
  }

  /// The steps, a line for a person each.
  package var descriptions: [String] { steps.map { "\($0.kernel.description) \($0.name)" } }
}
