/// OneHot: for each index a vector along a new axis, with one value at the place that the index names and
/// another elsewhere. Negative indices count from the end; one that names no place gives a vector of the
/// other value alone. Real numbers are cut off to whole ones.
struct OneHotExpansion: Operator {
  let axis: Int
  var name: String { "OneHot" }

  private static let numbers: [ElementType] = [.int64, .int32, .float32, .float64]

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (indices, depth) = (try inputs.required(0, "indices"), try inputs.required(1, "depth"))
    let values = try inputs.required(2, "values")
    try indices.require("indices", Self.numbers)
    try depth.require("depth", Self.numbers)
    guard values.shape == [2] else {
      throw GraphError("values are two numbers, not of shape \(values.shape)")
    }
    guard let known = depth.value else {
      throw GraphError("depth must be a constant: the shape of what is computed hangs on it")
    }
    guard known.type.count == 1, Self.number(known, 0) > 0 else {
      throw GraphError("depth is not one number above 0")
    }
    let rank = indices.shape.count
    let place = axis < 0 ? axis + rank + 1 : axis
    guard 0...rank ~= place else { throw GraphError("there is no axis \(axis) among \(rank + 1)") }
    var shape = indices.shape
    shape.insert(Self.number(known, 0), at: place)
    return [try TensorType(values.element, shape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (indices, values) = (try inputs.required(0), try inputs.required(2))
    switch values.type.element.byteCount {
    case 1: expand(UInt8.self, indices, values, outputs[0])
    case 2: expand(UInt16.self, indices, values, outputs[0])
    case 4: expand(UInt32.self, indices, values, outputs[0])
    case 8: expand(UInt64.self, indices, values, outputs[0])
    default: expand(SIMD2<UInt64>.self, indices, values, outputs[0])
    }
  }

  private func expand<Bits: BitwiseCopyable>(
    _: Bits.Type, _ indices: TensorView, _ values: TensorView, _ output: MutableTensorView
  ) {
    let values = values.start.assumingMemoryBound(to: Bits.self)
    let target = output.start.assumingMemoryBound(to: Bits.self)
    target.update(repeating: values[0], count: output.type.count)
    guard output.type.count > 0 else { return }
    let (_, depth, inner) = output.type.around(axis < 0 ? axis + output.type.rank : axis)
    for index in 0..<indices.type.count {
      let number = Self.number(indices, index)
      let place = number < 0 ? number &+ depth : number
      guard 0..<depth ~= place else { continue }
      target[(index / inner * depth + place) * inner + index % inner] = values[1]
    }
  }

  private static func number(_ view: TensorView, _ index: Int) -> Int {
    switch view.type.element {
    case .int64: Int(view.elements(Int64.self)[index])
    case .int32: Int(view.elements(Int32.self)[index])
    case .float64: Int(view.elements(Double.self)[index].truncatedToInt64)
    default: Int(Double(view.elements(Float.self)[index]).truncatedToInt64)
    }
  }

  static let entries = [
    OperatorEntry("OneHot") { (node) throws(GraphError) in
      try node.check(since: 9, inputs: 3...3)
      try node.attributes.only("axis")
      return OneHotExpansion(axis: try node.attributes.int("axis") ?? -1)
    }
  ]
}
