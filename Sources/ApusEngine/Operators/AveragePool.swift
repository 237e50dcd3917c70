/// AveragePool: the mean of the numbers under a window.
struct AveragePool: Operator {
  let name = "AveragePool"
  let pooling: Pooling
  /// Whether padding counts as zeros.
  let countsPadding: Bool

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", [.float32, .float64])
    let shape = try input.shape.prefix(2) + pooling.places(input.shape).outputShape
    return [try TensorType(input.element, Array(shape))]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    switch outputs[0].type.element {
    case .float32: try pool(inputs[required: 0], outputs[0], Float.self)
    case .float64: try pool(inputs[required: 0], outputs[0], Double.self)
    case let other: throw unexpected(other)
    }
  }

  private func pool<Number: BinaryFloatingPoint & TensorElement>(
    _ input: TensorView, _ output: MutableTensorView, _: Number.Type
  ) throws(GraphError) {
    let places = try pooling.places(input.type.shape)
    for channel in 0..<input.type.shape[0] * input.type.shape[1] {
      let source = input.pointer(Number.self) + channel * places.inputCount
      let target = output.pointer(Number.self) + channel * places.outputCount
      places.forEachPlace { patch, place, index in
        var sum: Number = 0
        patch.forEach { sum += source[$0] }
        let count =
          countsPadding
          ? places.depth.paddedCount(place.0) * places.height.paddedCount(place.1)
            * places.width.paddedCount(place.2)
          : patch.count
        // A dilated window may lie between the elements, and hold none.
        target[index] = count > 0 ? sum / Number(count) : 0
      }
    }
  }

  static let entries = [
    OperatorEntry("AveragePool") { (node) throws(GraphError) in
      let attributes = node.attributes
      if node.opset >= 19 {
        try attributes.only(
          "auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")
      } else if node.opset >= 10 {
        try attributes.only(
          "auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")
      } else {
        try attributes.only("auto_pad", "count_include_pad", "kernel_shape", "pads", "strides")
      }
      return AveragePool(
        pooling: try Pooling(attributes), countsPadding: try attributes.flag("count_include_pad"))
    }
  ]
}

/// GlobalAveragePool and GlobalMaxPool: one number of all of a channel.
struct GlobalPool: Operator {
  enum Kind {
    case average, maximum
  }

  let name: String
  let kind: Kind

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", [.float32, .float64])
    guard input.shape.count >= 2 else {
      throw GraphError("a pool's input is of shape [N, C, ...], not \(input.shape)")
    }
    guard !input.shape[2...].contains(0) else { throw GraphError("a channel of \(input.shape) is empty") }
    return [
      try TensorType(
        input.element, input.shape.prefix(2) + [Int](repeating: 1, count: input.shape.count - 2))
    ]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    switch outputs[0].type.element {
    case .float32: pool(inputs[required: 0], outputs[0], Float.self)
    case .float64: pool(inputs[required: 0], outputs[0], Double.self)
    case let other: throw unexpected(other)
    }
  }

  private func pool<Number: BinaryFloatingPoint & MaximumElement>(
    _ input: TensorView, _ output: MutableTensorView, _: Number.Type
  ) {
    let count = input.type.count / output.type.count
    let target = output.pointer(Number.self)
    for channel in 0..<output.type.count {
      let source = input.pointer(Number.self) + channel * count
      switch kind {
      case .average:
        var sum: Number = 0
        for index in 0..<count { sum += source[index] }
        target[channel] = sum / Number(count)
      case .maximum:
        var best = Number.least
        for index in 0..<count where source[index] > best || source[index].isNaN { best = source[index] }
        target[channel] = best
      }
    }
  }

  static let entries = [
    OperatorEntry("GlobalAveragePool") { (node) throws(GraphError) in
      try node.attributes.only()
      return GlobalPool(name: "GlobalAveragePool", kind: .average)
    },
    OperatorEntry("GlobalMaxPool") { (node) throws(GraphError) in
      try node.attributes.only()
      return GlobalPool(name: "GlobalMaxPool", kind: .maximum)
    },
  ]
}
