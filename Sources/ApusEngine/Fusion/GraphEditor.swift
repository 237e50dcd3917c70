/// A graph that is being rewritten: who computes and who reads each value is known at every moment.
struct GraphEditor {
  private(set) var graph: Graph
  /// By node.
  private var isRemoved: [Bool]
  /// By value: the node that computes it.
  private var producers: [Int?]
  /// By value: how many inputs of nodes and outputs of the graph it is.
  private var readers: [Int]

  init(_ graph: Graph) {
    self.graph = graph
    isRemoved = graph.nodes.map { _ in false }
    producers = graph.values.map { _ in nil }
    readers = graph.values.map { _ in 0 }
    for (index, node) in graph.nodes.enumerated() {
      for case let value? in node.outputs { producers[value] = index }
      for case let value? in node.inputs { readers[value] += 1 }
    }
    for value in graph.outputs { readers[value] += 1 }
  }

  /// Places of the nodes that are there, in order. Nodes that are removed meanwhile are not among them.
  func nodes() -> [Int] { graph.nodes.indices.filter { !isRemoved[$0] } }

  func isThere(_ node: Int) -> Bool { !isRemoved[node] }

  func constant(_ value: Graph.ValueID?) -> Tensor? { value.flatMap { graph.values[$0].constant } }

  /// The node that computes a value, if it is an operator of this kind.
  func producer<Kind: Operator>(of value: Graph.ValueID?, _: Kind.Type) -> (node: Int, operation: Kind)? {
    guard let value, let node = producers[value], let operation = graph.nodes[node].operation as? Kind else {
      return nil
    }
    return (node, operation)
  }

  /// Whether one node reads a value, and no output of the graph is it.
  func hasOneReader(_ value: Graph.ValueID?) -> Bool { value.map { readers[$0] == 1 } ?? false }

  /// The first output, where the others are not read.
  func onlyOutput(of node: Int) -> Graph.ValueID? {
    let outputs = graph.nodes[node].outputs
    guard outputs.dropFirst().allSatisfy({ $0.map { readers[$0] == 0 } ?? true }) else { return nil }
    return outputs.first ?? nil
  }

  mutating func add(_ constant: Tensor, named name: String) -> Graph.ValueID {
    graph.values.append(Graph.Value(name: name, constant: constant))
    producers.append(nil)
    readers.append(0)
    return graph.values.count - 1
  }

  mutating func remove(_ node: Int) {
    isRemoved[node] = true
    for case let value? in graph.nodes[node].inputs { readers[value] -= 1 }
    for case let value? in graph.nodes[node].outputs where producers[value] == node { producers[value] = nil }
  }

  /// Puts another operator in a node's place, which is computed where that one was.
  mutating func replace(
    _ node: Int, _ operation: any Operator, inputs: [Graph.ValueID?], output: Graph.ValueID
  ) {
    let name = graph.nodes[node].name
    remove(node)
    isRemoved[node] = false
    graph.nodes[node] = Graph.Node(name: name, operation: operation, inputs: inputs, outputs: [output])
    producers[output] = node
    for case let value? in inputs { readers[value] += 1 }
  }

  /// Makes all that reads a value read another one.
  ///
  /// - Returns: false for an output of the graph whose other value is an input or a constant: nothing would
  ///   be left to compute it.
  mutating func redirect(_ value: Graph.ValueID, to other: Graph.ValueID) -> Bool {
    if graph.outputs.contains(value), producers[other] == nil { return false }
    for node in graph.nodes.indices where !isRemoved[node] {
      for (place, input) in graph.nodes[node].inputs.enumerated() where input == value {
        graph.nodes[node].inputs[place] = other
      }
    }
    for (place, output) in graph.outputs.enumerated() where output == value { graph.outputs[place] = other }
    readers[other] += readers[value]
    readers[value] = 0
    return true
  }

  /// The graph without the nodes that were removed.
  func finished() -> Graph {
    var graph = graph
    graph.nodes = nodes().map { self.graph.nodes[$0] }
    return graph
  }
}
