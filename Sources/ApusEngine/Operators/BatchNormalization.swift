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
      let normalization = BatchNormalization(epsilon: try attributes.float("epsilon") ?? 1e-5)
      if try attributes.flag("training_mode") {
        return TrainingBatchNormalization(
          normalization: normalization, momentum: try attributes.float("momentum") ?? 0.9,
          outputs: node.outputs)
      }
      guard node.outputs <= 1 else {
        throw GraphError("without training_mode, BatchNormalization has one output, not \(node.outputs)")
      }
      return normalization
    }
  ]
}

/// BatchNormalization by the mean and variance of the batch itself (training_mode of opset 14): the other
/// outputs are `running · momentum + batch's · (1 - momentum)`.
struct TrainingBatchNormalization: Operator {
  let normalization: BatchNormalization
  let momentum: Float
  let outputs: Int
  var name: String { normalization.name }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let types = try normalization.outputTypes(inputs)
    guard outputs <= 3 else { throw GraphError("it has at most 3 outputs, not \(outputs)") }
    let running = [inputs[3], inputs[4]].compactMap { $0?.type }
    return Array((types + running).prefix(max(1, outputs)))
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    switch outputs[0].type.element {
    case .float32: try train(inputs, outputs, Float.self)
    case .float64: try train(inputs, outputs, Double.self)
    case let other: throw unexpected(other)
    }
  }

  private func train<Number: BinaryFloatingPoint & TensorElement>(
    _ inputs: [TensorView?], _ outputs: [MutableTensorView], _: Number.Type
  ) throws(GraphError) {
    let statistics = inputs[required: 3].type
    let (means, variances) = (Tensor(statistics), Tensor(statistics))
    measure(inputs[required: 0], means.mutableView.pointer(Number.self), variances.mutableView.pointer())
    try normalization.compute(
      [inputs[0], inputs[1], inputs[2], means.view, variances.view], [outputs[0]])
    for (place, batch) in [means, variances].enumerated() where place + 1 < outputs.count {
      let running = inputs[required: 3 + place].pointer(Number.self)
      let target = outputs[place + 1].pointer(Number.self)
      let found = batch.view.pointer(Number.self)
      for channel in 0..<statistics.count {
        target[channel] = running[channel] * Number(momentum) + found[channel] * Number(1 - momentum)
      }
    }
  }

  /// Mean and variance of each channel, over the batch and all places.
  private func measure<Number: BinaryFloatingPoint & TensorElement>(
    _ input: TensorView, _ means: UnsafeMutablePointer<Number>, _ variances: UnsafeMutablePointer<Number>
  ) {
    let shape = input.type.shape
    let channels = shape.count == 1 ? 1 : shape[1]
    let count = shape.dropFirst(2).reduce(1, *)
    let source = input.pointer(Number.self)
    for channel in 0..<channels {
      func sum(_ term: (Double) -> Double) -> Double {
        var sum = 0.0
        for row in 0..<shape[0] {
          let first = (row * channels + channel) * count
          for index in first..<first + count { sum += term(Double(source[index])) }
        }
        return sum / Double(shape[0] * count)
      }
      let mean = sum { $0 }
      means[channel] = Number(mean)
      variances[channel] = Number(sum { ($0 - mean) * ($0 - mean) })
    }
  }
}
