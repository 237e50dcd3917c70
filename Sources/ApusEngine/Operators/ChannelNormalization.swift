import Glibc

/// InstanceNormalization and GroupNormalization: the numbers of each group of an image's channels brought to
/// a mean of 0 and a variance of 1, then scaled and moved by numbers learned.
///
/// Sums are made in double precision.
struct GroupNormalization: Operator {
  /// What has a number in `scale` and one in the bias.
  enum Parameters {
    case ofChannel, ofGroup
  }

  let name: String
  /// nil: each channel is a group.
  let groups: Int?
  let epsilon: Float
  let parameters: Parameters

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", [.float32, .float64])
    guard input.shape.count >= 3 || groups != nil && input.shape.count == 2 else {
      throw GraphError("X is of shape [N, C, ...], not \(input.shape)")
    }
    let channels = input.shape[1]
    let groups = groups ?? channels
    guard groups > 0 || channels == 0, channels == 0 || channels % groups == 0 else {
      throw GraphError("\(channels) channels cannot be in \(groups) groups")
    }
    let wanted = parameters == .ofChannel ? channels : groups
    for (index, name) in ["scale", "B"].enumerated() {
      let parameter = try inputs.required(index + 1, name)
      try parameter.requireSameElement(name, as: input, "X")
      guard parameter.shape == [wanted] else {
        throw GraphError("\(name) is of shape \(parameter.shape), not [\(wanted)]")
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
    let groups = groups ?? shape[1]
    let channelsOfGroup = shape[1] / groups
    let inner = shape.dropFirst(2).reduce(1, *)
    let count = channelsOfGroup * inner
    let scales = inputs[required: 1].pointer(Number.self)
    let shifts = inputs[required: 2].pointer(Number.self)
    for place in 0..<shape[0] * groups {
      let source = inputs[required: 0].pointer(Number.self) + place * count
      let target = output.pointer(Number.self) + place * count
      let moments = Moments(source, count, epsilon: epsilon, isCentered: true)
      let group = place % groups
      for index in 0..<count {
        let parameter = parameters == .ofGroup ? group : group * channelsOfGroup + index / inner
        target[index] = moments.normal(source[index]) * scales[parameter] + shifts[parameter]
      }
    }
  }

  static let entries = [
    OperatorEntry("InstanceNormalization") { (node) throws(GraphError) in
      try node.attributes.only("epsilon")
      return GroupNormalization(
        name: "InstanceNormalization", groups: nil, epsilon: try node.attributes.float("epsilon") ?? 1e-5,
        parameters: .ofChannel)
    },
    OperatorEntry("GroupNormalization") { (node) throws(GraphError) in
      let attributes = node.attributes
      if node.opset >= 21 {
        try attributes.only("epsilon", "num_groups", "stash_type")
      } else {
        try attributes.only("epsilon", "num_groups")
      }
      guard try attributes.int("stash_type") ?? 1 == 1 else {
        throw GraphError("a stash_type other than float32 is not computed with here")
      }
      guard let groups = try attributes.int("num_groups"), groups >= 1 else {
        throw GraphError("num_groups is missing or below 1")
      }
      return GroupNormalization(
        name: "GroupNormalization", groups: groups, epsilon: try attributes.float("epsilon") ?? 1e-5,
        parameters: node.opset >= 21 ? .ofChannel : .ofGroup)
    },
  ]
}

/// LRN: each number divided by a power of the sum of the squares around it, in the channels before and after.
struct LocalResponseNormalization: Operator {
  let name = "LRN"
  let alpha: Float
  let beta: Float
  let bias: Float
  let size: Int

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", [.float32, .float64])
    guard input.shape.count >= 2 else { throw GraphError("X is of shape [N, C, ...], not \(input.shape)") }
    return [input.type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    switch outputs[0].type.element {
    case .float32: normalize(inputs[required: 0], outputs[0], Float.self)
    case .float64: normalize(inputs[required: 0], outputs[0], Double.self)
    case let other: throw unexpected(other)
    }
  }

  private func normalize<Number: BinaryFloatingPoint & TensorElement>(
    _ input: TensorView, _ output: MutableTensorView, _: Number.Type
  ) {
    let shape = output.type.shape
    let channels = shape[1]
    let inner = shape.dropFirst(2).reduce(1, *)
    let before = (size - 1) / 2
    let after = size - 1 - before
    for place in 0..<shape[0] * channels {
      let image = input.pointer(Number.self) + place / channels * channels * inner
      let channel = place % channels
      let around = max(0, channel - before)...min(channels - 1, channel + after)
      for index in 0..<inner {
        var squares = 0.0
        for other in around {
          let number = Double(image[other * inner + index])
          squares += number * number
        }
        let base = Double(bias) + Double(alpha) / Double(size) * squares
        output.pointer(Number.self)[place * inner + index] =
          Number(Double(image[channel * inner + index]) / pow(base, Double(beta)))
      }
    }
  }

  static let entries = [
    OperatorEntry("LRN") { (node) throws(GraphError) in
      let attributes = node.attributes
      try attributes.only("alpha", "beta", "bias", "size")
      guard let size = try attributes.int("size"), 1...Int(Int32.max) ~= size else {
        throw GraphError("size is missing or below 1")
      }
      return LocalResponseNormalization(
        alpha: try attributes.float("alpha") ?? 1e-4, beta: try attributes.float("beta") ?? 0.75,
        bias: try attributes.float("bias") ?? 1, size: size)
    }
  ]
}
