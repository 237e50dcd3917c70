/// BatchNormalization as a model answers with it: each channel moved and scaled by numbers learned before.
struct BatchNormalization: Operator {
  let name = "BatchNormalization"
  let epsilon: Float

  private static let parameters = ["scale", "B", "mean", "var"]

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", [.float32, .float64])
    guard !input.shape.isEmpty else { throw GraphError("X is a scalar") }
    // A single dimension is the batch, of one channel.
    let channels = input.shape.count == 1 ? 1 : input.shape[1]
    for (index, name) in Self.parameters.enumerated() {
      let parameter = try inputs.required(index + 1, name)
      try parameter.requireSameElement(name, as: input, "X")
      guard parameter.shape == [channels] else {
        throw GraphError(
          "\(name) of shape \(parameter.shape) is not one number for each of \(channels) channels")
      }
    }
    return [input.type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    switch outputs[0].type.element {
    case .float32: normalize(inputs, outputs[0], Float.self)
    case .float64: normalize(inputs, outputs[0], Double.self)
    case let other: throw unexpected(other)
    }
  }

  private func normalize<Number: BinaryFloatingPoint & TensorElement>(
    _ inputs: [TensorView?], _ output: MutableTensorView, _: Number.Type
  ) {
    let shape = output.type.shape
    let channels = shape.count == 1 ? 1 : shape[1]
    let count = shape.dropFirst(2).reduce(1, *)
    let scales = inputs[required: 1].pointer(Number.self)
    let shifts = inputs[required: 2].pointer(Number.self)
    let means = inputs[required: 3].pointer(Number.self)
    let variances = inputs[required: 4].pointer(Number.self)
    var source = inputs[required: 0].pointer(Number.self)
    var target = output.pointer(Number.self)
    for _ in 0..<shape[0] {
      for channel in 0..<channels {
        let factor = scales[channel] / (variances[channel] + Number(epsilon)).squareRoot()
        let shift = shifts[channel] - means[channel] * factor
        for index in 0..<count { target[index] = source[index] * factor + shift }
        source += count
        target += count
      }
    }
  }

  static let entries = [
    OperatorEntry("BatchNormalization") { (node) throws(GraphError) in
      let attributes = node.attributes
      if node.opset >= 14 {
        try attributes.only("epsilon", "momentum", "training_mode")
      } else {
        try attributes.only("epsilon", "momentum")
      }
      guard try !attributes.flag("training_mode"), node.outputs <= 1 else {
        throw GraphError("a BatchNormalization that trains is not computed here")
      }
      return BatchNormalization(epsilon: try attributes.float("epsilon") ?? 1e-5)
    }
  ]
}
