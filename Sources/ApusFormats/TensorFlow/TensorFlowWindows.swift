import ApusEngine

/// How images lie: `data_format`.
enum TensorFlowImageFormat: String {
  case channelsLast = "NHWC"
  case channelsFirst = "NCHW"

  /// Places of height and width.
  var spatial: [Int] { self == .channelsLast ? [1, 2] : [2, 3] }
}

extension TensorFlowOperators {
  // MARK: Convolutions and pools

  static let windows: [TensorFlowOperator] = [
    TensorFlowOperator("Conv2D") { (scope) throws(GraphError) in
      // [height, width, channels of a group, outputs]
      let filter = try scope.filter()
      let weights = try scope.emit("Transpose", [filter.value], ["perm": .ints([3, 2, 0, 1])])
      try scope.convolve(weights) { (channels) throws(GraphError) in
        guard filter.shape[2] > 0, channels % filter.shape[2] == 0 else {
          throw GraphError("\(channels) channels are not convolved with a filter of \(filter.shape)")
        }
        return channels / filter.shape[2]
      }
    },
    TensorFlowOperator("DepthwiseConv2dNative") { (scope) throws(GraphError) in
      // [height, width, channels, outputs of each channel]
      let filter = try scope.filter()
      let (channels, multiplier) = (filter.shape[2], filter.shape[3])
      let moved = try scope.emit("Transpose", [filter.value], ["perm": .ints([2, 3, 0, 1])])
      let shape = try scope.constant([channels * multiplier, 1] + filter.shape[..<2])
      let weights = try scope.emit("Reshape", [moved, shape])
      try scope.convolve(weights) { (inputs) throws(GraphError) in
        guard inputs == channels else {
          throw GraphError("\(inputs) channels are not convolved with a filter of \(filter.shape)")
        }
        return channels
      }
    },
    TensorFlowOperator("MaxPool") { (scope) throws(GraphError) in try scope.pool("MaxPool") },
    TensorFlowOperator("AvgPool") { (scope) throws(GraphError) in try scope.pool("AveragePool") },
  ]
}

extension TensorFlowAttributes {
  /// - Throws: `GraphError` for a format of other dimensions.
  func imageFormat() throws(GraphError) -> TensorFlowImageFormat {
    let name = try string("data_format") ?? "NHWC"
    guard let format = TensorFlowImageFormat(rawValue: name) else {
      throw GraphError("the data_format '\(printable(name))' is not computed here; NHWC and NCHW are")
    }
    return format
  }

  /// Height and width of a list that has a number for each dimension.
  ///
  /// - Throws: `GraphError` where it has others, or is not 1 for rows and channels.
  fileprivate func window(_ name: String, _ format: TensorFlowImageFormat) throws(GraphError) -> [Int]? {
    guard let sizes = try ints(name) else { return nil }
    guard sizes.count == 4, (0..<4).allSatisfy({ format.spatial.contains($0) || sizes[$0] == 1 }) else {
      throw GraphError("\(name) is \(sizes); it has 4 numbers, of which those for rows and channels are 1")
    }
    return format.spatial.map { sizes[$0] }
  }

  /// What ONNX calls `auto_pad` or `pads`.
  fileprivate func padding(_ format: TensorFlowImageFormat) throws(GraphError) -> [String: Attributes
    .Attribute]
  {
    let explicit = try ints("explicit_paddings") ?? []
    switch try string("padding") {
    case "SAME": return ["auto_pad": .string("SAME_UPPER")]
    case "VALID": return ["auto_pad": .string("VALID")]
    case "EXPLICIT":
      let others = (0..<8).filter { !format.spatial.contains($0 / 2) }
      guard explicit.count == 8, others.allSatisfy({ explicit[$0] == 0 }) else {
        throw GraphError(
          "explicit_paddings is \(explicit); it has 8 numbers, of which those for rows and channels are 0")
      }
      let before = format.spatial.map { explicit[2 * $0] }
      return ["pads": .ints(before + format.spatial.map { explicit[2 * $0 + 1] })]
    case let other:
      throw GraphError("the padding '\(printable(other ?? ""))' is not known; SAME, VALID and EXPLICIT are")
    }
  }
}

extension TensorFlowScope {
  /// An input of images, channels first.
  mutating func image(_ input: Int, _ format: TensorFlowImageFormat) throws(GraphError) -> Graph.ValueID {
    guard format == .channelsFirst else { return try channelsFirst(input) }
    let image = try plain(input)
    guard builder.rank(image) == 4 else {
      throw GraphError("an image has 4 dimensions: rows, channels, height, width; not \(builder.rank(image))")
    }
    return image
  }

  /// Gives images that are computed with channels first.
  mutating func give(_ value: Graph.ValueID, _ format: TensorFlowImageFormat) {
    give(value, isMoved: format == .channelsLast)
  }

  /// The second input of a convolution, whose shape is known.
  fileprivate mutating func filter() throws(GraphError) -> (value: Graph.ValueID, shape: [Int]) {
    try expect(inputs: 2)
    let value = try plain(1)
    let shape = builder.shape(value).compactMap { $0 }
    guard builder.rank(value) == 4, shape.count == 4 else {
      throw GraphError("a filter has 4 fixed dimensions")
    }
    return (value, shape)
  }

  /// - Parameters:
  ///   - weights: [outputs, channels of a group, height, width].
  ///   - groups: of so many channels.
  fileprivate mutating func convolve(
    _ weights: Graph.ValueID, groups: (Int) throws(GraphError) -> Int
  ) throws(GraphError) {
    try attributes.only([
      "strides", "use_cudnn_on_gpu", "padding", "explicit_paddings", "data_format", "dilations",
    ])
    let format = try attributes.imageFormat()
    let image = try image(0, format)
    guard let channels = builder.shape(image)[1] else { throw GraphError("the number of channels is open") }
    var window = try attributes.padding(format)
    window["strides"] = .ints(try attributes.window("strides", format) ?? [1, 1])
    window["dilations"] = .ints(try attributes.window("dilations", format) ?? [1, 1])
    window["group"] = .int(try groups(channels))
    give(try emit("Conv", [image, weights], window), format)
  }

  fileprivate mutating func pool(_ name: String) throws(GraphError) {
    try expect(inputs: 1)
    try attributes.only(["ksize", "strides", "padding", "explicit_paddings", "data_format"])
    let format = try attributes.imageFormat()
    guard let sizes = try attributes.window("ksize", format),
      let strides = try attributes.window("strides", format)
    else { throw GraphError("a pool needs ksize and strides") }
    var window = try attributes.padding(format)
    window["kernel_shape"] = .ints(sizes)
    window["strides"] = .ints(strides)
    give(try emit(name, [image(0, format)], window), format)
  }
}
