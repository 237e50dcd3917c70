extension Graph {
  /// The same with products of 8-bit numbers as one operator each, with what exporters write around them:
  /// - DynamicQuantizeLinear, MatMulInteger, Cast, and Mul by both scales;
  /// - Gemm or MatMul of what DequantizeLinear makes of 8-bit numbers;
  /// - QLinearMatMul, and DequantizeLinear behind it;
  ///
  /// and for each the addition of a bias, an activation, and QuantizeLinear. Integers are those of the graph
  /// as it stands; floats differ by rounding, and only where the graph multiplies floats.
  ///
  /// - Throws: `GraphError` that names a node whose constants do not fit.
  func withIntegerProducts() throws(GraphError) -> Graph {
    guard nodes.contains(where: { $0.operation.isOfIntegers }) else { return self }
    var editor = GraphEditor(
      try folded { node, inputs in
        guard node.operation is DequantizeLinear, let type = inputs[0]?.type else { return false }
        return type.rank == 2 && QuantizationInputs.elements.contains(type.element)
      })
    for node in editor.nodes() {
      guard let output = editor.onlyOutput(of: node), let found = try editor.integerProduct(node) else {
        continue
      }
      for product in found.inner { editor.remove(product) }
      editor.replace(node, found.operation, inputs: found.inputs, output: output)
    }
    return editor.finished()
  }
}

extension Operator {
  fileprivate var isOfIntegers: Bool {
    self is MatMulInteger || self is QLinearMatMul || self is DequantizeLinear
  }
}

/// An operator for a node's place.
private struct IntegerProduct {
  let operation: IntegerLinear
  /// X, W, scales, zero points, bias.
  let inputs: [Graph.ValueID?]
  /// Nodes that are computed with it.
  var inner: [Int] = []
}

extension GraphEditor {
  fileprivate mutating func integerProduct(_ node: Int) throws(GraphError) -> IntegerProduct? {
    let inputs = graph.nodes[node].inputs
    switch graph.nodes[node].operation {
    case let gemm as Gemm
    where !gemm.isLeftTransposed && gemm.alpha == 1 && (gemm.beta == 1 || inputs.count < 3):
      return try product(ofDequantized: inputs, isTransposed: !gemm.isRightTransposed)
    case is MatMul: return try product(ofDequantized: inputs, isTransposed: true)
    case is QLinearMatMul: return quantizedProduct(inputs)
    case let pair as Arithmetic where pair.function == .multiply: return dynamicProduct(inputs)
    case let pair as Arithmetic where pair.function == .add: return try productWithBias(inputs)
    case let dequantize as DequantizeLinear: return productOfFloats(dequantize, inputs)
    case let quantize as QuantizeLinear: return roundedProduct(quantize, inputs)
    default: return activatedProduct(node)
    }
  }

  /// A Gemm or MatMul of dequantized numbers.
  private mutating func product(
    ofDequantized inputs: [Graph.ValueID?], isTransposed: Bool
  ) throws(GraphError) -> IntegerProduct? {
    guard let left = producer(of: inputs[0], DequantizeLinear.self),
      let right = producer(of: inputs[1], DequantizeLinear.self), left.operation.block == 0,
      right.operation.block == 0
    else { return nil }
    let (x, w) = (graph.nodes[left.node].inputs, graph.nodes[right.node].inputs)
    guard let weights = matrix(w[0]), let scales = constant(w[1]), scales.type.element == .float32,
      let input = quantization(x, elements: QuantizationInputs.elements)
    else { return nil }
    let columns = weights.type.shape[isTransposed ? 1 : 0]
    let axis = right.operation.axis < 0 ? right.operation.axis + 2 : right.operation.axis
    // Sums of more products might not fit 32 bits, as they do in floats.
    guard weights.type.shape[isTransposed ? 0 : 1] <= 1 << 15,
      scales.type.count == 1 || scales.type.shape == [columns] && axis == (isTransposed ? 1 : 0),
      let zeros = zeros(w, columns)
    else { return nil }
    var bias: Graph.ValueID?
    if inputs.count > 2, let addend = inputs[2] {
      guard let row = try row(addend, columns) else { return nil }
      bias = row
    }
    return IntegerProduct(
      operation: IntegerLinear(isTransposed: isTransposed, input: .fixed(input)),
      inputs: [x[0], w[0], w[1], zeros, bias])
  }

  private func quantizedProduct(_ inputs: [Graph.ValueID?]) -> IntegerProduct? {
    guard inputs.count == 8, let weights = matrix(inputs[3]), let scales = constant(inputs[4]),
      let input = quantization(Array(inputs[0...2]), elements: QuantizationInputs.elements),
      let step = quantization(Array(inputs[5...7]), elements: QuantizationInputs.elements),
      [1, weights.type.shape[1]].contains(scales.type.count), scales.type.element == .float32,
      let zeros = zeros(Array(inputs[3...5]), weights.type.shape[1])
    else { return nil }
    return IntegerProduct(
      operation: IntegerLinear(isTransposed: true, input: .fixed(input), step: step, output: .step),
      inputs: [inputs[0], inputs[3], inputs[4], zeros, nil])
  }

  /// Mul(Cast(MatMulInteger(DynamicQuantizeLinear(x), W)), Mul(the scale of x, that of W)).
  private func dynamicProduct(_ inputs: [Graph.ValueID?]) -> IntegerProduct? {
    for (sums, scale) in [(inputs[0], inputs[1]), (inputs[1], inputs[0])] {
      guard hasOneReader(sums), let cast = producer(of: sums, Casting.self),
        cast.operation.target == .float32,
        let integers = graph.nodes[cast.node].inputs[0], hasOneReader(integers),
        let product = producer(of: integers, MatMulInteger.self),
        let scales = producer(of: scale, Arithmetic.self), scales.operation.function == .multiply
      else { continue }
      let operands = graph.nodes[product.node].inputs
      guard operands.count >= 3, let dynamic = producer(of: operands[0], DynamicQuantizeLinear.self),
        let weights = matrix(operands[1])
      else { continue }
      let outputs = graph.nodes[dynamic.node].outputs
      let factors = graph.nodes[scales.node].inputs
      guard outputs.count == 3, outputs[0] == operands[0], outputs[2] == operands[2],
        let factor = outputs[1] == factors[0] ? factors[1] : outputs[1] == factors[1] ? factors[0] : nil,
        let numbers = constant(factor), numbers.type.element == .float32, numbers.type.rank <= 1,
        [1, weights.type.shape[1]].contains(numbers.type.count),
        let zeros = zeros(
          [operands[1], factor, operands.count > 3 ? operands[3] : nil], weights.type.shape[1])
      else { continue }
      return IntegerProduct(
        operation: IntegerLinear(isTransposed: true, input: .dynamic),
        inputs: [graph.nodes[dynamic.node].inputs[0], operands[1], factor, zeros, nil],
        inner: [cast.node, product.node])
    }
    return nil
  }

  private mutating func productWithBias(_ inputs: [Graph.ValueID?]) throws(GraphError) -> IntegerProduct? {
    for (sum, other) in [(inputs[0], inputs[1]), (inputs[1], inputs[0])] {
      guard let product = openProduct(sum), let addend = other, product.inputs[4] == nil,
        product.operation.activation == .none, let weights = constant(product.inputs[1]),
        let bias = try row(addend, weights.type.shape[product.operation.isTransposed ? 1 : 0])
      else { continue }
      return IntegerProduct(
        operation: product.operation, inputs: Array(product.inputs[..<4]) + [bias], inner: product.inner)
    }
    return nil
  }

  private func activatedProduct(_ node: Int) -> IntegerProduct? {
    guard let activation = activation(node), let product = openProduct(graph.nodes[node].inputs[0]),
      product.operation.activation == .none
    else { return nil }
    var operation = product.operation
    operation.activation = activation
    return IntegerProduct(operation: operation, inputs: product.inputs, inner: product.inner)
  }

  /// What QLinearMatMul gives, as floats.
  private func productOfFloats(
    _ dequantize: DequantizeLinear, _ inputs: [Graph.ValueID?]
  ) -> IntegerProduct? {
    guard hasOneReader(inputs[0]), let product = producer(of: inputs[0], IntegerLinear.self),
      product.operation.output == .step, dequantize.block == 0, let step = product.operation.step,
      quantization(inputs, elements: [step.element]) == step
    else { return nil }
    var operation = product.operation
    operation.output = .floats
    return IntegerProduct(
      operation: operation, inputs: graph.nodes[product.node].inputs, inner: [product.node])
  }

  private func roundedProduct(_ quantize: QuantizeLinear, _ inputs: [Graph.ValueID?]) -> IntegerProduct? {
    guard quantize.block == 0, let product = openProduct(inputs[0]),
      let quantization = Quantization(
        scale: constant(inputs[1]), zero: inputs.count > 2 ? constant(inputs[2]) : nil,
        element: inputs.count > 2 ? constant(inputs[2])?.type.element ?? .float32 : quantize.output ?? .uint8)
    else { return nil }
    var operation = product.operation
    operation.output = .rounded(quantization)
    return IntegerProduct(operation: operation, inputs: product.inputs, inner: product.inner)
  }

  /// A product whose floats one node reads.
  private func openProduct(_ value: Graph.ValueID?) -> IntegerProduct? {
    guard hasOneReader(value), let product = producer(of: value, IntegerLinear.self),
      product.operation.output == .floats
    else { return nil }
    return IntegerProduct(
      operation: product.operation, inputs: graph.nodes[product.node].inputs, inner: [product.node])
  }

  /// Constant weights of 8 bits.
  private func matrix(_ value: Graph.ValueID?) -> Tensor? {
    guard let tensor = constant(value), tensor.type.rank == 2, tensor.type.count > 0,
      QuantizationInputs.elements.contains(tensor.type.element)
    else { return nil }
    return tensor
  }

  /// How numbers are read, of which a node's inputs are numbers, scale and zero point, constant and the same
  /// for all; nil where that is not so.
  private func quantization(_ inputs: [Graph.ValueID?], elements: [ElementType]) -> Quantization? {
    // Without a zero point the numbers' type is not known here.
    guard inputs.count > 2, let zero = constant(inputs[2]), elements.contains(zero.type.element) else {
      return nil
    }
    return Quantization(scale: constant(inputs[1]), zero: zero, element: zero.type.element)
  }

  /// The zero points of weights, of which a node's inputs are numbers, scale and zero points; .some(nil) for
  /// none, nil where they are no constants that fit.
  private func zeros(_ inputs: [Graph.ValueID?], _ columns: Int) -> Graph.ValueID?? {
    guard inputs.count > 2, let zeros = inputs[2] else { return .some(nil) }
    guard let tensor = constant(zeros), [1, columns].contains(tensor.type.count), tensor.type.rank <= 1 else {
      return nil
    }
    return .some(zeros)
  }
}
