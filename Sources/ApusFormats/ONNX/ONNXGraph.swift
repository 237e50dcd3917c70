import ApusEngine
import COnnxProto

/// Makes a graph of a `GraphProto`: names become values, nodes operators, and the operator Constant
/// constants.
struct ONNXGraph {
  private let opsets: ONNXOperatorSets
  private let tensors: ONNXTensors
  private let operators: OperatorTable
  private var values: [Graph.Value] = []
  private var places: [String: Graph.ValueID] = [:]

  private init(opsets: ONNXOperatorSets, tensors: ONNXTensors, operators: OperatorTable) {
    self.opsets = opsets
    self.tensors = tensors
    self.operators = operators
  }

  /// - Throws: `FormatError` that names the node, the tensor or the value.
  static func read(
    _ message: GraphMessage, opsets: ONNXOperatorSets, tensors: ONNXTensors, operators: OperatorTable
  ) throws(FormatError) -> Graph {
    var reader = ONNXGraph(opsets: opsets, tensors: tensors, operators: operators)
    return try reader.read(message)
  }

  private mutating func read(_ message: GraphMessage) throws(FormatError) -> Graph {
    try checkCounts(message)
    for initializer in message.initializers { try addInitializer(initializer) }
    let inputs = try addInputs(message.inputs)
    var nodes: [Graph.Node] = []
    for (index, node) in message.nodes.enumerated() {
      if let built = try add(node, at: index, of: message) { nodes.append(built) }
    }
    let outputs = try outputs(message.outputs)
    do {
      return try Graph(values: values, inputs: inputs, outputs: outputs, nodes: nodes)
    } catch { throw .malformed(printable(error.description, limit: 1_000)) }
  }

  private func checkCounts(_ message: GraphMessage) throws(FormatError) {
    let counts: [(String, Int, Int)] = [
      ("nodes", message.n_node, ONNXLimits.nodes),
      ("tensors", message.n_initializer, ONNXLimits.initializers),
      ("inputs", message.n_input, ONNXLimits.graphInputs + message.n_initializer),
      ("outputs", message.n_output, ONNXLimits.graphOutputs),
    ]
    for (what, count, limit) in counts where count > limit {
      throw .unsupported("the graph has \(count) \(what); at most \(limit) are read")
    }
    if let sparse: Onnx__SparseTensorProto = messages(
      message.n_sparse_initializer, message.sparse_initializer
    ).first {
      let name = printable(text(sparse.values?.pointee.name))
      throw .tensor(name: name, problem: "it is sparse; only whole tensors are read")
    }
  }

  // MARK: Values

  private mutating func addInitializer(_ message: TensorMessage) throws(FormatError) {
    let name = text(message.name)
    guard !name.isEmpty else { throw .malformed("a tensor of the graph has no name") }
    guard places[name] == nil else {
      throw .tensor(name: printable(name), problem: "the graph has two of this name")
    }
    define(name, try tensors.read(message, called: printable(name)))
  }

  /// Those that have a tensor of the graph as default are constants.
  private mutating func addInputs(_ messages: [ValueInfoMessage]) throws(FormatError) -> [Graph.Input] {
    let initializers = values.count
    var seen: Set<String> = []
    var inputs: [Graph.Input] = []
    for message in messages {
      let name = text(message.name)
      guard !name.isEmpty else { throw .malformed("an input of the graph has no name") }
      guard seen.insert(name).inserted else {
        throw .malformed("the graph has two inputs '\(printable(name))'")
      }
      if let place = places[name], place < initializers { continue }
      inputs.append(try ONNXInput.read(message, as: define(name)))
    }
    guard inputs.count <= ONNXLimits.graphInputs else {
      throw .unsupported("the graph has \(inputs.count) inputs; at most \(ONNXLimits.graphInputs) are read")
    }
    return inputs
  }

  private func outputs(_ messages: [ValueInfoMessage]) throws(FormatError) -> [Graph.ValueID] {
    var outputs: [Graph.ValueID] = []
    var seen: Set<String> = []
    for message in messages {
      let name = text(message.name)
      guard let place = places[name] else {
        throw .malformed("nothing computes the graph's output '\(printable(name))'")
      }
      guard seen.insert(name).inserted else {
        throw .malformed("the graph has two outputs '\(printable(name))'")
      }
      outputs.append(place)
    }
    guard !outputs.isEmpty else { throw .malformed("the graph has no output") }
    return outputs
  }

  @discardableResult
  private mutating func define(_ name: String, _ constant: Tensor? = nil) -> Graph.ValueID {
    values.append(Graph.Value(name: name, constant: constant))
    places[name] = values.count - 1
    return values.count - 1
  }

  // MARK: Nodes

  /// - Returns: nil for a Constant, which is a value and no node.
  private mutating func add(
    _ message: NodeMessage, at index: Int, of graph: GraphMessage
  ) throws(FormatError) -> Graph.Node? {
    let name = Self.label(message, at: index)
    let operatorName = printable(message.operatorName)
    guard !operatorName.isEmpty else { throw .node(name: name, problem: "it has no operator") }
    guard message.n_input <= ONNXLimits.inputsPerNode, message.n_output <= ONNXLimits.outputsPerNode else {
      throw .node(
        name: name, problem: "it has \(message.n_input) inputs and \(message.n_output) outputs; too many")
    }
    let opset = try opsets.version(text(message.domain), node: name, operatorName: operatorName)
    let attributes = try ONNXAttributes(tensors: tensors, node: name).read(message.attributes)
    let inputs = try inputs(message, name, graph)
    let domain = ONNXOperatorSets.domain(text(message.domain))
    do throws(GraphError) {
      if domain.isEmpty, message.operatorName == "Constant" {
        let outputs = message.outputs
        guard inputs.isEmpty, outputs.count == 1, !outputs[0].isEmpty else {
          throw GraphError("a Constant has no inputs and one output")
        }
        try addOutputs(outputs, constant: ONNXConstants.tensor(attributes, opset: opset))
        return nil
      }
      let description = NodeDescription(
        opset: opset, attributes: attributes, inputs: inputs.count, outputs: message.n_output)
      let operation = try operators.make(message.operatorName, domain: domain, description)
      return Graph.Node(
        name: name, operation: operation, inputs: inputs, outputs: try addOutputs(message.outputs))
    } catch {
      throw .node(name: "\(name) (\(operatorName))", problem: printable(error.description, limit: 4_000))
    }
  }

  @discardableResult
  private mutating func addOutputs(
    _ names: [String], constant: Tensor? = nil
  ) throws(GraphError) -> [Graph.ValueID?] {
    var outputs: [Graph.ValueID?] = []
    for name in names {
      guard !name.isEmpty else {
        outputs.append(nil)
        continue
      }
      guard places[name] == nil else {
        throw GraphError("it computes '\(name)', which is there already")
      }
      outputs.append(define(name, constant))
    }
    return outputs
  }

  private func inputs(
    _ message: NodeMessage, _ name: String, _ graph: GraphMessage
  ) throws(FormatError) -> [Graph.ValueID?] {
    var inputs: [Graph.ValueID?] = []
    for input in message.inputs {
      if !input.isEmpty, places[input] == nil {
        throw .node(name: "\(name) (\(printable(message.operatorName)))", problem: Self.missing(input, graph))
      }
      inputs.append(places[input])
    }
    return inputs
  }

  /// Why a value is not there when a node reads it.
  private static func missing(_ input: String, _ graph: GraphMessage) -> String {
    for (index, node) in graph.nodes.enumerated() where node.outputs.contains(input) {
      return
        "it reads '\(printable(input))', which the node \(label(node, at: index)) computes only later: nodes "
        + "must be in the order in which they run, without cycles"
    }
    return "it reads '\(printable(input))', which nothing computes"
  }

  /// A node's name, or one made of its operator and place.
  private static func label(_ node: NodeMessage, at index: Int) -> String {
    let name = printable(text(node.name))
    return name.isEmpty ? "\(printable(node.operatorName))#\(index)" : name
  }
}
