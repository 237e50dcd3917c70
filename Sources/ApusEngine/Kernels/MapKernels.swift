import CApusKernels

/// A function of each number.
struct MapKernel: StepKernel {
  private typealias Function =
    @convention(c) (Int, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void

  private let name: String
  private let function: Function
  private let count: Extent

  init?(_ function: Elementwise.Function, _ types: KernelTypes) {
    switch function {
    case .relu: self.function = apus_relu
    case .exponential: self.function = apus_exp
    case .logarithm: self.function = apus_log
    case .errorFunction: self.function = apus_erf
    case .sigmoid: self.function = apus_sigmoid
    case .tanh: self.function = apus_tanh
    default: return nil
    }
    name = function.rawValue
    count = types.outputCount
  }

  init(_ gelu: Gelu, _ types: KernelTypes) {
    name = gelu.name
    function = gelu.isApproximate ? apus_gelu_tanh : apus_gelu
    count = types.outputCount
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    function(count.resolved(rows: rows), run.floats(0), run.output)
  }

  var description: String { name }
}

/// Sums and products of two tensors of one shape, and sums with a row that is the same for each.
struct PairKernel: StepKernel {
  private let isProduct: Bool
  private let count: Extent
  /// Of a row that is added to each; nil: both have the same shape.
  private let columns: Int?

  init?(_ function: Arithmetic.Function, _ types: KernelTypes) {
    guard function == .add || function == .multiply, types.isFloat32(1), let left = types.inputs[0],
      let right = types.inputs[1]
    else { return nil }
    isProduct = function == .multiply
    count = types.outputCount
    if left.shape == right.shape {
      columns = nil
    } else if !isProduct, right.shape.count == 1, left.shape.last == right.shape[0], right.shape[0].count > 0,
      !right.shape[0].isPerRow, left.shape == types.outputs[0].shape
    {
      columns = right.shape[0].count
    } else {
      return nil
    }
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    let count = count.resolved(rows: rows)
    if let columns {
      apus_add_row(count / columns, columns, run.floats(0), columns, run.floats(1), run.output, columns)
    } else if isProduct {
      apus_multiply(count, run.floats(0), run.floats(1), run.output)
    } else {
      apus_add(count, run.floats(0), run.floats(1), run.output)
    }
  }

  var description: String { isProduct ? "Mul" : "Add" }
}
