import ApusEngine

/// A value of TensorFlow's graph. Images may be there in two forms: TensorFlow's, which has channels last as
/// a rule, and that of ONNX's convolutions, with channels first. Each is made of the other when it is asked
/// for.
struct TensorFlowValue {
  /// As TensorFlow has it.
  var plain: Graph.ValueID?
  /// Of four dimensions: with the last one moved to be the second.
  var channelsFirst: Graph.ValueID?

  init(plain: Graph.ValueID) { self.plain = plain }
  init(channelsFirst: Graph.ValueID) { self.channelsFirst = channelsFirst }
}

/// A node that is being read, and the graph that is being made: what the readers of operators work on.
struct TensorFlowScope {
  var builder: GraphBuilder
  /// Of the nodes that were read, by their outputs.
  private(set) var values: [TensorFlowNodes.Reference: TensorFlowValue] = [:]
  private(set) var node = TensorFlowNodes.Node(name: "", operatorName: "")
  private(set) var attributes = TensorFlowAttributes()
  /// What the node has given so far, in order.
  private var outputs = 0
  private var place = 0

  init(_ builder: GraphBuilder) { self.builder = builder }

  /// Goes on to another node.
  mutating func begin(_ node: TensorFlowNodes.Node, at place: Int, _ attributes: TensorFlowAttributes) {
    self.node = node
    self.attributes = attributes
    self.place = place
    outputs = 0
  }

  // MARK: Inputs

  var inputs: Range<Int> { node.inputs.indices }

  /// - Throws: `GraphError` where the node has another number of inputs.
  func expect(inputs range: ClosedRange<Int>) throws(GraphError) {
    guard range.contains(node.inputs.count) else {
      let wanted = range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
      throw GraphError("it has \(node.inputs.count) inputs, and takes \(wanted)")
    }
  }

  func expect(inputs count: Int) throws(GraphError) { try expect(inputs: count...count) }

  func value(_ input: Int) throws(GraphError) -> TensorFlowValue {
    guard inputs.contains(input) else { throw GraphError("its input \(input) is missing") }
    let reference = node.inputs[input]
    guard let value = values[reference] else {
      throw GraphError("it reads output \(reference.output) of a node that does not give so many here")
    }
    return value
  }

  /// An input as TensorFlow has it.
  mutating func plain(_ input: Int) throws(GraphError) -> Graph.ValueID {
    var value = try value(input)
    if let plain = value.plain { return plain }
    guard let other = value.channelsFirst else { throw GraphError("its input \(input) is missing") }
    let plain = try moved(other, [0, 2, 3, 1])
    value.plain = plain
    values[node.inputs[input]] = value
    return plain
  }

  /// An input of four dimensions, channels first.
  mutating func channelsFirst(_ input: Int) throws(GraphError) -> Graph.ValueID {
    var value = try value(input)
    if let there = value.channelsFirst { return there }
    let plain = try plain(input)
    guard builder.rank(plain) == 4 else {
      throw GraphError("an image has 4 dimensions: rows, height, width, channels; not \(builder.rank(plain))")
    }
    let other = try moved(plain, [0, 3, 1, 2])
    value.channelsFirst = other
    values[node.inputs[input]] = value
    return other
  }

  /// Whether an input is there with channels first alone: what need not be moved back is computed with as it
  /// is.
  func isMoved(_ input: Int) throws(GraphError) -> Bool { try value(input).plain == nil }

  func areAnyMoved(_ inputs: [Int]) throws(GraphError) -> Bool {
    for input in inputs where try isMoved(input) { return true }
    return false
  }

  /// The dimensions in another order. Where all that change places but one are of size 1, the numbers stay in
  /// place.
  private mutating func moved(_ value: Graph.ValueID, _ order: [Int]) throws(GraphError) -> Graph.ValueID {
    let shape = builder.shape(value)
    let sizes = order.map { shape[$0] }
    let isSame = order.filter { shape[$0] != 1 }.elementsEqual(order.filter { shape[$0] != 1 }.sorted())
    guard isSame, sizes.dropFirst().allSatisfy({ $0 ?? 0 > 0 }), order[0] == 0 else {
      return try emit("Transpose", [value], ["perm": .ints(order)])
    }
    return try emit("Reshape", [value, constant([0] + sizes.dropFirst().compactMap { $0 })])
  }

  /// Inputs as one shape that broadcasts as TensorFlow does: with channels first where one of them is there
  /// in that form alone, in which case all have at most 4 dimensions.
  mutating func aligned(
    _ inputs: [Int]
  ) throws(GraphError) -> (values: [Graph.ValueID], areMoved: Bool) {
    var areMoved = try areAnyMoved(inputs)
    for input in inputs where areMoved {
      let isMoved = try isMoved(input)
      if !isMoved, try builder.rank(plain(input)) > 4 { areMoved = false }
    }
    var values: [Graph.ValueID] = []
    for input in inputs { values.append(try areMoved ? broadcastable(input) : plain(input)) }
    return (values, areMoved)
  }

  /// An input that goes with images whose channels are first.
  private mutating func broadcastable(_ input: Int) throws(GraphError) -> Graph.ValueID {
    if let there = try value(input).channelsFirst { return there }
    let plain = try plain(input)
    switch builder.rank(plain) {
    case 0: return plain
    case 1: return try emit("Unsqueeze", [plain, constant([1, 2])])
    case 4: return try channelsFirst(input)
    case let rank:
      let image = try emit("Unsqueeze", [plain, constant(Array(0..<4 - rank))])
      return try moved(image, [0, 3, 1, 2])
    }
  }

  // MARK: Nodes

  /// Adds a node with one output.
  mutating func emit(
    _ operatorName: String, _ inputs: [Graph.ValueID?], _ attributes: [String: Attributes.Attribute] = [:]
  ) throws(GraphError) -> Graph.ValueID {
    try builder.add(operatorName, inputs, attributes, node.name)
  }

  /// A constant of whole numbers.
  mutating func constant(_ numbers: [Int]) throws(GraphError) -> Graph.ValueID {
    try builder.constant(numbers, node.name)
  }

  /// A constant of one number of the type of a value, for floating-point numbers.
  mutating func constant(_ number: Float, like value: Graph.ValueID) throws(GraphError) -> Graph.ValueID {
    let constant = builder.constant(try Tensor([number], []), node.name)
    return try cast(constant, to: builder.element(value))
  }

  /// The same numbers as elements of another type.
  mutating func cast(_ value: Graph.ValueID, to type: ElementType) throws(GraphError) -> Graph.ValueID {
    guard builder.element(value) != type else { return value }
    guard let number = ONNXElements.number(of: type) else {
      throw GraphError("elements of \(type.rawValue) are not computed with")
    }
    return try emit("Cast", [value], ["to": .int(number)])
  }

  // MARK: Outputs

  /// The node's next output.
  mutating func give(_ value: TensorFlowValue) {
    values[TensorFlowNodes.Reference(node: place, output: outputs)] = value
    outputs += 1
  }

  mutating func give(_ value: Graph.ValueID) { give(TensorFlowValue(plain: value)) }

  /// - Parameter isMoved: whether it has channels first.
  mutating func give(_ value: Graph.ValueID, isMoved: Bool) {
    give(isMoved ? TensorFlowValue(channelsFirst: value) : TensorFlowValue(plain: value))
  }

  /// How many outputs the node has given.
  var outputCount: Int { outputs }
}
