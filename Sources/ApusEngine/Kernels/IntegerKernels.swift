import ApusBase
import CApusKernels

/// Weights of 8 bits that are packed once.
struct IntegerWeights: Sendable {
  let inputs: Int
  let outputs: Int
  private let packed: BufferOwner
  /// One for each output; nil: all are 0.
  private let zeros: BufferOwner?

  /// Weights of a matrix.
  ///
  /// - Parameter zeros: one or as many as there are outputs; nil: 0.
  init?(_ weights: Tensor?, zeros: Tensor?, isTransposed: Bool) {
    guard let weights, weights.type.rank == 2, weights.type.count > 0,
      QuantizationInputs.elements.contains(weights.type.element)
    else { return nil }
    let outputs = weights.type.shape[isTransposed ? 1 : 0]
    let zeros = zeros?.integersOf8Bits ?? [0]
    guard [1, outputs].contains(zeros.count) else { return nil }
    self.init(
      weights.start, isSigned: weights.type.element == .int8, isTransposed: isTransposed, outputs: outputs,
      inputs: weights.type.shape[isTransposed ? 0 : 1], zeros: zeros)
  }

  /// Invariant: `weights` covers `outputs` times `inputs` bytes, and there are one or `outputs` zeros.
  init(
    _ weights: UnsafeRawPointer, isSigned: Bool, isTransposed: Bool, outputs: Int, inputs: Int, zeros: [Int32]
  ) {
    (self.inputs, self.outputs) = (inputs, outputs)
    packed = BufferOwner(floatCount: (apus_integer_packed_bytes(inputs, outputs) + 3) / 4)
    apus_integer_pack(
      weights, isSigned, isTransposed, outputs, inputs,
      UnsafeMutableRawPointer(packed.floats).assumingMemoryBound(to: Int8.self))
    // The weights are packed as int8.
    let moved = zeros.map { isSigned ? $0 : $0 - 128 }
    guard moved.contains(where: { $0 != 0 }) else {
      self.zeros = nil
      return
    }
    let owner = BufferOwner(floatCount: outputs)
    let target = UnsafeMutableRawPointer(owner.floats).assumingMemoryBound(to: Int32.self)
    for output in 0..<outputs { target[output] = moved[moved.count == 1 ? 0 : output] }
    self.zeros = owner
  }

  func workspaceBytes(rows: Int) -> Int { apus_integer_workspace_bytes(rows, inputs) }

  /// Invariant: `x` covers `rows` rows of `inputs` bytes, `sums` of `outputs` integers, `stride` apart, and
  /// `workspace` what `workspaceBytes` says, aligned to 8.
  ///
  /// - Parameter stride: nil: rows of sums follow each other.
  func multiply(
    rows: Int, _ x: UnsafeRawPointer, isSigned: Bool, zero: Int32, into sums: UnsafeMutablePointer<Int32>,
    stride: Int? = nil, workspace: UnsafeMutableRawPointer
  ) {
    apus_integer_product(
      rows, inputs, outputs, x, isSigned, inputs, zero,
      UnsafeRawPointer(packed.floats).assumingMemoryBound(to: Int8.self),
      zeros.map { UnsafeRawPointer($0.floats).assumingMemoryBound(to: Int32.self) }, sums, stride ?? outputs,
      workspace)
  }
}

/// Products of 8-bit numbers as 32-bit ones.
struct IntegerMatMulKernel: StepKernel {
  private let weights: IntegerWeights
  private let isSigned: Bool
  private let count: Extent
  private let hasZero: Bool

  init?(_ types: KernelTypes) {
    guard let input = types.inputs[0], let last = input.shape.last, !last.isPerRow,
      types.inputs.count < 3 || types.inputs[2] == nil || types.inputs[2]?.count == Extent(1),
      types.inputs.count < 4 || types.inputs[3] == nil || types.constants[3] != nil,
      let weights = IntegerWeights(
        types.constants[1], zeros: types.inputs.count > 3 ? types.constants[3] : nil, isTransposed: true)
    else { return nil }
    self.weights = weights
    isSigned = input.element == .int8
    let all = types.outputCount
    count = Extent(all.count / weights.outputs, isPerRow: all.isPerRow)
    hasZero = types.inputs.count > 2 && types.inputs[2] != nil
  }

  func scratchBytes(rows: Int) -> Int { weights.workspaceBytes(rows: count.resolved(rows: rows)) }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let x = run.bytes(0) else { return }
    let sums = UnsafeMutableRawPointer(run.output).assumingMemoryBound(to: Int32.self)
    weights.multiply(
      rows: count.resolved(rows: rows), x, isSigned: isSigned,
      zero: hasZero ? run.integer(2, isSigned: isSigned) : 0, into: sums, workspace: run.scratch)
  }

  var description: String { "MatMulInteger \(weights.inputs) -> \(weights.outputs), packed" }
}

/// A linear layer of 8-bit numbers with all that is around it.
struct IntegerLinearKernel: StepKernel {
  private let layer: IntegerLinear
  private let weights: IntegerWeights
  private let factors: BufferOwner
  private let hasBias: Bool
  private let activation: KernelActivation
  private let count: Extent

  init?(_ layer: IntegerLinear, _ types: KernelTypes) {
    guard let last = types.inputs[0]?.shape.last, !last.isPerRow, let scales = types.floats(2),
      let scaleCount = types.constants[2]?.type.count, types.inputs[3] == nil || types.constants[3] != nil,
      let weights = IntegerWeights(
        types.constants[1], zeros: types.constants[3], isTransposed: layer.isTransposed)
    else { return nil }
    self.layer = layer
    self.weights = weights
    factors = BufferOwner(
      layer.factors(UnsafeBufferPointer(start: scales, count: scaleCount), outputs: weights.outputs))
    hasBias = types.inputs[4] != nil
    activation = KernelActivation(layer.activation)
    let all = types.outputCount
    count = Extent(all.count / weights.outputs, isPerRow: all.isPerRow)
  }

  /// Sums, what the product needs, and quantized inputs.
  private func parts(_ rows: Int) -> (workspace: Int, bytes: Int, end: Int) {
    let workspace = (rows * weights.outputs * MemoryLayout<Int32>.stride + 63) & ~63
    let bytes = workspace + (weights.workspaceBytes(rows: rows) + 63) & ~63
    return (workspace, bytes, bytes + (layer.input == .dynamic ? rows * weights.inputs : 0))
  }

  func scratchBytes(rows: Int) -> Int { parts(count.resolved(rows: rows)).end }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let x = run.bytes(0) else { return }
    let rows = count.resolved(rows: rows)
    let parts = parts(rows)
    let sums = run.scratch.assumingMemoryBound(to: Int32.self)
    var scale: Float = 1
    switch layer.input {
    case .fixed(let input):
      weights.multiply(
        rows: rows, x, isSigned: input.element == .int8, zero: input.zero, into: sums,
        workspace: run.scratch + parts.workspace)
    case .dynamic:
      let count = rows * weights.inputs
      var found = apus_dynamic_quantization(count, run.floats(0))
      apus_quantize(count, run.floats(0), &found, run.scratch + parts.bytes)
      weights.multiply(
        rows: rows, run.scratch + parts.bytes, isSigned: false, zero: found.zero, into: sums,
        workspace: run.scratch + parts.workspace)
      scale = found.scale
    }
    finish(rows, sums, scale, run)
  }

  private func finish(
    _ rows: Int, _ sums: UnsafeMutablePointer<Int32>, _ scale: Float, _ run: borrowing StepRun
  ) {
    var scaling = apus_integer_scaling()
    scaling.scale = scale
    scaling.factors = UnsafePointer(factors.floats)
    scaling.bias = hasBias ? run.floats(4) : nil
    (scaling.activation, scaling.alpha, scaling.beta) = (activation.kind, activation.alpha, activation.beta)
    if let step = layer.step, layer.output != .step {
      scaling.has_step = true
      scaling.step = step.forKernels
    }
    // Floats that are rounded again take the place of their sums.
    let floats = UnsafeMutableRawPointer(sums).assumingMemoryBound(to: Float.self)
    let isFloat = layer.output == .floats
    apus_integer_scale(rows, weights.outputs, sums, &scaling, isFloat ? run.output : floats)
    var rounding: apus_quantization
    switch layer.output {
    case .floats: return
    case .step:
      // Factors have the step's scale in them.
      rounding = (layer.step ?? Quantization(scale: 1, zero: 0, element: .uint8)).forKernels
      rounding.scale = 1
    case .rounded(let quantization): rounding = quantization.forKernels
    }
    apus_quantize(rows * weights.outputs, floats, &rounding, run.output)
  }

  var description: String { "Linear \(weights.inputs) -> \(weights.outputs) of 8 bits, packed" }
}

extension Quantization {
  var forKernels: apus_quantization { apus_quantization(scale: scale, zero: zero, low: low, high: high) }
}

extension StepRun {
  @inline(__always)
  func bytes(_ input: Int) -> UnsafeRawPointer? {
    guard input < step.inputs.count, let operand = step.inputs[input] else { return nil }
    return UnsafeRawPointer(memory.address(operand.location))
  }

  /// The only number of an input of 8 bits.
  @inline(__always)
  func integer(_ input: Int, isSigned: Bool) -> Int32 {
    guard let start = bytes(input) else { return 0 }
    return isSigned ? Int32(start.load(as: Int8.self)) : Int32(start.load(as: UInt8.self))
  }
}
