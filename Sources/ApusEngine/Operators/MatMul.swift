/// MatMul: products of matrices, or of stacks of them.
struct MatMul: Operator {
  let name = "MatMul"

  private static let elements: [ElementType] = [.float32, .float64, .int32, .int64, .uint32, .uint64]

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let left = try inputs.required(0, "A")
    let right = try inputs.required(1, "B")
    try left.require("A", Self.elements)
    try right.requireSameElement("B", as: left, "A")
    return [try TensorType(left.element, MatrixStack(left.shape, right.shape).outputShape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    switch outputs[0].type.element {
    case .float32: try multiply(inputs, outputs, Float.self)
    case .float64: try multiply(inputs, outputs, Double.self)
    case .int32: try multiply(inputs, outputs, Int32.self)
    case .int64: try multiply(inputs, outputs, Int64.self)
    case .uint32: try multiply(inputs, outputs, UInt32.self)
    case .uint64: try multiply(inputs, outputs, UInt64.self)
    case let other: throw unexpected(other)
    }
  }

  private func multiply<Number: Accumulated>(
    _ inputs: [TensorView?], _ outputs: [MutableTensorView], _: Number.Type
  ) throws(GraphError) {
    let left = inputs[required: 0]
    let right = inputs[required: 1]
    let stack = try MatrixStack(left.type.shape, right.type.shape)
    stack.multiply(
      PlainProductSum<Number>(bias: nil), left.pointer(), right.pointer(), into: outputs[0].pointer())
  }

  static let entries = [
    OperatorEntry("MatMul") { (node) throws(GraphError) in
      try node.attributes.only()
      return MatMul()
    }
  ]
}
