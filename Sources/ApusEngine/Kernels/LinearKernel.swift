/// A linear layer by the kernel that was planned for each number of rows.
struct LinearKernel: StepKernel {
  private let weights: LinearWeights
  private let count: Extent
  private let hasBias: Bool
  private let activation: FusedActivation
  /// By bucket.
  private var kernels = InlineArray<8, Kernel>(repeating: .packed)
  private let isPackedAlone: Bool
  /// Whether each row of a batch is one row of the product.
  let takesStrides: Bool

  init?(_ linear: Linear, _ types: KernelTypes, _ planner: KernelPlanner) {
    // BLAS counts in 32 bits.
    guard let constant = types.constants[1], let last = types.inputs[0]?.shape.last, !last.isPerRow,
      constant.type.count > 0, constant.type.shape.allSatisfy({ $0 <= Int32.max })
    else { return nil }
    hasBias = types.inputs.count > 2 && types.inputs[2] != nil
    activation = linear.activation
    takesStrides = types.inputs[0]?.shape == [Extent(1, isPerRow: true), last]

    if planner.allowsHalf, let half = LinearWeights(halfOf: constant, isTransposed: linear.isTransposed) {
      weights = half
      isPackedAlone = true
    } else {
      let planned = planner.plan(LinearWeights(constant, isTransposed: linear.isTransposed))
      weights = planned.weights
      for bucket in 0..<Bucket.count { kernels[bucket] = planned.kernels[bucket] }
      isPackedAlone = planned.kernels.allSatisfy { $0 == .packed }
    }
    let all = types.outputCount
    count = Extent(all.count / weights.outputs, isPerRow: all.isPerRow)
  }

  var toleratesChanges: Bool { true }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    let bias = hasBias ? run.floats(2) : nil
    // Where a row of the batch has several rows of the product, these lie one after the other.
    let inputStride = takesStrides ? run.inputStride(width: weights.inputs) : weights.inputs
    let outputStride = takesStrides ? run.outputStride(width: weights.outputs) : weights.outputs
    let count = count.resolved(rows: rows)
    let most = isPackedAlone ? count : Bucket.largestRows
    var first = 0
    while first < count {
      let block = min(count - first, most)
      let kernel = isPackedAlone ? .packed : kernels[Bucket.index(rows: block)]
      weights.multiply(
        kernel, rows: block, input: input + first * inputStride, inputStride: inputStride, bias: bias,
        activation: activation, output: run.output + first * outputStride, outputStride: outputStride)
      first += block
    }
  }

  func reads(_ input: Int) -> Bool { input != 1 }

  var ownBytes: Int { weights.byteCount }

  /// For example `Linear 64 -> 128 relu: rows 1-8 packed, rows 9-128 sgemm`.
  var description: String {
    var runs: [String] = []
    var first = 0
    for bucket in 0..<Bucket.count {
      if bucket + 1 < Bucket.count && kernels[bucket + 1] == kernels[bucket] { continue }
      let from = first == 0 ? 1 : Bucket.rows(index: first - 1) + 1
      let to = Bucket.rows(index: bucket)
      runs.append("\(from == to ? "row \(to)" : "rows \(from)-\(to)") \(kernels[bucket].name)")
      first = bucket + 1
    }
    let function = activation == .none ? "" : " \(activation.name)"
    let only = weights.areHalf ? "packed half" : kernels[0].name
    let choice = runs.count == 1 ? only : runs.joined(separator: ", ")
    return "Linear \(weights.inputs) -> \(weights.outputs)\(function), \(choice)"
  }
}
