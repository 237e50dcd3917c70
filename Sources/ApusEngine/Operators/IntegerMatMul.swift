/// MatMulInteger: products of 8-bit matrices, less their zero points, as 32-bit ones.
struct MatMulInteger: Operator, IntegerPairOperation {
  let name = "MatMulInteger"

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let left = try inputs.required(0, "A")
    let right = try inputs.required(1, "B")
    try left.require("A", QuantizationInputs.elements)
    try right.require("B", QuantizationInputs.elements)
    let stack = try MatrixStack(left.shape, right.shape)
    if let zeros = inputs.optional(2) {
      try zeros.requireSameElement("a_zero_point", as: left, "A")
      try QuantizationInputs.check(zeros, "a_zero_point", count: stack.rows, axis: .rows)
    }
    if let zeros = inputs.optional(3) {
      try zeros.requireSameElement("b_zero_point", as: right, "B")
      try QuantizationInputs.check(zeros, "b_zero_point", count: stack.columns, axis: .columns)
    }
    return [try TensorType(.int32, stack.outputShape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    try run(inputs[required: 0].type.element, inputs[required: 1].type.element, inputs, outputs[0])
  }

  func run<Left: QuantizedElement, Right: QuantizedElement>(
    _: Left.Type, _: Right.Type, _ inputs: [TensorView?], _ output: MutableTensorView
  ) throws(GraphError) {
    let left = inputs[required: 0]
    let right = inputs[required: 1]
    let product = IntegerProductSum<Left, Right>(
      leftZeros: ZeroPoints(inputs[optional: 2]), rightZeros: ZeroPoints(inputs[optional: 3]))
    try MatrixStack(left.type.shape, right.type.shape)
      .multiply(product, left.pointer(), right.pointer(), into: output.pointer())
  }

  static let entries = [
    OperatorEntry("MatMulInteger") { (node) throws(GraphError) in
      try node.attributes.only()
      return MatMulInteger()
    },
    OperatorEntry("QLinearMatMul") { (node) throws(GraphError) in
      try node.attributes.only()
      return QLinearMatMul()
    },
  ]
}

/// QLinearMatMul: products of 8-bit matrices as 8-bit ones, each of a scale and a zero point.
struct QLinearMatMul: Operator, IntegerPairOperation {
  let name = "QLinearMatMul"

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let left = try inputs.required(0, "a")
    let right = try inputs.required(3, "b")
    try left.require("a", QuantizationInputs.elements)
    try right.require("b", QuantizationInputs.elements)
    let stack = try MatrixStack(left.shape, right.shape)
    let leftZeros = try inputs.required(2, "a_zero_point")
    let rightZeros = try inputs.required(5, "b_zero_point")
    let outputZero = try inputs.required(7, "y_zero_point")
    try leftZeros.requireSameElement("a_zero_point", as: left, "a")
    try rightZeros.requireSameElement("b_zero_point", as: right, "b")
    try outputZero.require("y_zero_point", QuantizationInputs.elements)
    for (index, name) in [(1, "a_scale"), (4, "b_scale"), (6, "y_scale")] {
      try inputs.required(index, name).require(name, [.float32])
    }
    try QuantizationInputs.check(leftZeros, "a_zero_point", count: stack.rows, axis: .rows)
    try QuantizationInputs.check(inputs.required(1, "a_scale"), "a_scale", count: stack.rows, axis: .rows)
    try QuantizationInputs.check(rightZeros, "b_zero_point", count: stack.columns, axis: .columns)
    try QuantizationInputs.check(
      inputs.required(4, "b_scale"), "b_scale", count: stack.columns, axis: .columns)
    try QuantizationInputs.checkSingle(inputs.required(6, "y_scale"), "y_scale")
    try QuantizationInputs.checkSingle(outputZero, "y_zero_point")
    return [try TensorType(outputZero.element, stack.outputShape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    try run(inputs[required: 0].type.element, inputs[required: 3].type.element, inputs, outputs[0])
  }

  func run<Left: QuantizedElement, Right: QuantizedElement>(
    _: Left.Type, _: Right.Type, _ inputs: [TensorView?], _ output: MutableTensorView
  ) throws(GraphError) {
    let products = IntegerProductSum<Left, Right>(
      leftZeros: ZeroPoints(inputs[required: 2]), rightZeros: ZeroPoints(inputs[required: 5]))
    if output.type.element == .int8 {
      try multiply(products, inputs, output, Int8.self)
    } else {
      try multiply(products, inputs, output, UInt8.self)
    }
  }

  private func multiply<Left: QuantizedElement, Right: QuantizedElement, Output: QuantizedElement>(
    _ products: IntegerProductSum<Left, Right>, _ inputs: [TensorView?], _ output: MutableTensorView,
    _: Output.Type
  ) throws(GraphError) {
    let left = inputs[required: 0]
    let right = inputs[required: 3]
    let sum = RequantizedProductSum(
      products: products, bias: nil, leftScales: ScaleFactors(inputs[required: 1]),
      rightScales: ScaleFactors(inputs[required: 4]),
      outputScale: inputs[required: 6].pointer(Float.self)[0],
      outputZero: inputs[required: 7].pointer(Output.self)[0])
    try MatrixStack(left.type.shape, right.type.shape)
      .multiply(sum, left.pointer(), right.pointer(), into: output.pointer())
  }
}
