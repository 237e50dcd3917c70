/// Gemm: alpha · A · B + beta · C, where A and B may be stored transposed and C is broadcast.
struct Gemm: Operator {
  let name = "Gemm"
  let alpha: Float
  let beta: Float
  let isLeftTransposed: Bool
  let isRightTransposed: Bool

  private static let elements: [ElementType] = [.float32, .float64, .int32, .int64, .uint32, .uint64]

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let left = try inputs.required(0, "A")
    let right = try inputs.required(1, "B")
    try left.require("A", Self.elements)
    try right.requireSameElement("B", as: left, "A")
    guard left.element.isFloatingPoint || alpha == 1 && beta == 1 else {
      throw GraphError("alpha and beta of whole numbers are 1 here")
    }
    let product = try matrices(left.type, right.type)
    let output = try TensorType(left.element, [product.rows, product.columns])
    if let addend = inputs.optional(2) {
      try addend.requireSameElement("C", as: left, "A")
      guard addend.shape.count <= 2, try broadcastShape(addend.shape, output.shape) == output.shape else {
        throw GraphError("C of shape \(addend.shape) cannot be broadcast to \(output.shape)")
      }
    }
    return [output]
  }

  /// - Throws: `GraphError` for shapes that do not fit.
  private func matrices(_ left: TensorType, _ right: TensorType) throws(GraphError) -> MatrixProduct {
    guard left.rank == 2, right.rank == 2 else {
      throw GraphError("A and B are matrices, not of shapes \(left.shape) and \(right.shape)")
    }
    let inner = left.shape[isLeftTransposed ? 0 : 1]
    guard inner == right.shape[isRightTransposed ? 1 : 0] else {
      throw GraphError(
        "A\(isLeftTransposed ? " (transposed)" : "") of shape \(left.shape) and "
          + "B\(isRightTransposed ? " (transposed)" : "") of shape \(right.shape) cannot be multiplied")
    }
    return MatrixProduct(
      rows: left.shape[isLeftTransposed ? 1 : 0], inner: inner,
      columns: right.shape[isRightTransposed ? 0 : 1],
      isLeftTransposed: isLeftTransposed, isRightTransposed: isRightTransposed)
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    switch outputs[0].type.element {
    case .float32: try multiply(inputs, outputs, alpha: alpha, beta: beta)
    case .float64: try multiply(inputs, outputs, alpha: Double(alpha), beta: Double(beta))
    case .int32: try multiply(inputs, outputs, alpha: Int32(1), beta: 1)
    case .int64: try multiply(inputs, outputs, alpha: Int64(1), beta: 1)
    case .uint32: try multiply(inputs, outputs, alpha: UInt32(1), beta: 1)
    case .uint64: try multiply(inputs, outputs, alpha: UInt64(1), beta: 1)
    case let other: throw unexpected(other)
    }
  }

  private func multiply<Number: Accumulated>(
    _ inputs: [TensorView?], _ outputs: [MutableTensorView], alpha: Number, beta: Number
  ) throws(GraphError) {
    let left = inputs[required: 0]
    let right = inputs[required: 1]
    // Beta 0 leaves C out, and with it what is not a number there.
    let addend = self.beta == 0 ? nil : inputs[optional: 2]
    let steps = addend.map { broadcastSteps($0.type.shape, to: 2) } ?? [0, 0]
    let sum = ScaledProductSum(
      alpha: alpha, beta: beta, addend: addend?.pointer(), rowStep: steps[0], columnStep: steps[1])
    try matrices(left.type, right.type)
      .multiply(sum, left.pointer(), right.pointer(), into: outputs[0].pointer())
  }

  static let entries = [
    OperatorEntry("Gemm") { (node) throws(GraphError) in
      let attributes = node.attributes
      try attributes.only("alpha", "beta", "transA", "transB")
      return Gemm(
        alpha: try attributes.float("alpha") ?? 1, beta: try attributes.float("beta") ?? 1,
        isLeftTransposed: try attributes.flag("transA"), isRightTransposed: try attributes.flag("transB"))
    }
  ]
}

/// Sums that are multiplied, with a multiple of another matrix's elements added.
private struct ScaledProductSum<Number: Accumulated>: ProductSum {
  let alpha: Number
  let beta: Number
  let addend: UnsafePointer<Number>?
  /// Elements to go on by in the addend.
  let rowStep: Int
  let columnStep: Int

  @inline(__always) func start(column: Int) -> Number { .zeroSum }

  @inline(__always) func adding(
    _ left: Number, _ right: Number, to sum: Number, row: Int, column: Int
  ) -> Number {
    sum.adding(product: left, right)
  }

  @inline(__always) func finish(_ sum: Number, row: Int, column: Int) -> Number {
    let scaled = Number.zeroSum.adding(product: alpha, sum)
    guard let addend else { return scaled }
    return scaled.adding(product: beta, addend[row * rowStep + column * columnStep])
  }
}
