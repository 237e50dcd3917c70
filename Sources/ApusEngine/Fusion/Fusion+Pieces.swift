/// Finds GELU (Hendrycks and Gimpel, arXiv:1606.08415) in the pieces that exporters write before opset 20:
/// x · (erf(x / √2) + 1) · ½, multiplied in any order.
func joinGelu(_ editor: inout GraphEditor) {
  for node in editor.nodes() where editor.isThere(node) {
    guard editor.isProduct(node), let output = editor.onlyOutput(of: node) else { continue }
    var inner: [Int] = []
    let factors = editor.factors(of: node, &inner)
    guard factors.count == 3, let half = factors.first(where: { editor.scalar($0) == 0.5 }) else { continue }
    for (place, factor) in factors.enumerated() where factor != half {
      guard let root = editor.argument(ofErrorFunctionPlusOne: factor),
        factors.enumerated().contains(where: { $0.offset != place && $0.element == root })
      else { continue }
      for product in inner { editor.remove(product) }
      editor.replace(node, Gelu(isApproximate: false), inputs: [root], output: output)
      break
    }
  }
}

/// Finds layer normalization (Ba et al., arXiv:1607.06450) in the pieces that exporters write before opset
/// 17: (x - mean) / √(mean of (x - mean)² + ε) · scale + bias, over the last dimension.
func joinLayerNormalization(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() where editor.isProduct(node) {
    guard let output = editor.onlyOutput(of: node) else { continue }
    let inputs = editor.graph.nodes[node].inputs
    for (place, other) in [(0, 1), (1, 0)] {
      guard let scale = editor.constant(inputs[other]), scale.type.element == .float32, scale.type.rank == 1,
        editor.hasOneReader(inputs[place]), let found = editor.normalized(inputs[place])
      else { continue }
      let operation = LayerNormalization(
        name: "LayerNormalization", axis: -1, epsilon: found.epsilon, isCentered: true, outputs: 1)
      editor.replace(node, operation, inputs: [found.input, inputs[other]], output: output)
      break
    }
  }
  takeInLayerBiases(&editor)
}

private func takeInLayerBiases(_ editor: inout GraphEditor) {
  for node in editor.nodes() where editor.arithmetic(node) == .add {
    guard let output = editor.onlyOutput(of: node) else { continue }
    let inputs = editor.graph.nodes[node].inputs
    for (place, other) in [(0, 1), (1, 0)] {
      guard let bias = editor.constant(inputs[other]), bias.type.element == .float32, bias.type.rank == 1,
        editor.hasOneReader(inputs[place]),
        let norm = editor.producer(of: inputs[place], LayerNormalization.self), norm.operation.outputs == 1,
        editor.graph.nodes[norm.node].inputs.count == 2
      else { continue }
      let operands = editor.graph.nodes[norm.node].inputs
      guard let scale = editor.constant(operands[1]), scale.type == bias.type else { continue }
      editor.remove(norm.node)
      editor.replace(node, norm.operation, inputs: operands + [inputs[other]], output: output)
      break
    }
  }
}

extension GraphEditor {
  fileprivate func arithmetic(_ node: Int) -> Arithmetic.Function? {
    (graph.nodes[node].operation as? Arithmetic)?.function
  }

  fileprivate func isProduct(_ node: Int) -> Bool { arithmetic(node) == .multiply }

  /// The number of a constant that has one.
  fileprivate func scalar(_ value: Graph.ValueID?) -> Float? {
    guard let tensor = constant(value), tensor.type.element == .float32, tensor.type.count == 1 else {
      return nil
    }
    return tensor.view.elements(Float.self)[0]
  }

  private func isScalar(_ value: Graph.ValueID?, _ number: Float) -> Bool {
    scalar(value).map { abs($0 - number) <= 1e-6 * abs(number) } ?? false
  }

  /// What is multiplied by a node, and by one product inside it that nobody else reads.
  fileprivate func factors(of node: Int, _ inner: inout [Int]) -> [Graph.ValueID] {
    let inputs = graph.nodes[node].inputs.compactMap { $0 }
    for (place, other) in [(0, 1), (1, 0)] where inputs.count == 2 {
      guard hasOneReader(inputs[place]), let product = producer(of: inputs[place], Arithmetic.self),
        product.operation.function == .multiply
      else { continue }
      inner = [product.node]
      return graph.nodes[product.node].inputs.compactMap { $0 } + [inputs[other]]
    }
    return inputs
  }

  /// x, where a value is erf(x / √2) + 1.
  fileprivate func argument(ofErrorFunctionPlusOne value: Graph.ValueID) -> Graph.ValueID? {
    guard let sum = producer(of: value, Arithmetic.self), sum.operation.function == .add else { return nil }
    let addends = graph.nodes[sum.node].inputs
    for (place, other) in [(0, 1), (1, 0)] where isScalar(addends[other], 1) {
      guard let erf = producer(of: addends[place], Elementwise.self),
        erf.operation.function == .errorFunction,
        let scaled = producer(of: graph.nodes[erf.node].inputs[0], Arithmetic.self)
      else { continue }
      let operands = graph.nodes[scaled.node].inputs
      switch scaled.operation.function {
      case .divide where isScalar(operands[1], 1.41421356): return operands[0]
      case .multiply where isScalar(operands[1], 0.70710678): return operands[0]
      case .multiply where isScalar(operands[0], 0.70710678): return operands[1]
      default: continue
      }
    }
    return nil
  }

  /// x and ε, where a value is (x - mean) / √(mean of (x - mean)² + ε).
  fileprivate func normalized(_ value: Graph.ValueID?) -> (input: Graph.ValueID, epsilon: Float)? {
    guard let quotient = producer(of: value, Arithmetic.self), quotient.operation.function == .divide else {
      return nil
    }
    let (difference, deviation) = (graph.nodes[quotient.node].inputs[0], graph.nodes[quotient.node].inputs[1])
    guard let root = producer(of: deviation, Elementwise.self), root.operation.function == .squareRoot,
      let sum = producer(of: graph.nodes[root.node].inputs[0], Arithmetic.self),
      sum.operation.function == .add,
      let epsilon = scalar(graph.nodes[sum.node].inputs[1]),
      let variance = meanOfLast(graph.nodes[sum.node].inputs[0]), isSquare(variance, of: difference),
      let minus = producer(of: difference, Arithmetic.self), minus.operation.function == .subtract,
      let input = graph.nodes[minus.node].inputs[0],
      meanOfLast(graph.nodes[minus.node].inputs[1]) == input
    else { return nil }
    return (input, epsilon)
  }

  /// x, where a value is the mean of x over its last dimension, which stays.
  private func meanOfLast(_ value: Graph.ValueID?) -> Graph.ValueID? {
    guard let mean = producer(of: value, Reduction.self), mean.operation.function == .mean,
      mean.operation.keepsDimensions
    else { return nil }
    let inputs = graph.nodes[mean.node].inputs
    let axes: [Int]?
    switch mean.operation.axes {
    case .fixed(let fixed): axes = fixed
    case .input(let place, _): axes = place < inputs.count ? integers(inputs[place]) : nil
    }
    return axes == [-1] ? inputs[0] : nil
  }

  private func integers(_ value: Graph.ValueID?) -> [Int]? {
    guard let tensor = constant(value), tensor.type.element == .int64 else { return nil }
    return tensor.view.elements(Int64.self).map { Int($0) }
  }

  private func isSquare(_ value: Graph.ValueID, of root: Graph.ValueID?) -> Bool {
    if let power = producer(of: value, Power.self) {
      let inputs = graph.nodes[power.node].inputs
      return inputs[0] == root && isScalar(inputs[1], 2)
    }
    guard let product = producer(of: value, Arithmetic.self), product.operation.function == .multiply else {
      return false
    }
    return graph.nodes[product.node].inputs.allSatisfy { $0 == root }
  }
}
