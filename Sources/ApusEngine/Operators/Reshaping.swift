import Glibc

/// Reshape, Flatten, Squeeze and Unsqueeze: the same elements in the same order, in another shape.
struct Reshaping: Operator {
  enum Form {
    /// To the shape of an input, where 0 stands for the size that is there, unless zeros are allowed, and one
    /// -1 for what is left.
    case reshape(allowsZero: Bool)
    /// To two dimensions: those before an axis, and those from it on.
    case flatten(axis: Int)
    /// Without some dimensions of size 1, or without any.
    case squeeze(Parameter)
    /// With dimensions of size 1 at some places of the result.
    case unsqueeze(Parameter)
  }

  let form: Form
  let name: String

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let data = try inputs.required(0, "data").type
    let shape =
      switch form {
      case .reshape(let allowsZero):
        try Self.reshaped(data, to: inputs.knownIntegers(1, "shape"), allowsZero: allowsZero)
      case .flatten(let axis): try Self.flattened(data, axis)
      case .squeeze(let axes): try Self.squeezed(data, axes.read(inputs))
      case .unsqueeze(let axes): try Self.unsqueezed(data, axes.required(inputs))
      }
    let type = try TensorType(data.element, shape)
    guard type.count == data.count else {
      throw GraphError("a tensor of shape \(data.shape) cannot become one of shape \(shape)")
    }
    return [type]
  }

  private static func reshaped(
    _ data: TensorType, to wanted: [Int], allowsZero: Bool
  ) throws(GraphError) -> [Int] {
    guard wanted.count <= TensorType.maximumRank else {
      throw GraphError("a tensor of \(wanted.count) dimensions is not computed with")
    }
    var shape = wanted
    var open: Int?
    for (axis, size) in wanted.enumerated() {
      if size == 0, !allowsZero {
        guard axis < data.rank else {
          throw GraphError("the shape \(wanted) copies a size that is not there")
        }
        shape[axis] = data.shape[axis]
      } else if size == -1 {
        guard open == nil else { throw GraphError("the shape \(wanted) leaves more than one size open") }
        open = axis
        shape[axis] = 1
      }
    }
    guard let open else { return shape }
    let known = try TensorType(data.element, shape).count
    guard known > 0, data.count % known == 0 else {
      throw GraphError("a tensor of shape \(data.shape) cannot become one of shape \(wanted)")
    }
    shape[open] = data.count / known
    return shape
  }

  private static func flattened(_ data: TensorType, _ axis: Int) throws(GraphError) -> [Int] {
    let place = axis < 0 ? axis + data.rank : axis
    guard (0...data.rank).contains(place) else {
      throw GraphError("there is no axis \(axis) in a shape of \(data.rank) dimensions")
    }
    return [data.shape[..<place].reduce(1, *), data.shape[place...].reduce(1, *)]
  }

  private static func squeezed(_ data: TensorType, _ axes: [Int]?) throws(GraphError) -> [Int] {
    guard let axes else { return data.shape.filter { $0 != 1 } }
    let marks = try data.marks(axes)
    for axis in marks.indices where marks[axis] && data.shape[axis] != 1 {
      throw GraphError("the axis \(axis) of \(data.shape) is not of size 1")
    }
    return data.shape.indices.filter { !marks[$0] }.map { data.shape[$0] }
  }

  private static func unsqueezed(_ data: TensorType, _ axes: [Int]) throws(GraphError) -> [Int] {
    let rank = data.rank + axes.count
    guard rank <= TensorType.maximumRank else {
      throw GraphError("a tensor of \(rank) dimensions is not computed with")
    }
    let marks = try TensorType(data.element, [Int](repeating: 1, count: rank)).marks(axes)
    var sizes = data.shape.makeIterator()
    return marks.map { $0 ? 1 : sizes.next() ?? 1 }
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let data = try inputs.required(0)
    memcpy(outputs[0].start, data.start, min(data.type.byteCount, outputs[0].type.byteCount))
  }

  static let entries = [
    OperatorEntry("Reshape") { (node) throws(GraphError) in
      try node.check(since: 5, inputs: 2...2)
      if node.opset >= 14 { try node.attributes.only("allowzero") } else { try node.attributes.only() }
      return Reshaping(form: .reshape(allowsZero: try node.attributes.flag("allowzero")), name: "Reshape")
    },
    OperatorEntry("Flatten") { (node) throws(GraphError) in
      try node.check(inputs: 1...1)
      try node.attributes.only("axis")
      return Reshaping(form: .flatten(axis: try node.attributes.int("axis") ?? 1), name: "Flatten")
    },
    OperatorEntry("Squeeze") { (node) throws(GraphError) in
      Reshaping(form: .squeeze(try axes(node, isRequired: false)), name: "Squeeze")
    },
    OperatorEntry("Unsqueeze") { (node) throws(GraphError) in
      Reshaping(form: .unsqueeze(try axes(node, isRequired: true)), name: "Unsqueeze")
    },
  ]

  /// The axes became an input with opset 13.
  private static func axes(_ node: NodeDescription, isRequired: Bool) throws(GraphError) -> Parameter {
    guard node.opset < 13 else {
      try node.check(inputs: isRequired ? 2...2 : 1...2)
      try node.attributes.only()
      return .input(1, "axes")
    }
    try node.check(inputs: 1...1)
    try node.attributes.only("axes")
    let axes = try node.attributes.ints("axes")
    guard axes != nil || !isRequired else { throw GraphError("the attribute 'axes' is missing") }
    return .fixed(axes)
  }
}
