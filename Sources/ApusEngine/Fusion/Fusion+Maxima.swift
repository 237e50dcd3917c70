/// Takes maxima before activations, of which there are fewer then: a function that falls to one point and
/// rises from there, as all activations that are computed with products do, is greatest at the least or at
/// the greatest number. A pool of all of a channel first becomes a maximum along an axis of what was
/// transposed for it.
///
/// - Throws: `GraphError` for constants that are too large.
func joinMaxima(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() {
    if let nodes = try editor.poolOfTransposed(node) { editor.replace(node, with: nodes) }
  }
  editor.removeUnread()
  for node in editor.nodes() {
    if let nodes = try editor.activatedMaximum(node) { editor.replace(node, with: nodes) }
  }
}

extension GraphEditor {
  /// A global pool of [N, C, L] that was [N, L, C], as a reduction along the steps.
  fileprivate mutating func poolOfTransposed(_ node: Int) throws(GraphError) -> [Graph.Node]? {
    guard let pool = graph.nodes[node].operation as? GlobalPool, let output = onlyOutput(of: node),
      let input = graph.nodes[node].inputs[0], hasOneReader(input), let shape = type(of: input)?.shape,
      let turned = sourceOfReshapes(input), hasOneReader(turned),
      let transpose = producer(of: turned, Rearrangement.self),
      case .transpose([0, 2, 1]?) = transpose.operation.form,
      let source = graph.nodes[transpose.node].inputs[0], let type = type(of: source),
      type.element == .float32,
      let turnedShape = self.type(of: turned)?.shape, shape.count >= 3,
      Array(shape.prefix(3)) == turnedShape, shape.dropFirst(3).allSatisfy({ $0 == Extent(1) })
    else { return nil }
    let reduction = Reduction(
      function: pool.kind == .maximum ? .max : .mean, axes: .fixed([1]), keepsDimensions: true,
      isIdentityWithoutAxes: false)
    let reduced = add(
      BatchType(element: .float32, shape: [type.shape[0], Extent(1), type.shape[2]]), named: "reduced")
    return [
      Graph.Node(name: graph.nodes[node].name, operation: reduction, inputs: [source], outputs: [reduced]),
      try reshape(reduced, to: output, named: graph.nodes[node].name),
    ]
  }

  /// The maximum of an activation that is computed with a product, which then computes none.
  fileprivate mutating func activatedMaximum(_ node: Int) throws(GraphError) -> [Graph.Node]? {
    guard let output = onlyOutput(of: node), let input = graph.nodes[node].inputs.first ?? nil,
      hasOneReader(input),
      let axes = maximumAxes(node), let type = type(of: input), type.element == .float32,
      let source = sourceOfReshapes(input), hasOneReader(source), let activation = takeActivation(source)
    else { return nil }
    let shape = type.shape.indices.map { axes.contains($0) ? Extent(1) : type.shape[$0] }
    let reduced = add(BatchType(element: .float32, shape: shape), named: "reduced")
    let name = graph.nodes[node].name
    return [
      Graph.Node(
        name: name, operation: ActivatedMaximum(activation: activation, axes: axes), inputs: [input],
        outputs: [reduced]),
      try reshape(reduced, to: output, named: name),
    ]
  }

  /// The axes along which a node takes maxima.
  private func maximumAxes(_ node: Int) -> ClosedRange<Int>? {
    let types = types(of: node)
    switch graph.nodes[node].operation {
    case let reduction as Reduction where reduction.function == .max: return reduction.neighbouringAxes(types)
    case let pool as GlobalPool where pool.kind == .maximum:
      guard let rank = types.inputs[0]?.shape.count, rank > 2 else { return nil }
      return 2...rank - 1
    default: return nil
    }
  }

  /// Takes the activation off the product that computes a value.
  private mutating func takeActivation(_ value: Graph.ValueID) -> FusedActivation? {
    if let conv = producer(of: value, SequenceConv.self), conv.operation.activation != .none {
      let old = conv.operation
      let operation = SequenceConv(
        kernel: old.kernel, stride: old.stride, before: old.before, after: old.after, activation: .none)
      replace(conv.node, operation, inputs: graph.nodes[conv.node].inputs, output: value)
      return old.activation
    }
    if let conv = producer(of: value, ActivatedConv.self), conv.operation.activation != .none {
      let old = conv.operation
      let operation = ActivatedConv(conv: old.conv, hasAddend: old.hasAddend, activation: .none)
      replace(conv.node, operation, inputs: graph.nodes[conv.node].inputs, output: value)
      return old.activation
    }
    if let linear = producer(of: value, Linear.self), linear.operation.activation != .none {
      let operation = Linear(isTransposed: linear.operation.isTransposed, activation: .none)
      replace(linear.node, operation, inputs: graph.nodes[linear.node].inputs, output: value)
      return linear.operation.activation
    }
    return nil
  }
}
