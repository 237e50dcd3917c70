import ApusBase
import CApusKernels

/// What one row costs, in nanoseconds of one core, from inputs to probabilities.
package struct RowCost: Equatable, Sendable {
  /// A row by itself.
  package let single: Double
  /// A row in a full block of `Plan.blockRows`.
  package let inBlock: Double
}

/// A classifier made ready to compute on this machine: a program with weights in the layouts that its
/// kernels read, and a kernel for each layer and batch size. Immutable, so that any number of threads may
/// compute with it at once, each with a workspace of its own.
///
/// No call of a network of layers allocates, or copies input or output: the first layer reads the rows where
/// they were received, the last writes where they will be sent from.
package final class Plan: Sendable {
  /// Numbers in one input row, and what they are.
  package let inputs: Int
  package let inputElement: ElementType
  /// Numbers in one output row: classes.
  package let outputs: Int
  /// Bytes of workspace that `logits` needs. They hang on the widest layers, not on the number of rows.
  package let workspaceBytes: Int
  /// Rows that are taken through all layers together.
  package let blockRows: Int
  /// Whether the input may change while it is read, as memory does that others write to: its numbers go into
  /// arithmetic alone. Otherwise a number could be checked and then be another.
  package let inputMayChange: Bool
  /// Whether the answer to a row hangs on the rows that are computed with it: only those of one call are.
  package let couplesRows: Bool
  /// As measured when the plan was made.
  package let nanosecondsPerRow: RowCost
  /// Memory of weights and biases in the layouts that the kernels read, in bytes.
  package let weightsBytes: Int
  /// What was measured for this plan or known before it.
  package let costs: MeasuredCosts

  private let program: Program
  private let head: OutputActivation

  /// Lays out the weights and chooses the kernels. A small network takes a few milliseconds, a large one
  /// about a quarter of a second besides the copying of its weights.
  ///
  /// - Parameter known: what was measured before, on this processor with this OpenBLAS.
  /// - Throws: `GraphError` for a graph that cannot be computed with.
  package init(
    _ classifier: Classifier, planning: Planning = .measured, known: MeasuredCosts = MeasuredCosts()
  ) throws(GraphError) {
    let planner = KernelPlanner(planning, known: known)
    program = try Program(classifier.graph, couplesRows: classifier.couplesRows, planner: planner)
    couplesRows = classifier.couplesRows
    head = classifier.head
    inputs = program.inputs
    inputElement = program.inputElement
    outputs = program.outputs
    workspaceBytes = program.arenaBytes
    inputMayChange = program.inputMayChange
    weightsBytes = program.constantBytes
    let timing = planner.timing(of: program, head: head)
    costs = planner.costs
    blockRows = couplesRows ? program.blockRows : timing.blockRows
    nanosecondsPerRow = timing.perRow
  }

  /// The kernels of each step, a line for a person each.
  package var choices: [String] { program.descriptions }
}

// MARK: - Computing

extension Plan {
  /// The last layer's numbers for `rows` inputs.
  ///
  /// Invariant: `input` covers `rows` rows of `inputs` elements, `inputStride` elements apart; `output`
  /// covers `rows` rows of `outputs` floats, `outputStride` floats apart; `workspace` covers
  /// `workspaceBytes`, aligned to 64. None overlap. What lies between rows is neither read nor written.
  ///
  /// - Precondition: a stride is at least its row's width and at most Int32.max.
  /// - Throws: `GraphError` for numbers that an operator does not allow, for example an index that leads
  ///   nowhere. A network of layers allows all.
  package func logits(
    input: UnsafeRawPointer, inputStride: Int, rows: Int, output: UnsafeMutablePointer<Float>,
    outputStride: Int, workspace: UnsafeMutableRawPointer
  ) throws(GraphError) {
    precondition(
      inputStride >= inputs && outputStride >= outputs && max(inputStride, outputStride) <= Int32.max,
      "a stride is below its row's width or above Int32.max")
    let inputBytes = inputStride * inputElement.byteCount
    var first = 0
    while first < rows {
      let count = min(rows - first, blockRows)
      try program.run(
        rows: count, input: input + first * inputBytes, inputStride: inputStride,
        output: output + first * outputStride, outputStride: outputStride, arena: workspace)
      first += count
    }
  }

  /// The probabilities of rows that `logits` gave: softmax, sigmoid, or the same numbers where the model's
  /// outputs already are probabilities. A row of softmax that holds a NaN or +∞ becomes NaN.
  ///
  /// Invariant: both cover `rows` rows of `outputs` floats, their strides apart; they are the same pointer
  /// with the same stride, or do not overlap.
  package func probabilities(
    logits: UnsafePointer<Float>, logitsStride: Int, rows: Int, output: UnsafeMutablePointer<Float>,
    outputStride: Int
  ) {
    head.apply(
      logits: logits, logitsStride: logitsStride, rows: rows, columns: outputs, output: output,
      outputStride: outputStride)
  }
}

extension OutputActivation {
  /// Turns rows of logits into rows of probabilities; both may be the same memory.
  ///
  /// Finite logits of any size give probabilities. As in PyTorch, a row of softmax that holds a NaN or +∞, or
  /// nothing but -∞, has no probabilities: all of it becomes NaN.
  ///
  /// Invariant: `logits` and `output` cover `rows` rows of `columns` floats, their strides apart, and are
  /// equal with equal strides or do not overlap.
  func apply(
    logits: UnsafePointer<Float>, logitsStride: Int, rows: Int, columns: Int,
    output: UnsafeMutablePointer<Float>, outputStride: Int
  ) {
    guard columns > 0 else { return }
    switch self {
    case .softmax: apus_softmax(rows, columns, logits, logitsStride, output, outputStride)
    case .sigmoid:
      for row in 0..<rows { apus_sigmoid(columns, logits + row * logitsStride, output + row * outputStride) }
    case .none:
      guard UnsafePointer(output) != logits else { return }
      for row in 0..<rows {
        (output + row * outputStride).update(from: logits + row * logitsStride, count: columns)
      }
    }
  }
}

// MARK: - Measuring

extension Plan {
  /// What each step takes for so many rows, at most `blockRows`, of zeros: the least of some runs.
  ///
  /// - Throws: `GraphError` where the model does not allow zeros.
  package func stepTimes(rows: Int) throws(GraphError) -> [StepTime] {
    precondition(1...blockRows ~= rows, "not more rows than a block")
    let input = AlignedBuffer(byteCount: rows * inputs * inputElement.byteCount)
    let output = AlignedBuffer(byteCount: 4 * rows * outputs)
    let workspace = AlignedBuffer(byteCount: workspaceBytes)
    let runs = max(2, min(100, Int(2e8 / max(1, nanosecondsPerRow.single * Double(rows)))))
    return try program.stepTimes(
      rows: rows, runs: runs, input: input.baseAddress, output: output.floats, arena: workspace.baseAddress)
  }
}
