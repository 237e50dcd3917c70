import ApusEngine

extension TensorFlowOperators {
  // MARK: The same elements in another shape, and shapes themselves

  static let shapes: [TensorFlowOperator] = [
    TensorFlowOperator("Reshape") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2)
      try scope.attributes.only([])
      let input = try scope.plain(0)
      scope.give(try scope.emit("Reshape", [input, scope.constant(scope.wanted(of: input))]))
    },
    TensorFlowOperator("Squeeze") { (scope) throws(GraphError) in
      try scope.expect(inputs: 1)
      try scope.attributes.only(["squeeze_dims"])
      var axes = try scope.attributes.ints("squeeze_dims") ?? []
      if try scope.isMoved(0), Set(axes) == [1, 2] {
        return scope.give(try scope.emit("Squeeze", [scope.channelsFirst(0), scope.constant([2, 3])]))
      }
      let input = try scope.plain(0)
      if axes.isEmpty {
        axes = scope.builder.shape(input).indices.filter { scope.builder.shape(input)[$0] == 1 }
      }
      guard !axes.isEmpty else { return scope.give(input) }
      scope.give(try scope.emit("Squeeze", [input, scope.constant(axes)]))
    },
    TensorFlowOperator("ExpandDims") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2)
      try scope.attributes.only([])
      let axis = try scope.constant([scope.number(1, "the axis")])
      scope.give(try scope.emit("Unsqueeze", [scope.plain(0), axis]))
    },
    TensorFlowOperator("Transpose") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2)
      try scope.attributes.only([])
      let order = try scope.numbers(1, "perm")
      // What lies with channels first already is not moved twice.
      if order == [0, 3, 1, 2], let there = try scope.value(0).channelsFirst { return scope.give(there) }
      let input = try scope.plain(0)
      guard order == [0, 2, 3, 1], scope.builder.rank(input) == 4 else {
        return scope.give(try scope.emit("Transpose", [input], ["perm": .ints(order)]))
      }
      scope.give(input, isMoved: true)
    },
    TensorFlowOperator("Shape") { (scope) throws(GraphError) in
      try scope.expect(inputs: 1)
      try scope.attributes.only([])
      let shape = try scope.emit("Shape", [scope.plain(0)])
      scope.give(try scope.cast(shape, to: scope.attributes.type("out_type") ?? .int32))
    },
    TensorFlowOperator("Size") { (scope) throws(GraphError) in
      try scope.expect(inputs: 1)
      try scope.attributes.only([])
      let size = try scope.emit("Size", [scope.plain(0)])
      scope.give(try scope.cast(size, to: scope.attributes.type("out_type") ?? .int32))
    },
    TensorFlowOperator("Fill") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2)
      try scope.attributes.only([])
      scope.give(try scope.emit("Expand", [scope.plain(1), scope.long(0)]))
    },
    TensorFlowOperator("BroadcastTo") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2)
      try scope.attributes.only([])
      scope.give(try scope.emit("Expand", [scope.plain(0), scope.long(1)]))
    },
    TensorFlowOperator("Tile") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2)
      try scope.attributes.only([])
      scope.give(try scope.emit("Tile", [scope.plain(0), scope.long(1)]))
    },
    TensorFlowOperator("ZerosLike") { (scope) throws(GraphError) in try scope.fill(0) },
    TensorFlowOperator("OnesLike") { (scope) throws(GraphError) in try scope.fill(1) },
    TensorFlowOperator("Range") { (scope) throws(GraphError) in
      try scope.expect(inputs: 3)
      try scope.attributes.only([])
      scope.give(try scope.emit("Range", [scope.plain(0), scope.plain(1), scope.plain(2)]))
    },
  ]
}

extension TensorFlowScope {
  /// The shape that the second input wants of a value, in ONNX's form: -1 for what follows from the number of
  /// elements, 0 for a size as it was.
  fileprivate mutating func wanted(of input: Graph.ValueID) throws(GraphError) -> [Int] {
    let target = try plain(1)
    var sizes: [Int] = []
    let isOpen = try builder.integers(target, "the shape").contains(-1)
    for (axis, size) in try builder.integers(target, "the shape").enumerated() {
      guard size != 0 else { throw GraphError("it makes a tensor without elements") }
      if let size {
        sizes.append(size)
      } else if builder.isSize(ofAxis: axis, in: input, theNumber: axis, of: target) {
        sizes.append(0)
      } else {
        guard !isOpen, !sizes.contains(-1) else {
          throw GraphError("two sizes of the shape hang on the batch")
        }
        sizes.append(-1)
      }
    }
    return sizes
  }

  /// An input of whole numbers as ONNX wants them where they are a shape.
  mutating func long(_ input: Int) throws(GraphError) -> Graph.ValueID { try cast(plain(input), to: .int64) }

  fileprivate mutating func fill(_ number: Float) throws(GraphError) {
    try expect(inputs: 1)
    try attributes.only([])
    let input = try plain(0)
    give(try emit("Expand", [constant(number, like: input), emit("Shape", [input])]))
  }
}
