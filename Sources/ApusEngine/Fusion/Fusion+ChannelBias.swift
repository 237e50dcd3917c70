/// Takes a number for each channel that is added to a convolution into its bias, also where a Reshape that
/// leaves the channels alone lies between.
///
/// - Throws: `GraphError` for constants that are too large.
func joinChannelBiases(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() {
    guard (editor.graph.nodes[node].operation as? Arithmetic)?.function == .add,
      let output = editor.onlyOutput(of: node)
    else { continue }
    let operands = editor.graph.nodes[node].inputs
    for (place, other) in [(0, 1), (1, 0)] {
      guard let input = operands[place], let addend = operands[other], editor.hasOneReader(input),
        editor.type(of: input) == editor.type(of: output), let source = editor.sourceOfReshapes(input),
        let conv = editor.producer(of: source, Conv.self),
        let inputs = try editor.inputs(of: conv.node, giving: source, adding: addend, to: input)
      else { continue }
      if source == input {
        editor.remove(conv.node)
        editor.replace(node, conv.operation, inputs: inputs, output: output)
      } else if !editor.isOutput(output), editor.redirect(output, to: input) {
        editor.remove(node)
        editor.replace(conv.node, conv.operation, inputs: inputs, output: source)
      }
      break
    }
  }
}

extension GraphEditor {
  /// A convolution's inputs with another bias; nil where what is added is none.
  ///
  /// - Parameters:
  ///   - source: what the convolution computes.
  ///   - value: where something is added to it, perhaps in another shape.
  fileprivate mutating func inputs(
    of conv: Int, giving source: Graph.ValueID, adding addend: Graph.ValueID, to value: Graph.ValueID
  ) throws(GraphError) -> [Graph.ValueID?]? {
    let inputs = graph.nodes[conv].inputs
    guard let shape = type(of: value)?.shape, let plain = type(of: source)?.shape, shape.count >= 2,
      shape.prefix(2) == plain.prefix(2), let tensor = constant(addend), tensor.type.element == .float32,
      tensor.type.rank <= shape.count
    else { return nil }
    let channels = shape[1].count
    let sizes = [Int](repeating: 1, count: shape.count - tensor.type.rank) + tensor.type.shape
    let isOnePerChannel = sizes.indices.allSatisfy { sizes[$0] == 1 || $0 == 1 && sizes[$0] == channels }
    guard isOnePerChannel, !shape[1].isPerRow else { return nil }
    let added = tensor.view.elements(Float.self)
    var bias = (0..<channels).map { added[added.count == 1 ? 0 : $0] }
    if inputs.count > 2, let old = inputs[2] {
      guard let numbers = constant(old)?.view.elements(Float.self), numbers.count == channels else {
        return nil
      }
      for channel in 0..<channels { bias[channel] += numbers[channel] }
    }
    return [inputs[0], inputs[1], add(try Tensor(bias, [channels]), named: graph.values[addend].name)]
  }
}
