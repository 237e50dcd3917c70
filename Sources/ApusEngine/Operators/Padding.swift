/// Pad: more elements, or fewer, before and behind each dimension. They are attributes before opset 11, and
/// inputs from then on.
struct Padding: Operator {
  enum Mode: String {
    /// One value.
    case constant
    /// Mirrored at the first and last element, which are not repeated.
    case reflect
    /// The first and last element.
    case edge
    /// From the other end.
    case wrap
  }

  let mode: Mode
  let pads: Parameter
  let axes: Parameter
  /// Before opset 11; nil: it is an input.
  let fixedValue: Float?
  var name: String { "Pad" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let data = try inputs.required(0, "data")
    if let value = inputs.optional(2) {
      try inputs.sameElement(value, as: data)
      guard value.type.count == 1 else { throw GraphError("the constant value is one number") }
    }
    if fixedValue != nil { try ElementKinds.reals.check(data.element) }
    let edges = try edges(data.type, pads.required(inputs), axes.read(inputs))
    return [try TensorType(data.element, edges.map(\.size))]
  }

  /// What happens to one dimension.
  private struct Edge {
    /// Added before it, or cut off where negative.
    var before = 0
    /// Of the result.
    var size: Int
  }

  private func edges(_ data: TensorType, _ pads: [Int], _ axes: [Int]?) throws(GraphError) -> [Edge] {
    let axes = axes ?? Array(data.shape.indices)
    guard pads.count == 2 * axes.count else {
      throw GraphError("\(pads.count) pads are not two for each of \(axes.count) axes")
    }
    _ = try data.marks(axes)
    var edges = data.shape.map { Edge(size: $0) }
    for (place, axis) in axes.enumerated() {
      let axis = try data.axis(axis)
      edges[axis] = try edge(data.shape[axis], pads[place], pads[place + axes.count])
    }
    return edges
  }

  private func edge(_ size: Int, _ before: Int, _ behind: Int) throws(GraphError) -> Edge {
    let limit = TensorType.maximumCount
    guard (-limit...limit).contains(before), (-limit...limit).contains(behind), size + before + behind >= 0
    else {
      throw GraphError("pads of \(before) and \(behind) do not go with a dimension of \(size)")
    }
    // What is cut off cannot be copied from.
    let left = size + min(before, 0) + min(behind, 0)
    let isPadded = before > 0 || behind > 0
    guard mode == .constant || !isPadded || left > 0 else {
      throw GraphError("pads of \(before) and \(behind) have nothing to copy in a dimension of \(size)")
    }
    if mode == .reflect, max(before, behind) >= max(left, 1), isPadded {
      throw GraphError("pads of \(before) and \(behind) mirror more than a dimension of \(size)")
    }
    return Edge(before: before, size: size + before + behind)
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (data, output) = (try inputs.required(0), outputs[0])
    let edges = try edges(data.type, pads.read(inputs) ?? [], axes.read(inputs))
    guard edges.map(\.size) == output.type.shape else { throw GraphError("the pads are others than before") }
    fill(output, inputs.optional(2))
    let copy = Copy(mode: mode, befores: edges.map(\.before), data: data, output: output)
    copy.run()
  }

  private func fill(_ output: MutableTensorView, _ value: TensorView?) {
    guard mode == .constant else { return }
    let walk = Walk(output.type.shape, broadcasting: [])
    let bytes = output.type.element.byteCount
    var (zero, float) = (SIMD2<UInt64>.zero, fixedValue ?? 0)
    var double = Double(float)
    if let value {
      copyElements(bytes, from: value.start, to: output.start, walk)
    } else if float == 0 {
      copyElements(bytes, from: &zero, to: output.start, walk)
    } else if output.type.element == .float64 {
      copyElements(bytes, from: &double, to: output.start, walk)
    } else {
      copyElements(bytes, from: &float, to: output.start, walk)
    }
  }

  static let entries = [
    OperatorEntry("Pad") { (node) throws(GraphError) in
      let name = try node.attributes.string("mode") ?? "constant"
      guard let mode = Mode(rawValue: name), mode != .wrap || node.opset >= 19 else {
        throw GraphError("the mode '\(name)' is not known in opset \(node.opset)")
      }
      guard node.opset < 11 else {
        try node.check(inputs: 2...(node.opset >= 18 ? 4 : 3))
        try node.attributes.only("mode")
        return Padding(mode: mode, pads: .input(1, "pads"), axes: .input(3, "axes"), fixedValue: nil)
      }
      try node.check(since: 2, inputs: 1...1)
      try node.attributes.only("mode", "pads", "value")
      guard let pads = try node.attributes.ints("pads") else {
        throw GraphError("the attribute 'pads' is missing")
      }
      return Padding(
        mode: mode, pads: .fixed(pads), axes: .fixed(nil),
        fixedValue: try node.attributes.float("value") ?? 0)
    }
  ]

  /// The copy of what a padded tensor has of its input: in mode constant the part they share, in the others
  /// all of it.
  private struct Copy {
    let mode: Mode
    let befores: [Int]
    let data: TensorView
    let output: MutableTensorView

    func run() {
      guard output.type.count > 0, data.type.count > 0 else { return }
      if mode == .constant { return copyShared() }
      let strides = Walk.strides(of: data.type.shape)
      let targets = Walk.strides(of: output.type.shape)
      let bytes = output.type.element.byteCount
      for place in 0..<output.type.count {
        var (left, offset) = (place, 0)
        for axis in befores.indices {
          offset += source(axis, left / targets[axis]) * strides[axis]
          left %= targets[axis]
        }
        (output.start + place * bytes).copyMemory(from: data.start + offset * bytes, byteCount: bytes)
      }
    }

    private func copyShared() {
      let (from, to) = (Walk.strides(of: data.type.shape), Walk.strides(of: output.type.shape))
      var (source, target) = (0, 0)
      var shape: [Int] = []
      for axis in befores.indices {
        let before = befores[axis]
        source += max(0, -before) * from[axis]
        target += max(0, before) * to[axis]
        let sourceLeft = data.type.shape[axis] - max(0, -before)
        shape.append(max(0, min(sourceLeft, output.type.shape[axis] - max(0, before))))
      }
      let walk = Walk(shape, shape.indices.map { SIMD4(from[$0], to[$0], 0, 0) })
      let bytes = output.type.element.byteCount
      walk.forEach(from: SIMD4(source, target, 0, 0)) { _, offsets in
        (output.start + offsets[1] * bytes).copyMemory(
          from: data.start + offsets[0] * bytes, byteCount: bytes)
      }
    }

    /// Where along an axis of the input a place of the result comes from. What is cut off at an end is not
    /// there for the other one to copy.
    private func source(_ axis: Int, _ place: Int) -> Int {
      let before = befores[axis]
      let behind = output.type.shape[axis] - data.type.shape[axis] - before
      let first = max(0, -before)
      let size = data.type.shape[axis] + min(before, 0) + min(behind, 0)
      let position = place - max(before, 0)
      if position >= 0, position < size { return first + position }
      switch mode {
      case .constant, .edge: return first + min(max(position, 0), size - 1)
      case .reflect: return first + (position < 0 ? -position : 2 * (size - 1) - position)
      case .wrap: return first + ((position % size) + size) % size
      }
    }
  }
}
