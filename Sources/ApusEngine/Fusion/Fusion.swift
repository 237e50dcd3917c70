extension Graph {
  /// The same with fewer and larger operators: what exporters write in pieces becomes one node again, and
  /// what follows a product is computed with it. Answers differ by rounding alone.
  ///
  /// - Throws: `GraphError` for constants that do not fit each other, and for a graph that has no types for
  ///   batches of any size.
  func fused() throws(GraphError) -> Graph {
    var editor = GraphEditor(self, try BatchTyping(self))
    dropIdentities(&editor)
    try simplifyShapes(&editor)
    joinGelu(&editor)
    try joinAxisNormalization(&editor)
    joinSoftmax(&editor)
    try joinLinear(&editor)
    try joinChannelArithmetic(&editor)
    try joinChannelBiases(&editor)
    try joinBatchNormalization(&editor)
    joinAddends(&editor)
    joinActivations(&editor)
    try joinLookups(&editor)
    try joinSequences(&editor)
    try joinMaxima(&editor)
    try simplifyShapes(&editor)
    return editor.finished()
  }
}

/// Takes out what gives its input on.
private func dropIdentities(_ editor: inout GraphEditor) {
  for node in editor.nodes() where editor.graph.nodes[node].operation.givesInputOn {
    guard let output = editor.onlyOutput(of: node), let input = editor.graph.nodes[node].inputs[0] else {
      continue
    }
    // What an output of the graph is called stays.
    guard !editor.graph.outputs.contains(output), editor.redirect(output, to: input) else { continue }
    editor.remove(node)
  }
}

extension Operator {
  /// Whether the first output is the first input.
  fileprivate var givesInputOn: Bool { self is Identity || self is Dropout }
}

/// Lets products and convolutions compute the function that follows them.
private func joinActivations(_ editor: inout GraphEditor) {
  for node in editor.nodes() {
    guard let activation = editor.activation(node), let output = editor.onlyOutput(of: node),
      let input = editor.graph.nodes[node].inputs[0], editor.hasOneReader(input)
    else { continue }
    if editor.moveBeforeReshapes(activation, node, input, output) { continue }
    if let linear = editor.producer(of: input, Linear.self), linear.operation.activation == .none {
      let inputs = editor.graph.nodes[linear.node].inputs
      editor.remove(linear.node)
      editor.replace(
        node, Linear(isTransposed: linear.operation.isTransposed, activation: activation), inputs: inputs,
        output: output)
    } else if let conv = editor.producer(of: input, ActivatedConv.self), conv.operation.activation == .none {
      let inputs = editor.graph.nodes[conv.node].inputs
      editor.remove(conv.node)
      editor.replace(
        node,
        ActivatedConv(
          conv: conv.operation.conv, hasAddend: conv.operation.hasAddend, activation: activation),
        inputs: inputs, output: output)
    } else if let conv = editor.producer(of: input, Conv.self) {
      let inputs = editor.graph.nodes[conv.node].inputs
      editor.remove(conv.node)
      editor.replace(
        node, ActivatedConv(conv: conv.operation, hasAddend: false, activation: activation), inputs: inputs,
        output: output)
    }
  }
}

extension GraphEditor {
  /// Lets a product or convolution compute a function that follows a Reshape of it, which changes no number.
  fileprivate mutating func moveBeforeReshapes(
    _ activation: FusedActivation, _ node: Int, _ input: Graph.ValueID, _ output: Graph.ValueID
  ) -> Bool {
    guard !isOutput(output), let source = sourceOfReshapes(input), source != input else { return false }
    if let linear = producer(of: source, Linear.self), linear.operation.activation == .none {
      let operation = Linear(isTransposed: linear.operation.isTransposed, activation: activation)
      replace(linear.node, operation, inputs: graph.nodes[linear.node].inputs, output: source)
    } else if let conv = producer(of: source, Conv.self) {
      let operation = ActivatedConv(conv: conv.operation, hasAddend: false, activation: activation)
      replace(conv.node, operation, inputs: graph.nodes[conv.node].inputs, output: source)
    } else {
      return false
    }
    guard redirect(output, to: input) else { return false }
    remove(node)
    return true
  }

  /// What a node does to each number, if that can be computed with a product.
  func activation(_ node: Int) -> FusedActivation? {
    switch graph.nodes[node].operation {
    case let operation as Elementwise:
      switch operation.function {
      case .relu: return .relu
      case .sigmoid: return .sigmoid
      case .tanh: return .tanh
      default: return nil
      }
    case let operation as ParametricActivation:
      return operation.function == .leakyRelu ? .leaky(operation.alpha) : nil
    case let operation as Gelu: return operation.isApproximate ? .geluTanh : .gelu
    case let operation as Clip: return clip(operation, graph.nodes[node])
    default: return nil
    }
  }

  private func clip(_ clip: Clip, _ node: Graph.Node) -> FusedActivation? {
    if let fixed = clip.fixed { return fixed.low <= fixed.high ? .clip(fixed.low, fixed.high) : nil }
    func bound(_ place: Int, _ missing: Float) -> Float? {
      guard place < node.inputs.count, node.inputs[place] != nil else { return missing }
      guard let tensor = constant(node.inputs[place]), tensor.type.element == .float32, tensor.type.count == 1
      else { return nil }
      return tensor.view.elements(Float.self)[0]
    }
    guard let low = bound(1, -.infinity), let high = bound(2, .infinity), low <= high else { return nil }
    return .clip(low, high)
  }
}
