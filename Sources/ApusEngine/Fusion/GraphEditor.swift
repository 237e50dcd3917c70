/// A graph that is being rewritten: who computes and who reads each value is known at every moment.
///  A node keeps its place in `graph.nodes` as long as it is there, and new ones get places behind all
/// others: in which order nodes run is told by `nodes()` alone.
struct GraphEditor {
  private(set) var graph: Graph
  /// By node.
  private var isRemoved: [Bool]
  /// By node: the one that runs after it.
  private var next: [Int?]
  private var previous: [Int?]
  private var first: Int?
  /// By value: the node that computes it.
  private var producers: [Int?]
  /// By value: how many inputs of nodes and outputs of the graph it is.
  private var readers: [Int]
  /// By value: the nodes that read it, and some that once did.
  private var users: [[Int]]
  /// By value.
  private var types: [BatchType?]
  /// By value: numbers that are the same for all batches, though they are computed.
  private var known: [Tensor?]

  init(_ graph: Graph, _ typing: BatchTyping) {
    self.graph = graph
    types = typing.types
    known = typing.known
    let count = graph.nodes.count
    isRemoved = graph.nodes.map { _ in false }
    next = graph.nodes.indices.map { $0 + 1 < count ? $0 + 1 : nil }
    previous = graph.nodes.indices.map { $0 > 0 ? $0 - 1 : nil }
    first = count > 0 ? 0 : nil
    producers = graph.values.map { _ in nil }
    readers = graph.values.map { _ in 0 }
    users = graph.values.map { _ in [] }
    for node in graph.nodes.indices { connect(node) }
    for value in graph.outputs { readers[value] += 1 }
  }

  /// Places of the nodes that are there, in the order in which they run. Nodes that are removed meanwhile are
  /// not among them.
  func nodes() -> [Int] {
    var nodes: [Int] = []
    var node = first
    while let place = node {
      if !isRemoved[place] { nodes.append(place) }
      node = next[place]
    }
    return nodes
  }

  func isThere(_ node: Int) -> Bool { !isRemoved[node] }

  func constant(_ value: Graph.ValueID?) -> Tensor? {
    value.flatMap { graph.values[$0].constant ?? known[$0] }
  }

  func type(of value: Graph.ValueID?) -> BatchType? { value.flatMap { types[$0] } }

  func isOutput(_ value: Graph.ValueID) -> Bool { graph.outputs.contains(value) }

  /// What a kernel would be told of a node.
  func types(of node: Int) -> KernelTypes {
    KernelTypes(
      inputs: graph.nodes[node].inputs.map(type), outputs: graph.nodes[node].outputs.compactMap(type),
      constants: graph.nodes[node].inputs.map(constant))
  }

  /// The node that computes a value, if it is an operator of this kind.
  func producer<Kind: Operator>(
    of value: Graph.ValueID?, _: Kind.Type
  ) -> (node: Int, operation: Kind)? {
    guard let value, let node = producers[value], let operation = graph.nodes[node].operation as? Kind else {
      return nil
    }
    return (node, operation)
  }

  /// Whether one node reads a value, and no output of the graph is it.
  func hasOneReader(_ value: Graph.ValueID?) -> Bool { value.map { readers[$0] == 1 } ?? false }

  /// Whether nobody but these nodes reads what they compute, one value apart.
  func isClosed(_ nodes: Set<Int>, giving output: Graph.ValueID) -> Bool {
    var inside: [Graph.ValueID: Int] = [:]
    for node in nodes {
      for case let value? in graph.nodes[node].inputs { inside[value, default: 0] += 1 }
    }
    return nodes.allSatisfy { node in
      graph.nodes[node].outputs.allSatisfy { value in
        value.map { $0 == output || readers[$0] == inside[$0, default: 0] } ?? true
      }
    }
  }

  /// The first output, where the others are not read.
  func onlyOutput(of node: Int) -> Graph.ValueID? {
    let outputs = graph.nodes[node].outputs
    guard outputs.dropFirst().allSatisfy({ $0.map { readers[$0] == 0 } ?? true }) else { return nil }
    return outputs.first ?? nil
  }

  mutating func add(_ constant: Tensor, named name: String) -> Graph.ValueID {
    let shape = constant.type.shape.map { Extent($0) }
    let type = BatchType(element: constant.type.element, shape: shape)
    return add(Graph.Value(name: name, constant: constant), type)
  }

  /// A value for a node to compute.
  mutating func add(_ type: BatchType, named name: String) -> Graph.ValueID {
    add(Graph.Value(name: name), type)
  }

  private mutating func add(_ value: Graph.Value, _ type: BatchType) -> Graph.ValueID {
    graph.values.append(value)
    producers.append(nil)
    readers.append(0)
    users.append([])
    types.append(type)
    known.append(value.constant)
    return graph.values.count - 1
  }

  mutating func remove(_ node: Int) {
    isRemoved[node] = true
    for case let value? in graph.nodes[node].inputs { readers[value] -= 1 }
    for case let value? in graph.nodes[node].outputs where producers[value] == node { producers[value] = nil }
  }

  /// Takes out all nodes of which nothing is read.
  mutating func removeUnread() {
    for node in nodes().reversed()
    where graph.nodes[node].outputs.allSatisfy({ $0.map { readers[$0] == 0 } ?? true }) {
      remove(node)
    }
  }

  /// Puts another operator in a node's place, which is computed where that one was.
  mutating func replace(
    _ node: Int, _ operation: any Operator, inputs: [Graph.ValueID?], output: Graph.ValueID
  ) {
    let name = graph.nodes[node].name
    remove(node)
    isRemoved[node] = false
    graph.nodes[node] = Graph.Node(name: name, operation: operation, inputs: inputs, outputs: [output])
    connect(node)
  }

  /// Puts several nodes in the place of one, the last of which computes what that one did.
  mutating func replace(_ node: Int, with nodes: [Graph.Node]) {
    guard let last = nodes.last, case let output?? = last.outputs.first else { return }
    for other in nodes.dropLast() { insert(other, before: node) }
    replace(node, last.operation, inputs: last.inputs, output: output)
  }

  /// Puts an operator in the place of the pieces that it was written in.
  mutating func replace(
    _ pieces: Set<Int>, _ operation: any Operator, inputs: [Graph.ValueID?], output: Graph.ValueID
  ) {
    guard let node = producers[output] else { return }
    for piece in pieces where piece != node { remove(piece) }
    replace(node, operation, inputs: inputs, output: output)
  }

  private mutating func insert(_ node: Graph.Node, before place: Int) {
    let index = graph.nodes.count
    graph.nodes.append(node)
    isRemoved.append(false)
    previous.append(previous[place])
    next.append(place)
    if let before = previous[place] { next[before] = index } else { first = index }
    previous[place] = index
    connect(index)
  }

  private mutating func connect(_ node: Int) {
    for case let value? in graph.nodes[node].outputs { producers[value] = node }
    for case let value? in graph.nodes[node].inputs {
      readers[value] += 1
      users[value].append(node)
    }
  }

  /// Makes all that reads a value read another one.
  ///
  /// - Returns: false for an output of the graph whose other value is an input or a constant: nothing would
  ///   be left to compute it.
  mutating func redirect(_ value: Graph.ValueID, to other: Graph.ValueID) -> Bool {
    if graph.outputs.contains(value), producers[other] == nil { return false }
    guard value != other else { return true }
    for node in users[value] where !isRemoved[node] {
      for (place, input) in graph.nodes[node].inputs.enumerated() where input == value {
        graph.nodes[node].inputs[place] = other
      }
    }
    for (place, output) in graph.outputs.enumerated() where output == value { graph.outputs[place] = other }
    users[other] += users[value]
    users[value] = []
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
