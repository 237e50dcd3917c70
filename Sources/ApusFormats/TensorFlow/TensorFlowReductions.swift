import ApusEngine

extension TensorFlowOperators {
  // MARK: One number of many

  static let reductions =
    [
      ("Mean", "ReduceMean"), ("Sum", "ReduceSum"), ("Max", "ReduceMax"), ("Min", "ReduceMin"),
      ("Prod", "ReduceProd"),
    ].map { name, other in
      TensorFlowOperator(name) { (scope) throws(GraphError) in try scope.reduce(other) }
    }
    + ["ArgMax", "ArgMin"].map { name in
      TensorFlowOperator(name) { (scope) throws(GraphError) in
        try scope.expect(inputs: 2)
        try scope.attributes.only([])
        let axis = try scope.number(1, "dimension")
        let index = try scope.emit(name, [scope.plain(0)], ["axis": .int(axis), "keepdims": .int(0)])
        scope.give(try scope.cast(index, to: scope.attributes.type("output_type") ?? .int64))
      }
    }
    + [
      TensorFlowOperator("TopKV2") { (scope) throws(GraphError) in
        try scope.expect(inputs: 2)
        try scope.attributes.only(["sorted"])
        let count = try scope.constant([scope.number(1, "k")])
        let found = try scope.builder.add(
          "TopK", [scope.plain(0), count], outputs: 2, named: scope.node.name)
        scope.give(found[0])
        scope.give(try scope.cast(found[1], to: scope.attributes.type("index_type") ?? .int32))
      }
    ]
}

extension TensorFlowScope {
  /// Whole numbers of an input, which are the same for each batch.
  mutating func numbers(_ input: Int, _ name: String) throws(GraphError) -> [Int] {
    try builder.fixedIntegers(plain(input), name)
  }

  /// The one whole number of an input.
  mutating func number(_ input: Int, _ name: String) throws(GraphError) -> Int {
    let numbers = try numbers(input, name)
    guard numbers.count == 1 else { throw GraphError("\(name) is one number, not \(numbers.count)") }
    return numbers[0]
  }

  fileprivate mutating func reduce(_ name: String) throws(GraphError) {
    try expect(inputs: 2)
    try attributes.only(["keep_dims"])
    let keeps = try attributes.flag("keep_dims") ?? false
    let numbers = try numbers(1, "the axes")
    guard !numbers.isEmpty else { return give(try value(0)) }
    guard try isMoved(0) else { return give(try reduced(name, plain(0), numbers, keeps)) }
    let image = try channelsFirst(0)
    var axes: Set<Int> = []
    for axis in numbers { axes.insert(try builder.axis(axis, of: image)) }
    // Of an image with channels first, what is left is in TensorFlow's order where all dimensions are kept,
    // where the channels go, or where both others do.
    if axes == [1, 2], let pool = ["ReduceMean": "GlobalAveragePool", "ReduceMax": "GlobalMaxPool"][name],
      builder.element(image).isFloatingPoint
    {
      let pooled = try emit(pool, [image])
      return keeps ? give(pooled, isMoved: true) : give(try emit("Flatten", [pooled], ["axis": .int(1)]))
    }
    guard keeps || axes.contains(3) || axes.isSuperset(of: [1, 2]) else {
      return give(try reduced(name, plain(0), numbers, keeps))
    }
    give(try reduced(name, image, axes.sorted().map { [0, 2, 3, 1][$0] }, keeps), isMoved: keeps)
  }

  private mutating func reduced(
    _ name: String, _ value: Graph.ValueID, _ axes: [Int], _ keeps: Bool
  ) throws(GraphError) -> Graph.ValueID {
    try emit(name, [value, constant(axes)], ["keepdims": .int(keeps ? 1 : 0)])
  }
}
