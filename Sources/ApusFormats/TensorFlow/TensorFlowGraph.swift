import ApusEngine
import CTensorFlowProto

/// Makes a graph of a `GraphDef`: placeholders become inputs, constants constants, and every other node that
/// is needed one or more of ONNX's operators.
struct TensorFlowGraph {
  private let messages: [NodeDef]
  private let nodes: TensorFlowNodes
  private let functions: Set<String>
  private var tensors: TensorFlowTensors
  private var scope: TensorFlowScope

  /// - Throws: `FormatError` that names the node.
  static func read(
    _ message: GraphDef, tensors: TensorFlowTensors, operators: OperatorTable
  ) throws(FormatError) -> Graph {
    let messages = message.nodes
    var reader = TensorFlowGraph(
      messages: messages, nodes: try TensorFlowNodes(messages), functions: Set(message.functions),
      tensors: tensors, scope: TensorFlowScope(GraphBuilder(operators: operators)))
    return try reader.read()
  }

  private mutating func read() throws(FormatError) -> Graph {
    let results = nodes.results
    guard !results.isEmpty else { throw .malformed("the graph has no node that computes a result") }
    let order = try nodes.order(for: results)
    // Inputs first, in the file's order, which is that of the model's arguments.
    let inputs = order.filter { nodes.nodes[$0].operatorName == "Placeholder" }.sorted()
    for node in inputs { try add(node) }
    for node in order where nodes.nodes[node].operatorName != "Placeholder" { try add(node) }
    do throws(GraphError) {
      // An image that lies channels first is moved back for an output, which adds to the graph.
      let outputs = try outputs(of: results)
      return try scope.builder.graph(outputs: outputs)
    } catch { throw .malformed(printable(error.description, limit: 1_000)) }
  }

  private mutating func add(_ place: Int) throws(FormatError) {
    let node = nodes.nodes[place]
    do throws(GraphError) {
      scope.begin(node, at: place, try TensorFlowAttributes(messages[place]))
      switch node.operatorName {
      case "Placeholder": try addInput(node)
      case "Const": try addConstant(node)
      case let name:
        guard let known = TensorFlowOperators.all[name] else { throw unknown(name) }
        try known.read(&scope)
      }
    } catch { throw nodes.failure(place, printable(error.description, limit: 4_000)) }
  }

  private mutating func addInput(_ node: TensorFlowNodes.Node) throws(GraphError) {
    try scope.attributes.only(["shape"])
    guard let element = try scope.attributes.type("dtype") else { throw GraphError("it has no type") }
    guard let shape = try scope.attributes.shape("shape")?.sizes else {
      throw GraphError(
        "an input needs a shape; freeze the model with one, of which only the batch may be open")
    }
    scope.give(try scope.builder.input(node.name, element, shape))
  }

  private mutating func addConstant(_ node: TensorFlowNodes.Node) throws(GraphError) {
    try scope.attributes.only(["value"])
    guard let message = try scope.attributes.tensor("value") else { throw GraphError("it has no value") }
    let tensor = try tensors.read(message)
    if let type = try scope.attributes.type("dtype"), type != tensor.type.element {
      throw GraphError("it is of \(type.rawValue), and its value of \(tensor.type.element.rawValue)")
    }
    scope.give(scope.builder.constant(tensor, node.name))
  }

  /// The graph's outputs, by their names in the file.
  private mutating func outputs(of results: [Int]) throws(GraphError) -> [(
    value: Graph.ValueID, name: String
  )] {
    var outputs: [(value: Graph.ValueID, name: String)] = []
    var seen: Set<Graph.ValueID> = []
    for result in results {
      var output = 0
      while scope.values[TensorFlowNodes.Reference(node: result, output: output)] != nil {
        let name = output == 0 ? nodes.nodes[result].name : "\(nodes.nodes[result].name):\(output)"
        scope.begin(
          TensorFlowNodes.Node(name: name, reading: TensorFlowNodes.Reference(node: result, output: output)),
          at: result, TensorFlowAttributes())
        var value = try scope.plain(0)
        // A value has one name, and an output is what a node computes.
        if !scope.builder.isComputed(value) || !seen.insert(value).inserted {
          value = try scope.emit("Identity", [value])
        }
        outputs.append((value, name))
        output += 1
      }
    }
    guard outputs.count <= TensorFlowLimits.outputs else {
      throw GraphError("it has \(outputs.count) outputs; at most \(TensorFlowLimits.outputs) are read")
    }
    return outputs
  }

  // MARK: What is not computed

  private static let calls: Set = [
    "PartitionedCall", "StatefulPartitionedCall", "SymbolicGradient", "RemoteCall",
  ]
  private static let variables: Set = [
    "VarHandleOp", "ReadVariableOp", "ResourceGather", "Variable", "VariableV2", "AssignVariableOp",
    "RestoreV2",
  ]
  private static let control: Set = [
    "While", "StatelessWhile", "If", "StatelessIf", "Case", "Enter", "Exit", "NextIteration", "Switch",
    "Merge",
    "LoopCond",
  ]

  private func unknown(_ name: String) -> GraphError {
    if Self.calls.contains(name) || functions.contains(name) {
      return GraphError("it calls a function, which is not computed here; \(TensorFlowFile.hint)")
    }
    if Self.variables.contains(name) {
      return GraphError("it uses a variable, whose numbers are not in the file; \(TensorFlowFile.hint)")
    }
    if Self.control.contains(name) { return GraphError("loops and branches are not computed here") }
    let why =
      name.hasPrefix("_")
      ? "TensorFlow's optimizer wrote this operator for its own kernels; \(TensorFlowFile.hint). These are "
        + "computed"
      : "this operator is not computed here; these are"
    return GraphError("\(why): \(TensorFlowOperators.names.joined(separator: ", "))")
  }
}
