/// Takes sums and products with a number for each channel into the convolution or product before them, as
/// exporters write biases and norms in pieces: the weights and the bias can do it.
func joinChannelArithmetic(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() {
    guard let arithmetic = editor.graph.nodes[node].operation as? Arithmetic,
      let output = editor.onlyOutput(of: node)
    else { continue }
    let inputs = editor.graph.nodes[node].inputs
    // A constant on the left of a difference or quotient is not taken from what is computed.
    let orders =
      arithmetic.function == .add || arithmetic.function == .multiply ? [(0, 1), (1, 0)] : [(0, 1)]
    for (place, other) in orders where inputs.count == 2 && editor.hasOneReader(inputs[place]) {
      guard let constant = editor.constant(inputs[other]), constant.type.element == .float32 else { continue }
      if let conv = editor.producer(of: inputs[place], Conv.self) {
        let operands = editor.graph.nodes[conv.node].inputs
        guard let scaling = editor.scaling(arithmetic, constant, of: operands, channelAxis: 0),
          let joined = try editor.scaled(operands, by: scaling, channelAxis: 0)
        else { continue }
        editor.remove(conv.node)
        editor.replace(node, conv.operation, inputs: joined, output: output)
      } else if let linear = editor.producer(of: inputs[place], Linear.self),
        linear.operation.activation == .none
      {
        let operands = editor.graph.nodes[linear.node].inputs
        let axis = linear.operation.isTransposed ? 1 : 0
        guard let scaling = editor.scaling(arithmetic, constant, of: operands, channelAxis: axis),
          let joined = try editor.scaled(operands, by: scaling, channelAxis: axis)
        else { continue }
        editor.remove(linear.node)
        editor.replace(node, linear.operation, inputs: joined, output: output)
      } else {
        continue
      }
      break
    }
  }
}

extension GraphEditor {
  /// What is done to each channel of a convolution or product; nil where the constant is another for some
  /// places of a channel.
  ///
  /// - Parameter channelAxis: of the weights.
  fileprivate func scaling(
    _ arithmetic: Arithmetic, _ constant: Tensor, of operands: [Graph.ValueID?], channelAxis: Int
  ) -> ChannelScaling? {
    guard let weights = self.constant(operands[1]), weights.type.rank >= 2 else { return nil }
    let channels = weights.type.shape[channelAxis]
    // A convolution's channels are the second dimension of its result, a product's the last.
    let isConvolution = channelAxis == 0 && weights.type.rank > 2
    let behind = isConvolution ? weights.type.rank - 2 : 0
    let rank = behind + 2
    guard constant.type.rank <= rank else { return nil }
    let shape = [Int](repeating: 1, count: rank - constant.type.rank) + constant.type.shape
    guard shape[0] == 1, shape[1] == channels || shape[1] == 1, shape[2...].allSatisfy({ $0 == 1 }) else {
      return nil
    }
    let numbers = constant.view.elements(Float.self)
    let each = (0..<channels).map { numbers[numbers.count == 1 ? 0 : $0] }
    let zeros = [Float](repeating: 0, count: channels)
    switch arithmetic.function {
    case .add: return ChannelScaling(factors: zeros.map { _ in 1 }, shifts: each)
    case .subtract: return ChannelScaling(factors: zeros.map { _ in 1 }, shifts: each.map { -$0 })
    case .multiply: return ChannelScaling(factors: each, shifts: zeros)
    case .divide: return ChannelScaling(factors: each.map { 1 / $0 }, shifts: zeros)
    case .modulo: return nil
    }
  }
}
