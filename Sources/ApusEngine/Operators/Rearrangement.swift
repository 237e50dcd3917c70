/// Transpose, Expand and Tile: each element of the result is one of the input's, found by strides.
struct Rearrangement: Operator {
  enum Form {
    /// The dimensions in another order; nil: in the opposite one.
    case transpose([Int]?)
    /// Broadcast together with a shape.
    case expand
    /// Repeated along each dimension.
    case tile
  }

  let form: Form
  let name: String

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "input").type
    switch form {
    case .transpose:
      return [try TensorType(input.element, order(input).map { input.shape[$0] })]
    case .expand:
      let shape = try inputs.knownIntegers(1, "shape")
      // Checked by itself first, so that what is broadcast has no negative sizes and few dimensions.
      _ = try TensorType(input.element, shape)
      return [try TensorType(input.element, TensorType.broadcast([input.shape, shape]))]
    case .tile:
      let repeats = try inputs.knownIntegers(1, "repeats")
      guard repeats.count == input.rank else {
        throw GraphError("\(repeats.count) repeats do not go with \(input.rank) dimensions")
      }
      guard repeats.allSatisfy({ $0 >= 0 }) else {
        throw GraphError("one of the repeats \(repeats) is negative")
      }
      var shape = input.shape
      for (axis, times) in repeats.enumerated() {
        let (size, overflow) = shape[axis].multipliedReportingOverflow(by: times)
        guard !overflow else { throw GraphError("\(times) times \(input.shape) has too many elements") }
        shape[axis] = size
      }
      return [try TensorType(input.element, shape)]
    }
  }

  /// For each dimension of the result, the input's.
  private func order(_ input: TensorType) throws(GraphError) -> [Int] {
    guard case .transpose(let order?) = form else { return input.shape.indices.reversed() }
    guard order.count == input.rank else {
      throw GraphError("perm of \(order.count) axes does not go with \(input.rank) dimensions")
    }
    guard order.sorted() == Array(input.shape.indices) else {
      throw GraphError("perm \(order) does not name each axis once")
    }
    return order
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (input, output) = (try inputs.required(0), outputs[0])
    let shape = input.type.shape
    let strides = Walk.strides(of: shape).map { SIMD4($0, 0, 0, 0) }
    let walk: Walk
    switch form {
    case .transpose:
      let order = try order(input.type)
      walk = Walk(order.map { shape[$0] }, order.map { strides[$0] })
    case .expand:
      walk = Walk(output.type.shape, broadcasting: shape)
    case .tile:
      // Around each dimension of the input lies one of its repeats, which goes nowhere in the input.
      guard output.type.count > 0 else { return }
      walk = Walk(
        shape.indices.flatMap { [output.type.shape[$0] / shape[$0], shape[$0]] },
        shape.indices.flatMap { [.zero, strides[$0]] })
    }
    copyElements(input.type.element.byteCount, from: input.start, to: output.start, walk)
  }

  static let entries = [
    OperatorEntry("Transpose") { (node) throws(GraphError) in
      try node.check(inputs: 1...1)
      try node.attributes.only("perm")
      return Rearrangement(form: .transpose(try node.attributes.ints("perm")), name: "Transpose")
    },
    OperatorEntry("Expand") { (node) throws(GraphError) in
      try node.check(since: 8, inputs: 2...2)
      try node.attributes.only()
      return Rearrangement(form: .expand, name: "Expand")
    },
    OperatorEntry("Tile") { (node) throws(GraphError) in
      try node.check(since: 6, inputs: 2...2)
      try node.attributes.only()
      return Rearrangement(form: .tile, name: "Tile")
    },
  ]
}
