/// What a kernel may know of its node: types for any batch, and the inputs that are constants.
struct KernelTypes {
  let inputs: [BatchType?]
  let outputs: [BatchType]
  let constants: [Tensor?]

  /// All elements of the first output, for so many rows each.
  var outputCount: Extent { outputs[0].count }

  func isFloat32(_ input: Int) -> Bool { input < inputs.count && inputs[input]?.element == .float32 }

  /// The numbers of a constant of float32.
  func floats(_ input: Int) -> UnsafePointer<Float>? {
    guard input < constants.count, let tensor = constants[input], tensor.type.element == .float32 else {
      return nil
    }
    return UnsafePointer(tensor.start.assumingMemoryBound(to: Float.self))
  }
}

/// The quick form of an operator for these types; nil: there is none, and the plain one serves.
func quickKernel(
  _ operation: any Operator, _ types: KernelTypes, _ planner: KernelPlanner
) -> (any StepKernel)? {
  if operation is Reshaping || operation is Identity { return CopyKernel(types) }
  guard types.isFloat32(0), types.outputs.first?.element == .float32 else { return nil }
  switch operation {
  case let linear as Linear: return LinearKernel(linear, types, planner)
  case let softmax as SoftmaxOperator: return SoftmaxKernel(softmax, types)
  case let norm as LayerNormalization: return LayerNormKernel(norm, types)
  case let map as Elementwise: return MapKernel(map.function, types)
  case let gelu as Gelu: return MapKernel(gelu, types)
  case let pair as Arithmetic: return PairKernel(pair.function, types)
  case let conv as Conv: return ConvKernel(conv, .none, types)
  case let conv as ActivatedConv: return ConvKernel(conv.conv, conv.activation, types)
  default: return nil
  }
}
