import ApusBase
import CApusKernels

/// Products with weights that are packed once.
struct LinearKernel: StepKernel {
  private let inputs: Int
  private let outputs: Int
  private let count: Extent
  private let packed: BufferOwner
  private let hasBias: Bool
  private let activation: KernelActivation

  init?(_ linear: Linear, _ types: KernelTypes) {
    guard let weights = types.constants[1], let floats = types.floats(1),
      let last = types.inputs[0]?.shape.last, !last.isPerRow
    else { return nil }
    inputs = last.count
    outputs = weights.type.shape[linear.isTransposed ? 1 : 0]
    guard inputs > 0, outputs > 0 else { return nil }
    let all = types.outputCount
    count = Extent(all.count / outputs, isPerRow: all.isPerRow)
    packed = BufferOwner(floatCount: apus_linear_packed_floats(inputs, outputs))
    apus_linear_pack(floats, linear.isTransposed, outputs, inputs, packed.floats)
    hasBias = types.inputs.count > 2 && types.inputs[2] != nil
    activation = KernelActivation(linear.activation)
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    apus_linear(
      count.resolved(rows: rows), inputs, outputs, input, inputs, packed.floats,
      hasBias ? run.floats(2) : nil,
      activation.kind, activation.alpha, activation.beta, run.output, outputs)
  }

  var description: String { "Linear \(inputs) -> \(outputs), packed" }
}

/// A fused activation as the kernels take it.
struct KernelActivation: Sendable {
  let kind: apus_activation
  var alpha: Float = 0
  var beta: Float = 0

  init(_ activation: FusedActivation) {
    switch activation {
    case .none: kind = apus_activation_none
    case .relu: kind = apus_activation_relu
    case .sigmoid: kind = apus_activation_sigmoid
    case .tanh: kind = apus_activation_tanh
    case .gelu: kind = apus_activation_gelu
    case .geluTanh: kind = apus_activation_gelu_tanh
    case .clip(let low, let high): (kind, alpha, beta) = (apus_activation_clip, low, high)
    case .leaky(let slope): (kind, alpha) = (apus_activation_leaky, slope)
    }
  }
}
