import CApusKernels

/// A function of each number.
struct MapKernel: StepKernel {
  private typealias Function =
    @convention(c) (Int, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void

  private let function: Function
  private let count: Extent
  let description: String

  init?(_ function: Elementwise.Function, _ types: KernelTypes) {
    switch function {
    case .relu: self.function = apus_relu
    case .squareRoot: self.function = apus_sqrt
    case .reciprocal: self.function = apus_reciprocal
    case .exponential: self.function = apus_exp
    case .logarithm: self.function = apus_log
    case .errorFunction: self.function = apus_erf
    case .sigmoid: self.function = apus_sigmoid
    case .tanh: self.function = apus_tanh
    default: return nil
    }
    description = function.rawValue
    count = types.outputCount
  }

  init(_ gelu: Gelu, _ types: KernelTypes) {
    description = gelu.name
    function = gelu.isApproximate ? apus_gelu_tanh : apus_gelu
    count = types.outputCount
  }

  /// Squares, the one power that exporters write.
  init?(_ power: Power, _ types: KernelTypes) {
    guard let exponent = types.floats(1), let type = types.inputs[1], type.count == Extent(1),
      exponent[0] == 2,
      types.outputs[0] == types.inputs[0]
    else { return nil }
    description = power.name
    function = apus_square
    count = types.outputCount
  }

  var toleratesChanges: Bool { true }

  func run(rows: Int, _ run: borrowing StepRun) {
    function(count.resolved(rows: rows), run.floats(0), run.output)
  }
}

/// Cast to float32.
struct FloatKernel: StepKernel {
  private let element: ElementType
  private let count: Extent
  let description = "Cast"

  init?(_ types: KernelTypes) {
    guard types.outputs.first?.element == .float32, let element = types.inputs[0]?.element,
      [.int32, .int64, .uint8, .bool].contains(element)
    else { return nil }
    self.element = element
    count = types.outputCount
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.address(0) else { return }
    let count = count.resolved(rows: rows)
    switch element {
    case .int32: apus_floats_of_int32(count, input.assumingMemoryBound(to: Int32.self), run.output)
    case .int64: apus_floats_of_int64(count, input.assumingMemoryBound(to: Int64.self), run.output)
    case .uint8: apus_floats_of_uint8(count, input.assumingMemoryBound(to: UInt8.self), run.output)
    default: apus_floats_of_truths(count, input.assumingMemoryBound(to: UInt8.self), run.output)
    }
  }
}
