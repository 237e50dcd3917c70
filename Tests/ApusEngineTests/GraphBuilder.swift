import ApusEngine

/// Makes graphs by hand: values by name, nodes as a file would describe them.
struct GraphBuilder {
  private var values: [Graph.Value] = []
  private var ids: [String: Int] = [:]
  private var inputs: [Graph.Input] = []
  private var nodes: [Graph.Node] = []
  var opset = 17

  private mutating func id(_ name: String) -> Int {
    if let id = ids[name] { return id }
    values.append(Graph.Value(name: name))
    ids[name] = values.count - 1
    return values.count - 1
  }

  mutating func input(_ name: String, _ shape: [Int?], _ element: ElementType = .float32) {
    inputs.append(Graph.Input(value: id(name), element: element, shape: shape))
  }

  mutating func constant<Element: TensorElement>(_ name: String, _ numbers: [Element], _ shape: [Int]) throws
  {
    values[id(name)].constant = try Tensor(numbers, shape)
  }

  /// - Parameter inputs: an empty name is one that is left out.
  mutating func node(
    _ operation: String, _ inputs: [String], _ outputs: [String],
    _ attributes: [String: Attributes.Attribute] = [:], domain: String = ""
  ) throws {
    let description = NodeDescription(
      opset: opset, attributes: Attributes(attributes), inputs: inputs.count, outputs: outputs.count)
    nodes.append(
      Graph.Node(
        name: "n\(nodes.count)",
        operation: try OperatorTable.standard.make(operation, domain: domain, description),
        inputs: inputs.map { $0.isEmpty ? nil : id($0) }, outputs: outputs.map { id($0) }))
  }

  func graph(_ outputs: String...) throws -> Graph {
    try Graph(values: values, inputs: inputs, outputs: outputs.compactMap { ids[$0] }, nodes: nodes)
  }
}

/// Numbers that are not all alike, the same in each run.
func numbers(_ count: Int, _ seed: Int = 1) -> [Float] {
  (0..<count).map { Float((($0 + seed) * 7919 + seed * 104_729) % 2003) / 1001.5 - 1 }
}
