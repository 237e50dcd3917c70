/// What pools share: attributes and shapes.
struct Pooling: Sendable {
  private let window: SpatialWindow
  private let kernel: [Int]

  /// - Throws: `GraphError` for values that it does not allow.
  init(_ attributes: Attributes) throws(GraphError) {
    window = try SpatialWindow(attributes)
    guard let kernel = window.kernel else { throw GraphError("kernel_shape is missing") }
    self.kernel = kernel
  }

  /// - Parameter input: [N, C, spatial].
  /// - Throws: `GraphError` where the window does not fit, or pads are as large as it is.
  func places(_ input: [Int]) throws(GraphError) -> WindowPlaces {
    guard input.count >= 3 else {
      throw GraphError("a pool's input is of shape [N, C, ...], not \(input)")
    }
    let places = try window.placed(on: Array(input[2...]), kernel: kernel)
    for axis in [places.depth, places.height, places.width] {
      let extent = (axis.kernel - 1) * axis.dilation + 1
      guard max(axis.before, axis.after) < extent else {
        throw GraphError("a pad of \(max(axis.before, axis.after)) holds a whole kernel of \(axis.kernel)")
      }
    }
    return places
  }
}

/// The part of a channel of an input that lies under a window.
struct WindowPatch {
  let depth: Range<Int>
  let height: Range<Int>
  let width: Range<Int>
  private let places: WindowPlaces
  private let first: Int

  @inline(__always) init(_ places: WindowPlaces, _ depth: Int, _ height: Int, _ width: Int) {
    self.places = places
    self.depth = places.depth.kernelRange(depth)
    self.height = places.height.kernelRange(height)
    self.width = places.width.kernelRange(width)
    first =
      (places.depth.start(depth) * places.height.input + places.height.start(height)) * places.width.input
      + places.width.start(width)
  }

  /// Elements of the input that it holds.
  var count: Int { depth.count * height.count * width.count }

  /// Calls `body` with the index in the channel of each element, in order.
  @inline(__always) func forEach(_ body: (Int) -> Void) {
    let rowStep = places.height.dilation * places.width.input
    let planeStep = places.depth.dilation * places.height.input * places.width.input
    for inDepth in depth {
      for inHeight in height {
        let line = first + inDepth * planeStep + inHeight * rowStep
        for inWidth in width { body(line + inWidth * places.width.dilation) }
      }
    }
  }
}

extension WindowPlaces {
  /// Calls `body` with each place of the window in a channel and its index in the output.
  @inline(__always) func forEachPlace(_ body: (_ patch: WindowPatch, _ place: (Int, Int, Int), Int) -> Void) {
    var index = 0
    for inDepth in 0..<depth.output {
      for inHeight in 0..<height.output {
        for inWidth in 0..<width.output {
          body(WindowPatch(self, inDepth, inHeight, inWidth), (inDepth, inHeight, inWidth), index)
          index += 1
        }
      }
    }
  }
}

/// Numbers of which a pool takes the largest.
protocol MaximumElement: TensorElement, Comparable {
  /// The maximum of nothing.
  static var least: Self { get }
}

extension Float: MaximumElement { static var least: Float { -.infinity } }
extension Double: MaximumElement { static var least: Double { -.infinity } }
extension Int8: MaximumElement { static var least: Int8 { .min } }
extension UInt8: MaximumElement { static var least: UInt8 { .min } }

/// MaxPool: the largest number under a window, and where it lies in the input. What is not a number is larger
/// than all.
struct MaxPool: Operator {
  let name = "MaxPool"
  let pooling: Pooling
  /// Whether indices count the spatial dimensions from the first on, as Fortran stores them.
  let isColumnMajor: Bool
  let givesIndices: Bool

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", [.float32, .float64, .int8, .uint8])
    let shape = try input.shape.prefix(2) + pooling.places(input.shape).outputShape
    let output = try TensorType(input.element, Array(shape))
    return givesIndices ? [output, try TensorType(.int64, output.shape)] : [output]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    switch outputs[0].type.element {
    case .float32: try pool(inputs[required: 0], outputs, Float.self)
    case .float64: try pool(inputs[required: 0], outputs, Double.self)
    case .int8: try pool(inputs[required: 0], outputs, Int8.self)
    case .uint8: try pool(inputs[required: 0], outputs, UInt8.self)
    case let other: throw unexpected(other)
    }
  }

  private func pool<Number: MaximumElement>(
    _ input: TensorView, _ outputs: [MutableTensorView], _: Number.Type
  ) throws(GraphError) {
    let places = try pooling.places(input.type.shape)
    let indices = givesIndices ? outputs[1].pointer(Int64.self) : nil
    for channel in 0..<input.type.shape[0] * input.type.shape[1] {
      let source = input.pointer(Number.self) + channel * places.inputCount
      let target = outputs[0].pointer(Number.self) + channel * places.outputCount
      places.forEachPlace { patch, _, index in
        var best = Number.least
        var found = -1
        patch.forEach { place in
          let value = source[place]
          // Only what is not a number differs from itself.
          guard found < 0 || value > best || value != value && best == best else { return }
          best = value
          found = place
        }
        target[index] = best
        guard let indices else { return }
        let inChannel = isColumnMajor ? places.columnMajor(max(found, 0)) : max(found, 0)
        indices[channel * places.outputCount + index] = Int64(channel * places.inputCount + inChannel)
      }
    }
  }

  static let entries = [
    OperatorEntry("MaxPool") { (node) throws(GraphError) in
      let attributes = node.attributes
      if node.opset >= 10 {
        try attributes.only(
          "auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides")
      } else {
        try attributes.only("auto_pad", "kernel_shape", "pads", "storage_order", "strides")
      }
      return MaxPool(
        pooling: try Pooling(attributes), isColumnMajor: try attributes.flag("storage_order"),
        givesIndices: node.outputs > 1)
    }
  ]
}

extension WindowPlaces {
  /// An index into a channel of the input, counted with the first spatial dimension quickest.
  fileprivate func columnMajor(_ index: Int) -> Int {
    let inWidth = index % width.input
    let inHeight = index / width.input % height.input
    let inDepth = index / (width.input * height.input)
    return (inWidth * height.input + inHeight) * depth.input + inDepth
  }
}
