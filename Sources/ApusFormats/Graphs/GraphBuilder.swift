import ApusEngine

/// Makes a graph node by node, of ONNX's operators, for formats that have operators of their own.
///
/// Each node is typed as soon as it is there, for two batches whose numbers of rows are primes: so a reader
/// knows the shapes it goes on with, and what hangs on the batch is what differs between the two.
struct GraphBuilder {
  /// Of the operators that are made.
  private static let opset = 20
  private static let rows = [1009, 1013]
  /// Elements of what is computed while a graph is made: shapes, axes and indices, and nothing larger.
  private static let knownElements = 4096

  let operators: OperatorTable
  private(set) var values: [Graph.Value] = []
  private(set) var nodes: [Graph.Node] = []
  private var inputs: [Graph.Input] = []
  /// By batch and value.
  private var typed: [[KnownValue]] = [[], []]

  private struct KnownValue {
    let type: TensorType
    /// nil: known only when the graph runs.
    let value: Tensor?
  }

  init(operators: OperatorTable) { self.operators = operators }

  // MARK: Values

  /// - Parameter shape: nil stands for the number of rows.
  mutating func input(_ name: String, _ element: ElementType, _ shape: [Int?]) throws(GraphError)
    -> Graph.ValueID
  {
    for (batch, rows) in Self.rows.enumerated() {
      let type = try TensorType(element, shape.map { $0 ?? rows })
      typed[batch].append(KnownValue(type: type, value: nil))
    }
    values.append(Graph.Value(name: name))
    inputs.append(Graph.Input(value: values.count - 1, element: element, shape: shape))
    return values.count - 1
  }

  mutating func constant(_ tensor: Tensor, _ name: String) -> Graph.ValueID {
    values.append(Graph.Value(name: name, constant: tensor))
    for batch in typed.indices { typed[batch].append(KnownValue(type: tensor.type, value: tensor)) }
    return values.count - 1
  }

  /// A constant of whole numbers: axes, shapes, pads.
  mutating func constant(_ numbers: [Int], _ name: String) throws(GraphError) -> Graph.ValueID {
    constant(try Tensor(numbers.map { Int64($0) }, [numbers.count]), name)
  }

  func element(_ value: Graph.ValueID) -> ElementType { typed[0][value].type.element }
  func rank(_ value: Graph.ValueID) -> Int { typed[0][value].type.rank }

  /// nil where a size hangs on the batch.
  func shape(_ value: Graph.ValueID) -> [Int?] {
    zip(typed[0][value].type.shape, typed[1][value].type.shape).map { $0 == $1 ? $0 : nil }
  }

  /// Whether a value has one element, whatever the batch.
  func isSingle(_ value: Graph.ValueID) -> Bool { typed.allSatisfy { $0[value].type.count == 1 } }

  /// Whole numbers that are known now; nil for those that hang on the batch.
  ///
  /// - Throws: `GraphError` where they are not known before the graph runs.
  func integers(_ value: Graph.ValueID, _ name: String) throws(GraphError) -> [Int?] {
    guard let first = typed[0][value].value, let second = typed[1][value].value, first.type == second.type
    else {
      throw GraphError("\(name) must be constant, or hang on shapes alone")
    }
    return zip(try first.view.integers(), try second.view.integers()).map { $0 == $1 ? $0 : nil }
  }

  /// Whole numbers that are the same for each batch.
  func fixedIntegers(_ value: Graph.ValueID, _ name: String) throws(GraphError) -> [Int] {
    let numbers = try integers(value, name).compactMap { $0 }
    guard numbers.count == typed[0][value].type.count else { throw GraphError("\(name) hangs on the batch") }
    return numbers
  }

  /// Whether a number of one value is a size of another one, whatever the batch.
  func isSize(
    ofAxis axis: Int, in value: Graph.ValueID, theNumber place: Int, of numbers: Graph.ValueID
  ) -> Bool {
    typed.allSatisfy { values in
      guard let known = try? values[numbers].value?.view.integers() else { return false }
      return axis < values[value].type.rank && place < known.count
        && known[place] == values[value].type.shape[axis]
    }
  }

  /// The axis of that number, which may count from the end.
  func axis(_ axis: Int, of value: Graph.ValueID) throws(GraphError) -> Int {
    try typed[0][value].type.axis(axis)
  }

  // MARK: Nodes

  /// Adds a node.
  ///
  /// - Parameters:
  ///   - name: for messages, and that of the outputs: of all but the first with a number behind it.
  ///   - attributes: in the form of the opset of this type.
  /// - Returns: its outputs.
  /// - Throws: `GraphError` where the operator does not take the inputs.
  @discardableResult
  mutating func add(
    _ operatorName: String, _ inputs: [Graph.ValueID?], _ attributes: [String: Attributes.Attribute] = [:],
    outputs: Int = 1, named name: String
  ) throws(GraphError) -> [Graph.ValueID] {
    let description = NodeDescription(
      opset: Self.opset, attributes: Attributes(attributes), inputs: inputs.count, outputs: outputs)
    let operation = try operators.make(operatorName, domain: "", description)
    let first = values.count
    for batch in typed.indices { try type(operation, inputs, outputs, batch) }
    for place in 0..<outputs { values.append(Graph.Value(name: place == 0 ? name : "\(name):\(place)")) }
    nodes.append(
      Graph.Node(name: name, operation: operation, inputs: inputs, outputs: Array(first..<first + outputs)))
    return Array(first..<first + outputs)
  }

  /// The only output of a node.
  mutating func add(
    _ operatorName: String, _ inputs: [Graph.ValueID?], _ attributes: [String: Attributes.Attribute] = [:],
    _ name: String
  ) throws(GraphError) -> Graph.ValueID {
    try add(operatorName, inputs, attributes, outputs: 1, named: name)[0]
  }

  private mutating func type(
    _ operation: any Operator, _ inputs: [Graph.ValueID?], _ outputs: Int, _ batch: Int
  ) throws(GraphError) {
    let known = inputs.map { value in
      value.map { KnownTensor(type: typed[batch][$0].type, value: typed[batch][$0].value?.view) }
    }
    let types = try operation.outputTypes(known)
    guard types.count == outputs else { throw GraphError("it has \(types.count) outputs, not \(outputs)") }
    let elements = (known.compactMap { $0?.type.count } + types.map(\.count)).reduce(0) {
      min($0 + $1, 1 << 48)
    }
    let isKnown =
      operation.readsOnlyTypes || inputs.allSatisfy { $0.map { typed[batch][$0].value != nil } ?? true }
    guard isKnown, operation.readsOnlyTypes || elements <= Self.knownElements else {
      typed[batch] += types.map { KnownValue(type: $0, value: nil) }
      return
    }
    let tensors = types.map { Tensor($0) }
    // Of an input whose type alone is read, nothing is looked at behind the address.
    let nowhere = UnsafeRawPointer(bitPattern: 64).unsafelyUnwrapped
    let views = known.map { input in
      input.map { $0.value ?? TensorView(type: $0.type, start: nowhere) }
    }
    try operation.compute(views, tensors.map(\.mutableView))
    typed[batch] += tensors.map { KnownValue(type: $0.type, value: $0) }
  }

  /// Whether a node computes a value; inputs and constants are there without.
  func isComputed(_ value: Graph.ValueID) -> Bool {
    values[value].constant == nil && !inputs.contains { $0.value == value }
  }

  /// The node that computes a value, among the last few: what is written in pieces stands close together.
  func node(computing value: Graph.ValueID) -> Graph.Node? {
    nodes.suffix(16).last { $0.outputs.contains(value) }
  }

  // MARK: The graph

  /// The graph, without what none of its outputs needs.
  ///
  /// - Parameter names: of the outputs.
  /// - Throws: `GraphError` where an output is no value that a node computes.
  func graph(outputs: [(value: Graph.ValueID, name: String)]) throws(GraphError) -> Graph {
    var isNeeded = [Bool](repeating: false, count: values.count)
    for output in outputs { isNeeded[output.value] = true }
    var kept: [Graph.Node] = []
    for node in nodes.reversed() where node.outputs.contains(where: { $0.map { isNeeded[$0] } ?? false }) {
      for case let input? in node.inputs { isNeeded[input] = true }
      kept.append(node)
    }
    var named = values
    for (value, name) in outputs {
      named[value] = Graph.Value(name: name, constant: values[value].constant)
    }
    return try Graph(
      values: named, inputs: inputs, outputs: outputs.map(\.value), nodes: Array(kept.reversed()))
  }
}
