/// Decision trees as a flat table that is checked when it is made: each branch leads to nodes of its own
/// tree, no node has two parents, so that no path has a cycle, and each leaf has weights.
struct TreeEnsemble: Sendable {
  enum Mode: UInt8 {
    case lessOrEqual, less, greaterOrEqual, greater, equal, notEqual, leaf

    /// - Throws: `GraphError` for a name that is not known.
    init(_ name: String) throws(GraphError) {
      switch name {
      case "BRANCH_LEQ": self = .lessOrEqual
      case "BRANCH_LT": self = .less
      case "BRANCH_GTE": self = .greaterOrEqual
      case "BRANCH_GT": self = .greater
      case "BRANCH_EQ": self = .equal
      case "BRANCH_NEQ": self = .notEqual
      case "LEAF": self = .leaf
      default: throw GraphError("the mode '\(name)' of a tree's node is not known")
      }
    }
  }

  struct Node {
    let mode: Mode
    /// Whether what is not a number takes the true branch.
    let missingIsTrue: Bool
    let feature: Int32
    let value: Double
    /// Of a branch: the node for true; of a leaf: its first weight.
    var first: Int32 = 0
    /// Of a branch: the node for false; of a leaf: how many weights it has.
    var second: Int32 = 0
  }

  /// What a leaf adds to the score of a class or target.
  struct Weight {
    let target: Int
    let value: Double
  }

  /// Longest path from a root to a leaf.
  static let maximumDepth = 10_000

  private(set) var nodes: [Node] = []
  private(set) var roots: [Int32] = []
  private(set) var weights: [Weight] = []
  /// One more than the greatest index of a feature that a node asks for.
  private(set) var features = 0

  var trees: Int { roots.count }
  /// What branches compare with, and what leaves add.
  var parameterCount: Int { nodes.count { $0.mode != .leaf } + weights.count }

  /// - Parameters:
  ///   - kind: `class` or `target`, how the names of the leaves' attributes begin.
  ///   - targets: how many classes or targets there are.
  /// - Throws: `GraphError` for attributes that are not those of trees.
  init(_ attributes: Attributes, kind: String, targets: Int) throws(GraphError) {
    let trees = try attributes.ints("nodes_treeids") ?? []
    let ids = try attributes.ints("nodes_nodeids") ?? []
    guard !ids.isEmpty, ids.count == trees.count, ids.count < Int(Int32.max) else {
      throw GraphError("nodes_treeids or nodes_nodeids are missing, or one has other numbers than the other")
    }
    try addNodes(attributes, ids.count)
    var places: [NodeName: Int32] = [:]
    places.reserveCapacity(ids.count)
    for index in ids.indices {
      let name = NodeName(tree: trees[index], node: ids[index])
      guard places.updateValue(Int32(index), forKey: name) == nil else {
        throw GraphError("the node \(name.node) of tree \(name.tree) is there twice")
      }
    }
    try findRoots(trees)
    try connect(attributes, trees, places)
    try checkPaths()
    try addWeights(attributes, kind, targets, places)
  }

  private struct NodeName: Hashable {
    let tree: Int
    let node: Int
  }

  private mutating func addNodes(_ attributes: Attributes, _ count: Int) throws(GraphError) {
    let modes = try attributes.strings("nodes_modes") ?? []
    let places = try attributes.ints("nodes_featureids") ?? []
    let values = try Self.numbers("nodes_values", attributes)
    let missing = try attributes.ints("nodes_missing_value_tracks_true") ?? []
    guard modes.count == count, places.count == count, values.count == count,
      missing.isEmpty || missing.count == count
    else {
      throw GraphError("nodes_modes, nodes_featureids or nodes_values are not those of \(count) nodes")
    }
    nodes.reserveCapacity(count)
    for index in 0..<count {
      let mode = try Mode(modes[index])
      guard mode == .leaf || 0..<Int(Int32.max) ~= places[index] else {
        throw GraphError("a node asks for the feature \(places[index])")
      }
      let feature = mode == .leaf ? 0 : places[index]
      if mode != .leaf { features = max(features, feature + 1) }
      nodes.append(
        Node(
          mode: mode, missingIsTrue: !missing.isEmpty && missing[index] == 1, feature: Int32(feature),
          value: values[index]))
    }
  }

  /// Numbers that an attribute of floats holds, or one of the same name that ends in `_as_tensor`.
  static func numbers(_ name: String, _ attributes: Attributes) throws(GraphError) -> [Double] {
    if let floats = try attributes.floats(name), !floats.isEmpty { return floats.map { Double($0) } }
    guard let tensor = try attributes.tensor(name + "_as_tensor") else { return [] }
    switch tensor.type.element {
    case .float32: return tensor.view.elements(Float.self).map { Double($0) }
    case .float64: return tensor.view.elements(Double.self).map { $0 }
    case let other: throw GraphError("\(name)_as_tensor is \(other.rawValue)")
    }
  }

  /// The first node of each tree is its root.
  private mutating func findRoots(_ trees: [Int]) throws(GraphError) {
    var seen: Set<Int> = []
    for (index, tree) in trees.enumerated() where index == 0 || trees[index - 1] != tree {
      guard seen.insert(tree).inserted else { throw GraphError("the nodes of tree \(tree) are not together") }
      roots.append(Int32(index))
    }
  }

  private mutating func connect(
    _ attributes: Attributes, _ trees: [Int], _ places: [NodeName: Int32]
  ) throws(GraphError) {
    let trueNodes = try attributes.ints("nodes_truenodeids") ?? []
    let falseNodes = try attributes.ints("nodes_falsenodeids") ?? []
    guard trueNodes.count == nodes.count, falseNodes.count == nodes.count else {
      throw GraphError("nodes_truenodeids or nodes_falsenodeids are not those of \(nodes.count) nodes")
    }
    var hasParent = [Bool](repeating: false, count: nodes.count)
    for root in roots { hasParent[Int(root)] = true }
    func child(_ node: Int, of index: Int) throws(GraphError) -> Int32 {
      guard let place = places[NodeName(tree: trees[index], node: node)] else {
        throw GraphError("a branch leads to the node \(node) of tree \(trees[index]), which is not there")
      }
      guard !hasParent[Int(place)] else {
        throw GraphError("two branches lead to the node \(node) of tree \(trees[index]), or one to its root")
      }
      hasParent[Int(place)] = true
      return place
    }
    for index in nodes.indices where nodes[index].mode != .leaf {
      nodes[index].first = try child(trueNodes[index], of: index)
      nodes[index].second = try child(falseNodes[index], of: index)
    }
  }

  private func checkPaths() throws(GraphError) {
    var open = roots.map { (node: $0, depth: 1) }
    while let (index, depth) = open.popLast() {
      guard depth <= Self.maximumDepth else {
        throw GraphError("a tree is deeper than \(Self.maximumDepth) nodes")
      }
      let node = nodes[Int(index)]
      guard node.mode != .leaf else { continue }
      open.append((node.first, depth + 1))
      open.append((node.second, depth + 1))
    }
  }

  /// Weights of a branch are left out, as some converters write them.
  private mutating func addWeights(
    _ attributes: Attributes, _ kind: String, _ targets: Int, _ places: [NodeName: Int32]
  ) throws(GraphError) {
    let trees = try attributes.ints("\(kind)_treeids") ?? []
    let ids = try attributes.ints("\(kind)_nodeids") ?? []
    let targetIDs = try attributes.ints("\(kind)_ids") ?? []
    let values = try Self.numbers("\(kind)_weights", attributes)
    guard trees.count == ids.count, targetIDs.count == ids.count, values.count == ids.count,
      ids.count < Int(Int32.max)
    else {
      throw GraphError("\(kind)_treeids, _nodeids, _ids and _weights are not as many")
    }
    var leaves: [(leaf: Int32, weight: Int)] = []
    for index in ids.indices {
      guard let place = places[NodeName(tree: trees[index], node: ids[index])] else {
        throw GraphError("a weight is that of node \(ids[index]) of tree \(trees[index]), which is not there")
      }
      guard 0..<targets ~= targetIDs[index] else {
        throw GraphError("a weight is that of \(kind) \(targetIDs[index]) of \(targets)")
      }
      if nodes[Int(place)].mode == .leaf { leaves.append((place, index)) }
    }
    leaves.sort { ($0.leaf, $0.weight) < ($1.leaf, $1.weight) }
    for (leaf, index) in leaves {
      if nodes[Int(leaf)].second == 0 { nodes[Int(leaf)].first = Int32(weights.count) }
      nodes[Int(leaf)].second += 1
      weights.append(Weight(target: targetIDs[index], value: values[index]))
    }
    for node in nodes where node.mode == .leaf && node.second == 0 {
      throw GraphError("a leaf has no weight")
    }
  }

  /// Calls `body` with the weights of the leaf that a row leads to in each tree, in order.
  ///
  /// - Parameter row: at least `features` numbers.
  @inline(__always)
  func forEachLeaf(_ row: [Double], _ body: (ArraySlice<Weight>) -> Void) {
    for root in roots {
      var node = nodes[Int(root)]
      while node.mode != .leaf {
        node = nodes[Int(Self.isTrue(node, row[Int(node.feature)]) ? node.first : node.second)]
      }
      body(weights[Int(node.first)..<Int(node.first) + Int(node.second)])
    }
  }

  @inline(__always) private static func isTrue(_ node: Node, _ value: Double) -> Bool {
    if node.missingIsTrue, value.isNaN { return true }
    return switch node.mode {
    case .lessOrEqual: value <= node.value
    case .less: value < node.value
    case .greaterOrEqual: value >= node.value
    case .greater: value > node.value
    case .equal: value == node.value
    case .notEqual: value != node.value
    case .leaf: false
    }
  }
}
