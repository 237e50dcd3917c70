import ApusBase

/// What one row costs, in nanoseconds of one core, from inputs to probabilities.
package struct RowCost: Sendable {
  /// A row by itself.
  package let single: Double
  /// A row in a full block of `Plan.blockRows`.
  package let inBlock: Double
}

/// A network made ready to compute on this machine: weights in the layouts that its kernels read, and a
/// kernel for each layer and batch size. Immutable, so that any number of threads may compute with it at
/// once, each with a workspace of its own.
///
/// No call allocates, or copies input or output: the first layer reads the rows where they were received, the
/// last writes where they will be sent from.
///
/// Invariant of the unsafe code: `table` holds `stepCount` steps whose pointers lead into `buffers`.
package final class Plan: Sendable {
  /// Numbers in one input row.
  package let inputs: Int
  /// Numbers in one output row: classes.
  package let outputs: Int
  /// Floats of workspace that `logits` needs. It depends on the widest hidden layer, not on the number of
  /// rows.
  package let workspaceFloats: Int
  /// Rows that are taken through all layers together.
  package let blockRows: Int
  /// From the measurements made while planning.
  package let nanosecondsPerRow: RowCost
  /// The kernels of each layer, a line for a person each.
  package let choices: [String]

  private let output: OutputActivation
  private let stepCount: Int
  private let table: AlignedBuffer
  private let buffers: [BufferOwner]
  /// Floats between the two halves of the workspace, which layers write in turn.
  private let halfFloats: Int

  /// Most floats that one half of the workspace may hold, unless 8 rows need more.
  private static let mostHalfFloats = 1 << 20

  /// Lays out the weights and chooses the kernels. A small network takes a few milliseconds, a large one
  /// about a quarter of a second besides the copying of its weights.
  ///
  /// - Precondition: a layer is at most Int32.max wide, as BLAS counts in 32 bits.
  package init(_ network: consuming Network, planning: Planning = .measured) {
    let layers = network.layers
    inputs = network.inputs
    outputs = network.outputs
    output = network.output
    stepCount = layers.count
    table = AlignedBuffer(byteCount: layers.count * MemoryLayout<Step>.stride)
    let steps = table.baseAddress.bindMemory(to: Step.self, capacity: layers.count)

    let deadline = Instant.now.advanced(by: Planner.budgetNanoseconds)
    var knownCosts: [[Int]: KernelCosts] = [:]
    var prepared: [PreparedLayer] = []
    for (index, layer) in layers.enumerated() {
      precondition(layer.inputs <= Int32.max && layer.outputs <= Int32.max, "a layer is too wide for BLAS")
      let shape = [layer.inputs, layer.outputs]
      let share = deadline.since(.now) / UInt64(layers.count - index)
      let layer = PreparedLayer(
        layer, head: index == layers.count - 1 ? network.output : nil, planning: planning,
        knownCosts: knownCosts[shape], deadline: Instant.now.advanced(by: share))
      knownCosts[shape] = layer.costs
      (steps + index).initialize(to: layer.step)
      prepared.append(layer)
    }
    buffers = prepared.flatMap(\.buffers)
    choices = prepared.map(\.description)

    let hiddenWidth = layers.dropLast().map { Self.hiddenStride($0.outputs) }.max() ?? 0
    let bucketCosts = (0..<Bucket.count).map { bucket in prepared.reduce(0) { $0 + $1.cost(bucket: bucket) } }
    let block = Self.block(hiddenWidth: hiddenWidth, costs: planning.isMeasured ? bucketCosts : nil)
    blockRows = Bucket.rows(index: block)
    halfFloats = blockRows * hiddenWidth
    workspaceFloats = halfFloats * min(2, layers.count - 1)
    let rowCost = prepared.reduce(0) { $0 + $1.rowCost }
    nanosecondsPerRow = RowCost(
      single: bucketCosts[0] + rowCost, inBlock: bucketCosts[block] / Double(blockRows) + rowCost)
  }

  /// Memory of weights and biases in the layouts that the kernels read, in bytes.
  package var weightsBytes: Int { buffers.reduce(0) { $0 + $1.byteCount } }

  /// The bucket that a batch is cut into: the largest whose hidden rows fit, or a smaller one that costs
  /// clearly less per row.
  private static func block(hiddenWidth: Int, costs: [Double]?) -> Int {
    let smallest = Bucket.index(rows: 8)
    var block = Bucket.count - 1
    while block > smallest && Bucket.rows(index: block) * hiddenWidth > mostHalfFloats { block -= 1 }
    guard let costs else { return block }
    func costPerRow(_ bucket: Int) -> Double { costs[bucket] / Double(Bucket.rows(index: bucket)) }
    for bucket in stride(from: block - 1, through: smallest, by: -1)
    where costPerRow(bucket) * 1.05 < costPerRow(block) { block = bucket }
    return block
  }

  /// Rows of a hidden layer begin at multiples of 64 bytes.
  @inline(__always)
  private static func hiddenStride(_ outputs: Int) -> Int { (outputs + 15) & ~15 }
}

// MARK: - Computing

extension Plan {
  /// The last layer's numbers for `rows` inputs.
  ///
  /// Invariant: `input` covers `rows` rows of `inputs` floats, `inputStride` floats apart; `output` covers
  /// `rows` rows of `outputs` floats, `outputStride` floats apart; `workspace` covers `workspaceFloats`. None
  /// overlap. What lies between rows is neither read nor written.
  ///
  /// - Precondition: a stride is at least its row's width and at most Int32.max.
  package func logits(
    input: UnsafePointer<Float>, inputStride: Int, rows: Int, output: UnsafeMutablePointer<Float>,
    outputStride: Int, workspace: UnsafeMutablePointer<Float>
  ) {
    precondition(
      inputStride >= inputs && outputStride >= outputs && max(inputStride, outputStride) <= Int32.max,
      "a stride is below its row's width or above Int32.max")
    let steps = UnsafePointer(table.baseAddress.assumingMemoryBound(to: Step.self))
    var first = 0
    while first < rows {
      let count = min(rows - first, blockRows)
      let bucket = Bucket.index(rows: count)
      var source = input + first * inputStride
      var sourceStride = inputStride
      for index in 0..<stepCount {
        let step = steps + index
        let isLast = index == stepCount - 1
        let target = isLast ? output + first * outputStride : workspace + (index & 1) * halfFloats
        let targetStride = isLast ? outputStride : Self.hiddenStride(step.pointee.outputs)
        step.pointee.multiply(
          step.pointee.kernels[bucket], rows: count, input: source, inputStride: sourceStride, output: target,
          outputStride: targetStride)
        step.pointee.activation.apply(
          target, stride: targetStride, rows: count, columns: step.pointee.outputs)
        source = UnsafePointer(target)
        sourceStride = targetStride
      }
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
    self.output.apply(
      logits: logits, logitsStride: logitsStride, rows: rows, columns: outputs, output: output,
      outputStride: outputStride)
  }
}
