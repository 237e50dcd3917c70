/// ConvInteger: a convolution of 8-bit numbers, less their zero points, in 32 bits.
struct ConvInteger: Operator, IntegerPairOperation {
  let name = "ConvInteger"
  let convolution: Convolution

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "x")
    let weights = try inputs.required(1, "w")
    try input.require("x", QuantizationInputs.elements)
    try weights.require("w", QuantizationInputs.elements)
    let places = try convolution.places(input: input.shape, weights: weights.shape)
    if let zero = inputs.optional(2) {
      try zero.requireSameElement("x_zero_point", as: input, "x")
      try QuantizationInputs.checkSingle(zero, "x_zero_point")
    }
    if let zeros = inputs.optional(3) {
      try zeros.requireSameElement("w_zero_point", as: weights, "w")
      try QuantizationInputs.check(zeros, "w_zero_point", count: places.outputs, axis: .channels)
    }
    return [try TensorType(.int32, places.outputShape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    try run(inputs[required: 0].type.element, inputs[required: 1].type.element, inputs, outputs[0])
  }

  func run<Left: QuantizedElement, Right: QuantizedElement>(
    _: Left.Type, _: Right.Type, _ inputs: [TensorView?], _ output: MutableTensorView
  ) throws(GraphError) {
    let input = inputs[required: 0]
    let weights = inputs[required: 1]
    let product = IntegerProductSum<Left, Right>(
      leftZeros: ZeroPoints(inputs[optional: 2]), rightZeros: ZeroPoints(inputs[optional: 3]))
    try convolution.places(input: input.type.shape, weights: weights.type.shape)
      .convolve(product, input.pointer(), weights.pointer(), into: output.pointer())
  }

  static let entries = [
    OperatorEntry("ConvInteger") { (node) throws(GraphError) in
      ConvInteger(convolution: try Convolution(node.attributes))
    },
    OperatorEntry("QLinearConv") { (node) throws(GraphError) in
      QLinearConv(convolution: try Convolution(node.attributes))
    },
  ]
}

/// QLinearConv: a convolution of 8-bit numbers as 8-bit ones, each of a scale and a zero point; those of the
/// weights may be one for each output channel.
struct QLinearConv: Operator, IntegerPairOperation {
  let name = "QLinearConv"
  let convolution: Convolution

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "x")
    let weights = try inputs.required(3, "w")
    try input.require("x", QuantizationInputs.elements)
    try weights.require("w", QuantizationInputs.elements)
    let places = try convolution.places(input: input.shape, weights: weights.shape)
    let outputZero = try inputs.required(7, "y_zero_point")
    try outputZero.require("y_zero_point", QuantizationInputs.elements)
    for (index, name) in [(1, "x_scale"), (2, "x_zero_point"), (6, "y_scale"), (7, "y_zero_point")] {
      try QuantizationInputs.checkSingle(inputs.required(index, name), name)
    }
    for (index, name) in [(4, "w_scale"), (5, "w_zero_point")] {
      try QuantizationInputs.check(
        inputs.required(index, name), name, count: places.outputs, axis: .channels)
    }
    for (index, name) in [(1, "x_scale"), (4, "w_scale"), (6, "y_scale")] {
      try inputs.required(index, name).require(name, [.float32])
    }
    try inputs.required(2, "x_zero_point").requireSameElement("x_zero_point", as: input, "x")
    try inputs.required(5, "w_zero_point").requireSameElement("w_zero_point", as: weights, "w")
    if let bias = inputs.optional(8) {
      try bias.require("B", [.int32])
      guard bias.shape == [places.outputs] else {
        throw GraphError("B of shape \(bias.shape) is not one number for each of \(places.outputs) channels")
      }
    }
    return [try TensorType(outputZero.element, places.outputShape)]
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
      try convolve(products, inputs, output, Int8.self)
    } else {
      try convolve(products, inputs, output, UInt8.self)
    }
  }

  private func convolve<Left: QuantizedElement, Right: QuantizedElement, Output: QuantizedElement>(
    _ products: IntegerProductSum<Left, Right>, _ inputs: [TensorView?], _ output: MutableTensorView,
    _: Output.Type
  ) throws(GraphError) {
    let input = inputs[required: 0]
    let weights = inputs[required: 3]
    let sum = RequantizedProductSum(
      products: products, bias: inputs[optional: 8]?.pointer(), leftScales: ScaleFactors(inputs[required: 1]),
      rightScales: ScaleFactors(inputs[required: 4]),
      outputScale: inputs[required: 6].pointer(Float.self)[0],
      outputZero: inputs[required: 7].pointer(Output.self)[0])
    try convolution.places(input: input.type.shape, weights: weights.type.shape)
      .convolve(sum, input.pointer(), weights.pointer(), into: output.pointer())
  }
}
