/// Takes out what changes nothing, as types for any batch tell, and makes one Reshape of several, to a shape
/// that is constant but for its rows: what computes shapes while a graph runs is read no longer.
///
/// - Throws: `GraphError` for shapes that are too large.
func simplifyShapes(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() {
    guard let output = editor.onlyOutput(of: node) else { continue }
    if let place = editor.unchangedInput(node), let input = editor.graph.nodes[node].inputs[place] {
      if !editor.isOutput(output), editor.redirect(output, to: input) { editor.remove(node) }
    } else if editor.graph.nodes[node].operation is Reshaping {
      try editor.joinReshapes(node, output)
    } else {
      try editor.fixExpansion(node, output)
    }
  }
  editor.removeUnread()
}

extension GraphEditor {
  /// The place of the input that a node gives on as it is; nil: it does something.
  fileprivate func unchangedInput(_ node: Int) -> Int? {
    let types = types(of: node)
    guard let output = types.outputs.first else { return nil }
    let isSame = types.inputs.first == output
    switch graph.nodes[node].operation {
    case is Reshaping, is Casting: return isSame ? 0 : nil
    case is Concatenation: return isSame && types.inputs.count == 1 ? 0 : nil
    case let rearrangement as Rearrangement:
      guard isSame else { return nil }
      guard case .transpose(let order) = rearrangement.form else { return 0 }
      // Dimensions of size 1 may go anywhere.
      let axes = (order ?? output.shape.indices.reversed()).filter { output.shape[$0] != Extent(1) }
      return axes == axes.sorted() ? 0 : nil
    case let slicing as Slicing:
      guard isSame, let stretches = slicing.stretches(types) else { return nil }
      return stretches.allSatisfy { $0.step > 0 } ? 0 : nil
    case let extreme as Variadic: return unchangedInput(extreme, types)
    default: return nil
    }
  }

  /// The other input of a maximum with -∞ or of a minimum with +∞.
  private func unchangedInput(_ extreme: Variadic, _ types: KernelTypes) -> Int? {
    if types.inputs.count == 1 { return 0 }
    guard types.inputs.count == 2, extreme.function == .max || extreme.function == .min else { return nil }
    let neutral: Float = extreme.function == .max ? -.infinity : .infinity
    return [(0, 1), (1, 0)].first { place, other in
      guard let type = types.inputs[other], type.count == Extent(1), let number = types.floats(other) else {
        return false
      }
      return types.inputs[place] == types.outputs[0] && number[0] == neutral
    }?.0
  }

  /// Makes a Reshape read what the first of those before it does.
  fileprivate mutating func joinReshapes(_ node: Int, _ output: Graph.ValueID) throws(GraphError) {
    guard var source = graph.nodes[node].inputs[0], let type = type(of: output),
      !type.shape.contains(where: { $0.count == 0 })
    else { return }
    let input = source
    while let reshape = producer(of: source, Reshaping.self), let next = graph.nodes[reshape.node].inputs[0] {
      source = next
    }
    let isFixed = graph.nodes[node].inputs.dropFirst().allSatisfy {
      $0.map { graph.values[$0].constant != nil } ?? true
    }
    guard source != input || !isFixed else { return }
    if self.type(of: source) == type, !isOutput(output), redirect(output, to: source) {
      remove(node)
    } else {
      replace(node, try reshape(source, to: output, named: graph.nodes[node].name))
    }
  }

  /// A node that gives a value the shape of another one.
  mutating func reshape(
    _ source: Graph.ValueID, to output: Graph.ValueID, named name: String
  ) throws(GraphError) -> Graph.Node {
    let shape = (type(of: output)?.shape ?? []).map { $0.isPerRow ? -1 : Int64($0.count) }
    let constant = add(try Tensor(shape, [shape.count]), named: "shape")
    return Graph.Node(
      name: name, operation: Reshaping(form: .reshape(allowsZero: false), name: "Reshape"),
      inputs: [source, constant], outputs: [output])
  }

  private mutating func replace(_ node: Int, _ other: Graph.Node) {
    guard case let output?? = other.outputs.first else { return }
    replace(node, other.operation, inputs: other.inputs, output: output)
  }

  /// Gives an Expand whose shape is computed one that is constant, as rows that are there need not be named.
  fileprivate mutating func fixExpansion(_ node: Int, _ output: Graph.ValueID) throws(GraphError) {
    guard let expansion = graph.nodes[node].operation as? Rearrangement, case .expand = expansion.form,
      let input = graph.nodes[node].inputs[0], let from = type(of: input), let to = type(of: output),
      let shape = graph.nodes[node].inputs[1], graph.values[shape].constant == nil
    else { return }
    var wanted: [Int64] = []
    for (axis, size) in to.shape.enumerated() {
      let place = axis - (to.shape.count - from.shape.count)
      guard !size.isPerRow || place >= 0 && from.shape[place] == size else { return }
      wanted.append(size.isPerRow ? 1 : Int64(size.count))
    }
    let constant = add(try Tensor(wanted, [wanted.count]), named: "shape")
    replace(node, expansion, inputs: [input, constant], output: output)
  }

  /// What a value is a Reshape of, by way of values that nobody else reads; the value itself where it is
  /// none.
  func sourceOfReshapes(_ value: Graph.ValueID) -> Graph.ValueID? {
    var value = value
    while let reshape = producer(of: value, Reshaping.self), let source = graph.nodes[reshape.node].inputs[0]
    {
      guard hasOneReader(source) else { return nil }
      value = source
    }
    return value
  }
}
