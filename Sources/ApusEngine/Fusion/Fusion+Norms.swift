/// Takes a BatchNormalization into the convolution or product before it: as it scales and moves each channel,
/// the weights and the bias can do it.
func joinBatchNormalization(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() {
    guard let norm = editor.graph.nodes[node].operation as? BatchNormalization,
      let output = editor.onlyOutput(of: node)
    else { continue }
    let inputs = editor.graph.nodes[node].inputs
    guard editor.hasOneReader(inputs[0]), let scaling = editor.scaling(norm, inputs) else { continue }
    if let conv = editor.producer(of: inputs[0], Conv.self) {
      let operands = editor.graph.nodes[conv.node].inputs
      guard let joined = try editor.scaled(operands, by: scaling, channelAxis: 0) else { continue }
      editor.remove(conv.node)
      editor.replace(node, conv.operation, inputs: joined, output: output)
    } else if let linear = editor.producer(of: inputs[0], Linear.self), linear.operation.activation == .none {
      let operands = editor.graph.nodes[linear.node].inputs
      let axis = linear.operation.isTransposed ? 1 : 0
      guard let joined = try editor.scaled(operands, by: scaling, channelAxis: axis) else { continue }
      editor.remove(linear.node)
      editor.replace(node, linear.operation, inputs: joined, output: output)
    }
  }
}

/// What is done to each channel: v · factor + shift.
struct ChannelScaling {
  let factors: [Float]
  let shifts: [Float]
}

extension GraphEditor {
  fileprivate func scaling(_ norm: BatchNormalization, _ inputs: [Graph.ValueID?]) -> ChannelScaling? {
    var numbers: [[Float]] = []
    for value in inputs.dropFirst().prefix(4) {
      guard let tensor = constant(value), tensor.type.element == .float32 else { return nil }
      numbers.append(Array(tensor.view.elements(Float.self)))
    }
    guard numbers.count == 4, numbers.allSatisfy({ $0.count == numbers[0].count }) else { return nil }
    var factors: [Float] = []
    var shifts: [Float] = []
    for channel in numbers[0].indices {
      let factor = numbers[0][channel] / (numbers[3][channel] + norm.epsilon).squareRoot()
      factors.append(factor)
      shifts.append(numbers[1][channel] - numbers[2][channel] * factor)
    }
    return ChannelScaling(factors: factors, shifts: shifts)
  }

  /// Input, weights and bias of a product or convolution whose outputs are scaled; nil where they are no
  /// constants that fit.
  mutating func scaled(
    _ operands: [Graph.ValueID?], by scaling: ChannelScaling, channelAxis: Int
  ) throws(GraphError) -> [Graph.ValueID?]? {
    guard let weights = constant(operands[1]), weights.type.element == .float32,
      weights.type.rank >= 2, weights.type.shape[channelAxis] == scaling.factors.count
    else { return nil }
    let bias = operands.count > 2 ? operands[2] : nil
    let biasType = try TensorType(.float32, [scaling.factors.count])
    guard bias == nil || constant(bias)?.type == biasType else { return nil }
    let scaledWeights = Tensor(weights.type)
    let (from, to) = (weights.view.elements(Float.self), scaledWeights.mutableView.elements(Float.self))
    let inner = weights.type.around(channelAxis).inner
    for index in from.indices {
      to[index] = from[index] * scaling.factors[index / inner % scaling.factors.count]
    }
    var shifts = scaling.shifts
    if let bias = constant(bias)?.view.elements(Float.self) {
      for channel in shifts.indices { shifts[channel] += bias[channel] * scaling.factors[channel] }
    }
    return [
      operands[0], add(scaledWeights, named: "scaled weights"),
      add(try Tensor(shifts, [shifts.count]), named: "scaled bias"),
    ]
  }
}
