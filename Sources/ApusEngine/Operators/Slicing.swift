/// Slice: along some axes, every so many elements from a start to before an end, forwards or backwards. The
/// starts and ends are attributes before opset 10, and inputs from then on.
struct Slicing: Operator {
  let starts: Parameter
  let ends: Parameter
  /// Left out: the first ones.
  let axes: Parameter
  /// Left out: 1 each.
  let steps: Parameter
  var name: String { "Slice" }

  /// Along one dimension: the first place, the number of elements and the way from one to the next.
  struct Stretch {
    var start = 0
    var count: Int
    var step = 1
  }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let data = try inputs.required(0, "data").type
    let stretches = try Self.stretches(
      data, starts.required(inputs), ends.required(inputs), axes.read(inputs), steps.read(inputs))
    return [try TensorType(data.element, stretches.map(\.count))]
  }

  static func stretches(
    _ data: TensorType, _ starts: [Int], _ ends: [Int], _ axes: [Int]?, _ steps: [Int]?
  ) throws(GraphError) -> [Stretch] {
    let axes = axes ?? Array(starts.indices)
    guard starts.count == axes.count, ends.count == axes.count, (steps ?? axes).count == axes.count else {
      throw GraphError("starts, ends, axes and steps are not equally many")
    }
    _ = try data.marks(axes)
    var stretches = data.shape.map { Stretch(count: $0) }
    for (place, axis) in axes.enumerated() {
      let axis = try data.axis(axis)
      stretches[axis] = try stretch(data.shape[axis], starts[place], ends[place], steps?[place] ?? 1)
    }
    return stretches
  }

  /// Places may count from the end, and are brought into the dimension.
  private static func stretch(_ size: Int, _ start: Int, _ end: Int, _ step: Int) throws(GraphError)
    -> Stretch
  {
    guard step != 0 else { throw GraphError("a slice has a step of 0") }
    let (start, end) = (start < 0 ? start + size : start, end < 0 ? end + size : end)
    if step > 0 {
      let (first, last) = (min(max(start, 0), size), min(max(end, 0), size))
      return Stretch(start: first, count: first < last ? (last - first - 1) / step + 1 : 0, step: step)
    }
    let (first, last) = (min(max(start, 0), size - 1), min(max(end, -1), size - 1))
    // The lowest number has no opposite; no dimension is as large as that of the one above it.
    return Stretch(
      start: first, count: first > last ? (first - last - 1) / -max(step, -Int.max) + 1 : 0, step: step)
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let data = try inputs.required(0)
    let stretches = try Self.stretches(
      data.type, starts.read(inputs) ?? [], ends.read(inputs) ?? [], axes.read(inputs), steps.read(inputs))
    guard stretches.map(\.count) == outputs[0].type.shape else {
      throw GraphError("the slice is another than before")
    }
    guard outputs[0].type.count > 0 else { return }
    var start = 0
    var steps: [SIMD4<Int>] = []
    for (stretch, stride) in zip(stretches, Walk.strides(of: data.type.shape)) {
      start += stretch.start * stride
      // A step that is never taken may be any number.
      steps.append(SIMD4(stretch.count > 1 ? stretch.step * stride : 0, 0, 0, 0))
    }
    let walk = Walk(outputs[0].type.shape, steps)
    copyElements(data.type.element.byteCount, from: data.start, start: start, to: outputs[0].start, walk)
  }

  static let entries = [
    OperatorEntry("Slice") { (node) throws(GraphError) in
      guard node.opset < 10 else {
        try node.check(inputs: 3...5)
        try node.attributes.only()
        return Slicing(
          starts: .input(1, "starts"), ends: .input(2, "ends"), axes: .input(3, "axes"),
          steps: .input(4, "steps"))
      }
      try node.check(inputs: 1...1)
      try node.attributes.only("starts", "ends", "axes")
      guard let starts = try node.attributes.ints("starts"), let ends = try node.attributes.ints("ends")
      else {
        throw GraphError("the attributes 'starts' and 'ends' are needed")
      }
      return Slicing(
        starts: .fixed(starts), ends: .fixed(ends), axes: .fixed(try node.attributes.ints("axes")),
        steps: .fixed(nil))
    }
  ]
}
