import ApusEngine

extension TensorFlowOperators {
  // MARK: Several tensors as one, and one as several

  static let joins: [TensorFlowOperator] = [
    TensorFlowOperator("ConcatV2") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2...TensorFlowLimits.inputsPerNode)
      try scope.attributes.only(["N"])
      try scope.concatenate(Array(scope.inputs.dropLast()), scope.number(scope.inputs.count - 1, "the axis"))
    },
    TensorFlowOperator("Concat") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2...TensorFlowLimits.inputsPerNode)
      try scope.attributes.only(["N"])
      try scope.concatenate(Array(scope.inputs.dropFirst()), scope.number(0, "the axis"))
    },
    TensorFlowOperator("Pack") { (scope) throws(GraphError) in
      try scope.expect(inputs: 1...TensorFlowLimits.inputsPerNode)
      try scope.attributes.only(["N", "axis"])
      let axis = try scope.attributes.int("axis") ?? 0
      let place = try scope.constant([axis])
      var parts: [Graph.ValueID] = []
      for input in scope.inputs { parts.append(try scope.emit("Unsqueeze", [scope.plain(input), place])) }
      scope.give(try scope.emit("Concat", parts, ["axis": .int(axis)]))
    },
    TensorFlowOperator("Unpack") { (scope) throws(GraphError) in
      try scope.expect(inputs: 1)
      try scope.attributes.only(["num", "axis"])
      let axis = try scope.attributes.int("axis") ?? 0
      let input = try scope.plain(0)
      guard let size = scope.builder.shape(input)[try scope.builder.axis(axis, of: input)], size > 0 else {
        throw GraphError("the axis that it takes apart is open, or empty")
      }
      guard try scope.attributes.int("num") ?? size == size else {
        throw GraphError("num is not \(size), the size of the axis that it takes apart")
      }
      let place = try scope.constant([axis])
      for part in try scope.split(input, axis, size) { scope.give(try scope.emit("Squeeze", [part, place])) }
    },
    TensorFlowOperator("Split") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2)
      try scope.attributes.only(["num_split"])
      let axis = try scope.number(0, "the axis")
      let parts = try scope.attributes.int("num_split") ?? 0
      let input = try scope.plain(1)
      guard let size = scope.builder.shape(input)[try scope.builder.axis(axis, of: input)], parts > 0,
        size % parts == 0
      else { throw GraphError("it splits an axis into \(parts) equal parts, which it does not have") }
      for part in try scope.split(input, axis, parts) { scope.give(part) }
    },
    TensorFlowOperator("SplitV") { (scope) throws(GraphError) in
      try scope.expect(inputs: 3)
      try scope.attributes.only(["num_split"])
      let (sizes, axis) = (try scope.numbers(1, "the sizes"), try scope.number(2, "the axis"))
      guard !sizes.contains(where: { $0 < 0 }), sizes.count <= TensorFlowLimits.inputsPerNode else {
        throw GraphError("the sizes \(sizes.prefix(16)) are not those of parts")
      }
      let parts = try scope.builder.add(
        "Split", [scope.plain(0), scope.constant(sizes)], ["axis": .int(axis)], outputs: sizes.count,
        named: scope.node.name)
      for part in parts { scope.give(part) }
    },
  ]
}

extension TensorFlowScope {
  fileprivate mutating func concatenate(_ inputs: [Int], _ axis: Int) throws(GraphError) {
    let areMoved = try areAnyMoved(inputs)
    var parts: [Graph.ValueID] = []
    for input in inputs { parts.append(try areMoved ? channelsFirst(input) : plain(input)) }
    guard areMoved else { return give(try emit("Concat", parts, ["axis": .int(axis)])) }
    let place = [0, 2, 3, 1][try builder.axis(axis, of: parts[0])]
    give(try emit("Concat", parts, ["axis": .int(place)]), isMoved: true)
  }

  fileprivate mutating func split(
    _ value: Graph.ValueID, _ axis: Int, _ parts: Int
  ) throws(GraphError) -> [Graph.ValueID] {
    guard parts <= TensorFlowLimits.inputsPerNode else { throw GraphError("it has \(parts) parts; too many") }
    return try builder.add(
      "Split", [value], ["axis": .int(axis), "num_outputs": .int(parts)], outputs: parts, named: node.name)
  }
}
