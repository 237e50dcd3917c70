/// Products with a matrix of weights, with a bias and a function of each sum: what Gemm or MatMul, Add and an
/// activation are together. Inputs: X [..., inputs], W, and the bias [outputs] if there is one, in float32; W
/// may also be of 16 bits, which are widened.
struct Linear: Operator {
  /// Whether W is [inputs, outputs] and not, as PyTorch stores it, [outputs, inputs].
  let isTransposed: Bool
  let activation: FusedActivation
  var name: String { "Linear" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    let weights = try inputs.required(1, "W")
    guard input.element == .float32, weights.element == .float32 || weights.element.isHalf,
      weights.shape.count == 2,
      let width = input.shape.last, width == weights.shape[isTransposed ? 0 : 1]
    else { throw GraphError("weights of shape \(weights.shape) do not fit rows of \(input.shape)") }
    let outputs = weights.shape[isTransposed ? 1 : 0]
    if let bias = inputs.optional(2) {
      guard bias.element == .float32, bias.shape == [outputs] else {
        throw GraphError("a bias of shape \(bias.shape) does not fit \(outputs) outputs")
      }
    }
    return [try TensorType(.float32, input.shape.dropLast() + [outputs])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let input = inputs[required: 0]
    // Kept until the end, as it may be a copy.
    let widened = inputs[required: 1].widened()
    let weights = widened?.view ?? inputs[required: 1]
    defer { withExtendedLifetime(widened) {} }
    let (width, columns) = (input.type.shape.last ?? 0, outputs[0].type.shape.last ?? 0)
    guard outputs[0].type.count > 0 else { return }
    let product = MatrixProduct(
      rows: outputs[0].type.count / columns, inner: width, columns: columns, isLeftTransposed: false,
      isRightTransposed: !isTransposed)
    product.multiply(
      PlainProductSum<Float>(bias: inputs[optional: 2]?.pointer()), input.pointer(), weights.pointer(),
      into: outputs[0].pointer())
    activation.apply(outputs[0].elements())
  }
}
