/// What all convolutions share: attributes, shapes and the loop.
struct Convolution: Sendable {
  private let window: SpatialWindow
  private let groups: Int

  /// - Throws: `GraphError` for attributes that a convolution does not have, and for values that it does not
  ///   allow.
  init(_ attributes: Attributes) throws(GraphError) {
    try attributes.only("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    window = try SpatialWindow(attributes)
    groups = try attributes.int("group") ?? 1
    guard groups >= 1 else { throw GraphError("group is \(groups), and is at least 1") }
  }

  /// A convolution of tensors of these shapes.
  struct Places {
    let batch: Int
    let channels: Int
    let groups: Int
    let outputs: Int
    let window: WindowPlaces

    var outputShape: [Int] { [batch, outputs] + window.outputShape }
  }

  /// - Parameters:
  ///   - input: [N, C, spatial].
  ///   - weights: [M, C / group, spatial].
  /// - Throws: `GraphError` where they do not fit.
  func places(input: [Int], weights: [Int]) throws(GraphError) -> Places {
    guard input.count >= 3, weights.count == input.count else {
      throw GraphError("an input of shape \(input) and weights of \(weights) cannot be convolved")
    }
    let channels = input[1]
    let outputs = weights[0]
    guard channels % groups == 0, channels / groups == weights[1], outputs % groups == 0 else {
      throw GraphError(
        "\(channels) channels in \(groups) groups cannot be convolved with weights of \(weights)")
    }
    return Places(
      batch: input[0], channels: channels, groups: groups, outputs: outputs,
      window: try window.placed(on: Array(input[2...]), kernel: Array(weights[2...])))
  }
}

extension Convolution.Places {
  /// Computes all outputs, which are not empty. Padding adds nothing to a sum.
  func convolve<Product: ProductSum>(
    _ product: Product, _ input: UnsafePointer<Product.Left>, _ weights: UnsafePointer<Product.Right>,
    into output: UnsafeMutablePointer<Product.Output>
  ) {
    let channelsOfGroup = channels / groups
    let outputsOfGroup = outputs / groups
    withUnsafeTemporaryAllocation(of: Product.Sum.self, capacity: Product.tile) { sums in
      let sums = sums.baseAddress.unsafelyUnwrapped
      for image in 0..<batch {
        for channel in 0..<outputs {
          let first = image * channels + channel / outputsOfGroup * channelsOfGroup
          fill(
            product, input + first * window.inputCount,
            weights + channel * channelsOfGroup * window.kernelCount, channel, sums,
            into: output + (image * outputs + channel) * window.outputCount)
        }
      }
    }
  }

  /// Computes one channel of one output, row by row.
  @inline(__always)
  private func fill<Product: ProductSum>(
    _ product: Product, _ input: UnsafePointer<Product.Left>, _ weights: UnsafePointer<Product.Right>,
    _ channel: Int, _ sums: UnsafeMutablePointer<Product.Sum>,
    into output: UnsafeMutablePointer<Product.Output>
  ) {
    let width = window.width.output
    for row in 0..<window.depth.output * window.height.output {
      for start in stride(from: 0, to: width, by: Product.tile) {
        let count = min(Product.tile, width - start)
        for place in 0..<count { (sums + place).initialize(to: product.start(column: channel)) }
        addRow(product, input, weights, channel, row, start..<start + count, into: sums)
        for place in 0..<count {
          output[row * width + start + place] = product.finish(sums[place], row: 0, column: channel)
        }
      }
    }
  }

  /// Adds all products of a part of a row: for each weight, those of all its places.
  @inline(__always)
  private func addRow<Product: ProductSum>(
    _ product: Product, _ input: UnsafePointer<Product.Left>, _ weights: UnsafePointer<Product.Right>,
    _ channel: Int, _ row: Int, _ places: Range<Int>, into sums: UnsafeMutablePointer<Product.Sum>
  ) {
    let depth = window.depth
    let height = window.height
    let width = window.width
    let depthStart = depth.start(row / height.output)
    let heightStart = height.start(row % height.output)
    let depthRange = depth.kernelRange(row / height.output)
    let heightRange = height.kernelRange(row % height.output)
    for source in 0..<channels / groups {
      for inDepth in depthRange {
        for inHeight in heightRange {
          let line =
            (source * depth.input + depthStart + inDepth * depth.dilation) * height.input
            + heightStart + inHeight * height.dilation
          let weightLine = (source * depth.kernel + inDepth) * height.kernel + inHeight
          for inWidth in 0..<width.kernel {
            let weight = weights[weightLine * width.kernel + inWidth]
            let range = width.outputRange(kernel: inWidth).clamped(to: places)
            let offset = line * width.input + inWidth * width.dilation - width.before
            for place in range {
              sums[place - places.lowerBound] = product.adding(
                input[offset + place * width.stride], weight, to: sums[place - places.lowerBound],
                row: 0, column: channel)
            }
          }
        }
      }
    }
  }
}

/// Conv: a convolution over 1 to 3 spatial dimensions.
struct Conv: Operator {
  let name = "Conv"
  let convolution: Convolution

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    let weights = try inputs.required(1, "W")
    try input.require("X", [.float32, .float64])
    try weights.requireSameElement("W", as: input, "X")
    let places = try convolution.places(input: input.shape, weights: weights.shape)
    if let bias = inputs.optional(2) {
      try bias.requireSameElement("B", as: input, "X")
      guard bias.shape == [places.outputs] else {
        throw GraphError("B of shape \(bias.shape) is not one number for each of \(places.outputs) channels")
      }
    }
    return [try TensorType(input.element, places.outputShape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    switch outputs[0].type.element {
    case .float32: try convolve(inputs, outputs, Float.self)
    case .float64: try convolve(inputs, outputs, Double.self)
    case let other: throw unexpected(other)
    }
  }

  private func convolve<Number: Accumulated>(
    _ inputs: [TensorView?], _ outputs: [MutableTensorView], _: Number.Type
  ) throws(GraphError) {
    let input = inputs[required: 0]
    let weights = inputs[required: 1]
    try convolution.places(input: input.type.shape, weights: weights.type.shape)
      .convolve(
        PlainProductSum<Number>(bias: inputs[optional: 2]?.pointer()), input.pointer(), weights.pointer(),
        into: outputs[0].pointer())
  }

  static let entries = [
    OperatorEntry("Conv") { (node) throws(GraphError) in
      Conv(convolution: try Convolution(node.attributes))
    }
  ]
}
