import ApusBase

/// What one row costs, in nanoseconds of one core, from inputs to probabilities.
package struct RowCost: Sendable {
  /// A row by itself.
  package let single: Double
  /// A row in a full block of `Plan.blockRows`.
  package let inBlock: Double
}

/// A network made ready to compute on this machine: weights in the layouts that its kernels read, and a kernel for
/// each layer and batch size. Immutable, so that any number of threads may compute with it at once, each with a
/// workspace of its own.
///
/// No call allocates, locks or copies input or output: the first layer reads the rows where they were received,
/// the last writes where they will be sent from.
///
/// Invariant of the unsafe code: `table` holds `stepCount` steps whose pointers lead into `buffers`.
package final class Plan: Sendable {
  /// Numbers in one input row.
  package let inputs: Int
  /// Numbers in one output row: classes.
  package let outputs: Int
  /// Floats of workspace that `logits` needs. It depends on the widest hidden layer, not on the number of rows.
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

  /// Lays out the weights and chooses the kernels. A small network takes a few milliseconds, a large one about a
  /// quarter of a second besides the copying of its weights.
  ///
  /// - Precondition: a layer is at most Int32.max wide, as BLAS counts in 32 bits.
  package init(_ network: consuming Network, planning: Planning = .measured) {
    let layers = network.layers
    inputs = network.inputs
    outputs = network.outputs
    output = network.output
    stepCount = layers.count
    let hiddenWidth = layers.dropLast().map { Self.hiddenStride($0.outputs) }.max() ?? 0
    var blockRows = Bucket.largestRows
    while blockRows > 8 && blockRows * hiddenWidth > Self.mostHalfFloats { blockRows /= 2 }
    self.blockRows = blockRows
    halfFloats = blockRows * hiddenWidth
    workspaceFloats = halfFloats * min(2, layers.count - 1)

    let deadline = Instant.now.advanced(by: Planner.budgetNanoseconds)
    table = AlignedBuffer(byteCount: layers.count * MemoryLayout<Step>.stride)
    let steps = table.baseAddress.bindMemory(to: Step.self, capacity: layers.count)
    var buffers: [BufferOwner] = []
    var choices: [String] = []
    var single = 0.0
    var inBlock = 0.0
    var known: [[Int]: KernelCosts] = [:]
    for (index, layer) in layers.enumerated() {
      precondition(layer.inputs <= Int32.max && layer.outputs <= Int32.max)
      let stored = BufferOwner(layer.weights)
      let transposed = BufferOwner(transposing: layer.weights, rows: layer.outputs, columns: layer.inputs)
      let bias = layer.bias.isEmpty ? BufferOwner(floatCount: layer.outputs) : BufferOwner(layer.bias)
      var step = Step(
        inputs: layer.inputs, outputs: layer.outputs, activation: layer.activation, stored: stored.floats,
        transposed: transposed.floats, bias: bias.floats)

      let remaining = deadline.since(.now) / UInt64(layers.count - index)
      let planner = Planner(step, deadline: Instant.now.advanced(by: remaining))
      let costs = known[[layer.inputs, layer.outputs]] ?? planner.costs(of: planning.candidates)
      known[[layer.inputs, layer.outputs]] = costs
      let kernels = costs.choice(among: planning.candidates)

      for bucket in kernels.indices { step.kernels[bucket] = kernels[bucket] }
      buffers.append(bias)
      if kernels.contains(where: \.usesTransposed) { buffers.append(transposed) } else { step.transposed = nil }
      if kernels.contains(where: { !$0.usesTransposed }) { buffers.append(stored) } else { step.stored = nil }
      (steps + index).initialize(to: step)

      let block = Bucket.index(rows: blockRows)
      let otherCost =
        planner.activationCost() + (index == layers.count - 1 ? planner.headCost(network.output) : 0)
      single += costs[kernels[0], 0] + otherCost
      inBlock += costs[kernels[block], block] / Double(blockRows) + otherCost
      choices.append(Self.describe(layer, kernels, costs))
    }
    self.buffers = buffers
    self.choices = choices
    nanosecondsPerRow = RowCost(single: single, inBlock: inBlock)
  }

  /// Rows of a hidden layer begin at multiples of 64 bytes.
  @inline(__always)
  private static func hiddenStride(_ outputs: Int) -> Int { (outputs + 15) & ~15 }

  /// For example `0, 64 -> 128: rows 1-128 sgemmTransposed; 1 row 0.2 µs, 128 rows 21.0 µs`.
  private static func describe(_ layer: Network.Layer, _ kernels: [Kernel], _ costs: KernelCosts) -> String {
    var runs: [String] = []
    var first = 0
    for bucket in kernels.indices where bucket + 1 == kernels.count || kernels[bucket + 1] != kernels[bucket] {
      let from = first == 0 ? 1 : Bucket.rows(index: first - 1) + 1
      let to = Bucket.rows(index: bucket)
      runs.append("\(from == to ? "row \(to)" : "rows \(from)-\(to)") \(kernels[bucket])")
      first = bucket + 1
    }
    func microseconds(_ bucket: Int) -> Double { (costs[kernels[bucket], bucket] / 100).rounded() / 10 }
    let last = Bucket.count - 1
    return "\(layer.name), \(layer.inputs) -> \(layer.outputs): \(runs.joined(separator: ", ")); "
      + "1 row \(microseconds(0)) µs, \(Bucket.rows(index: last)) rows \(microseconds(last)) µs"
  }
}

// MARK: - Computing

extension Plan {
  /// The last layer's numbers for `rows` inputs.
  ///
  /// Invariant: `input` covers `rows` rows of `inputs` floats, `inputStride` floats apart; `output` covers `rows`
  /// rows of `outputs` floats, `outputStride` floats apart; `workspace` covers `workspaceFloats`. None overlap.
  /// What lies between rows is neither read nor written.
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
  /// Invariant: both cover `rows` rows of `outputs` floats, their strides apart; they are the same pointer with
  /// the same stride, or do not overlap.
  package func probabilities(
    logits: UnsafePointer<Float>, logitsStride: Int, rows: Int, output: UnsafeMutablePointer<Float>,
    outputStride: Int
  ) {
    self.output.apply(
      logits: logits, logitsStride: logitsStride, rows: rows, columns: outputs, output: output,
      outputStride: outputStride)
  }
}
