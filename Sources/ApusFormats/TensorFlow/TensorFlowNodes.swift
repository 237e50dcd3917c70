import CTensorFlowProto

/// The nodes of a graph, who reads whom, and the order in which they can run: a file has them in any.
struct TensorFlowNodes {
  /// One output of a node.
  struct Reference: Hashable {
    let node: Int
    let output: Int
  }

  struct Node {
    let name: String
    let operatorName: String
    /// Without those that only must run before.
    fileprivate(set) var inputs: [Reference] = []

    init(name: String, operatorName: String) {
      self.name = name
      self.operatorName = operatorName
    }

    /// One that gives a value on under another name.
    init(name: String, reading input: Reference) {
      self.init(name: name, operatorName: "Identity")
      inputs = [input]
    }
  }

  private(set) var nodes: [Node] = []

  /// Nodes that give nothing on, and what only they need is not computed: checks of what should hold.
  private static let without = ["NoOp", "Assert"]
  /// What a graph is given, and no result where nobody reads it.
  private static let sources = ["Const", "Placeholder", "PlaceholderWithDefault"]

  /// - Throws: `FormatError` for names that are missing, there twice, or of nodes that are not there.
  init(_ messages: [NodeDef]) throws(FormatError) {
    guard messages.count <= TensorFlowLimits.nodes else {
      throw .unsupported("the graph has \(messages.count) nodes; at most \(TensorFlowLimits.nodes) are read")
    }
    var places: [String: Int] = [:]
    for (place, message) in messages.enumerated() {
      let name = text(message.name)
      guard !name.isEmpty else { throw .malformed("node \(place) of the graph has no name") }
      guard !message.operatorName.isEmpty else {
        throw .node(name: printable(name), problem: "it has no operator")
      }
      guard places.updateValue(place, forKey: name) == nil else {
        throw .node(name: printable(name), problem: "the graph has two of this name")
      }
      nodes.append(Node(name: name, operatorName: message.operatorName))
    }
    for (place, message) in messages.enumerated() {
      guard message.n_input <= TensorFlowLimits.inputsPerNode else {
        throw failure(place, "it has \(message.n_input) inputs; too many")
      }
      for input in message.inputs {
        guard let source = Source(input), let node = places[source.node] else {
          throw failure(place, "it reads '\(printable(input))', which no node computes")
        }
        if let output = source.output { nodes[place].inputs.append(Reference(node: node, output: output)) }
      }
    }
  }

  func failure(_ node: Int, _ problem: String) -> FormatError {
    .node(name: "\(printable(nodes[node].name)) (\(printable(nodes[node].operatorName)))", problem: problem)
  }

  /// The nodes whose outputs nobody reads, which are the graph's, in the file's order.
  var results: [Int] {
    var isRead = [Bool](repeating: false, count: nodes.count)
    for input in nodes.lazy.flatMap(\.inputs) { isRead[input.node] = true }
    return nodes.indices.filter { node in
      !isRead[node] && !(Self.without + Self.sources).contains(nodes[node].operatorName)
    }
  }

  /// What nodes need, each behind all that it reads.
  ///
  /// - Throws: `FormatError.node` for one of a cycle.
  func order(for results: [Int]) throws(FormatError) -> [Int] {
    var order: [Int] = []
    var isBegun = [Bool](repeating: false, count: nodes.count)
    var isDone = isBegun
    var path: [(node: Int, next: Int)] = []
    for result in results {
      path.append((result, 0))
      isBegun[result] = true
      while let (node, next) = path.last {
        guard next < nodes[node].inputs.count else {
          isDone[node] = true
          order.append(node)
          path.removeLast()
          continue
        }
        path[path.count - 1].next += 1
        let input = nodes[node].inputs[next].node
        if !isBegun[input] {
          isBegun[input] = true
          path.append((input, 0))
        } else if !isDone[input] {
          throw failure(
            input, "what it computes is read by what it reads: a cycle, which is not computed here")
        }
      }
    }
    return order
  }
}

/// What an input says: `NODE`, which is its first output, `NODE:PLACE`, or `^NODE`, which only must run
/// before.
private struct Source {
  let node: String
  /// nil: nothing of it is read.
  let output: Int?

  init?(_ text: String) {
    if text.hasPrefix("^") {
      node = String(text.dropFirst())
      output = nil
      return
    }
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
      node = text
      output = 0
      return
    }
    let digits = text[text.utf8.index(after: colon)...]
    guard let place = Int(digits), place >= 0, place < TensorFlowLimits.inputsPerNode else { return nil }
    node = String(text[..<colon])
    output = place
  }
}
