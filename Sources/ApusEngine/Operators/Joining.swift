import Glibc

/// Concat: tensors one after the other along an axis.
struct Concatenation: Operator {
  let axis: Int
  var name: String { "Concat" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let first = try inputs.required(0, "inputs")
    let axis = try first.type.axis(axis)
    var shape = first.shape
    for index in inputs.indices.dropFirst() {
      let input = try inputs.required(index, "inputs")
      try inputs.sameElement(input, as: first)
      let others = zip(input.shape, first.shape).enumerated().filter { $0.offset != axis }
      guard input.shape.count == shape.count, others.allSatisfy({ $0.element.0 == $0.element.1 }) else {
        throw GraphError("the shapes \(first.shape) and \(input.shape) cannot be joined along axis \(axis)")
      }
      // Checked each time, so that no sum of many inputs is too large.
      shape[axis] += input.shape[axis]
      _ = try TensorType(first.element, shape)
    }
    return [try TensorType(first.element, shape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let output = outputs[0]
    guard output.type.count > 0 else { return }
    let around = output.type.around(try output.type.axis(axis))
    let bytes = around.inner * output.type.element.byteCount
    var place = 0
    for case let input? in inputs {
      let slab = (input.type.count / around.outer) * output.type.element.byteCount
      for outer in 0..<around.outer where slab > 0 {
        memcpy(output.start + outer * around.size * bytes + place, input.start + outer * slab, slab)
      }
      place += slab
    }
  }

  static let entries = [
    OperatorEntry("Concat") { (node) throws(GraphError) in
      try node.check(since: 4, inputs: 1...Int.max)
      try node.attributes.only("axis")
      guard let axis = try node.attributes.int("axis") else {
        throw GraphError("the attribute 'axis' is missing")
      }
      return Concatenation(axis: axis)
    }
  ]
}

/// Split: a tensor in parts along an axis. Their sizes are an attribute before opset 13 and an input from
/// then on; where they are not given, the parts are equal, and from opset 18 on the last one may be smaller.
struct Splitting: Operator {
  enum Sizes {
    case given(Parameter)
    case equal
    case equalButLast
  }

  let axis: Int
  let parts: Int
  let sizes: Sizes
  var name: String { "Split" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "input").type
    let axis = try input.axis(axis)
    let sizes = try sizes(of: input.shape[axis], inputs)
    guard sizes.count == parts else {
      throw GraphError("\(sizes.count) sizes do not go with \(parts) outputs")
    }
    var total = 0
    for size in sizes {
      let sum = total.addingReportingOverflow(size)
      guard size >= 0, !sum.overflow else { throw GraphError("the sizes \(sizes) are not those of parts") }
      total = sum.partialValue
    }
    guard total == input.shape[axis] else {
      throw GraphError("\(input.shape[axis]) elements are not split into parts of sizes \(sizes)")
    }
    var types: [TensorType] = []
    for size in sizes {
      var shape = input.shape
      shape[axis] = size
      types.append(try TensorType(input.element, shape))
    }
    return types
  }

  private func sizes(of size: Int, _ inputs: [KnownTensor?]) throws(GraphError) -> [Int] {
    switch sizes {
    case .given(let sizes): return try sizes.required(inputs)
    case .equal:
      guard size % parts == 0 else {
        throw GraphError("\(size) elements are not split into \(parts) equal parts")
      }
      return [Int](repeating: size / parts, count: parts)
    case .equalButLast:
      let part = (size + parts - 1) / parts
      return [Int](repeating: part, count: parts - 1) + [size - part * (parts - 1)]
    }
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let input = try inputs.required(0)
    guard input.type.count > 0 else { return }
    let around = input.type.around(try input.type.axis(axis))
    let bytes = around.inner * input.type.element.byteCount
    var place = 0
    for output in outputs {
      let slab = output.type.count / around.outer * input.type.element.byteCount
      for outer in 0..<around.outer where slab > 0 {
        memcpy(output.start + outer * slab, input.start + outer * around.size * bytes + place, slab)
      }
      place += slab
    }
  }

  static let entries = [
    OperatorEntry("Split") { (node) throws(GraphError) in
      try node.check(since: 2, inputs: 1...(node.opset < 13 ? 1 : 2), outputs: 1...Int.max)
      let axis = try node.attributes.int("axis") ?? 0
      return Splitting(axis: axis, parts: node.outputs, sizes: try sizes(node))
    }
  ]

  private static func sizes(_ node: NodeDescription) throws(GraphError) -> Sizes {
    switch node.opset {
    case ..<13:
      try node.attributes.only("axis", "split")
      return try node.attributes.ints("split").map { .given(.fixed($0)) } ?? .equal
    case 13..<18:
      try node.attributes.only("axis")
      return node.inputs == 2 ? .given(.input(1, "split")) : .equal
    default:
      try node.attributes.only("axis", "num_outputs")
      let number = try node.attributes.int("num_outputs")
      guard (number == nil) == (node.inputs == 2) else {
        throw GraphError("either the input 'split' or the attribute 'num_outputs' is needed")
      }
      guard number == nil || number == node.outputs else {
        throw GraphError("num_outputs is \(number ?? 0), and the node has \(node.outputs) outputs")
      }
      return number == nil ? .given(.input(1, "split")) : .equalButLast
    }
  }
}
