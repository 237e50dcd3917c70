/// Lets convolutions take in what is added to all of their outputs, as residual networks do (He et al.,
/// arXiv:1512.03385).
func joinAddends(_ editor: inout GraphEditor) {
  let nodes = editor.nodes().filter { editor.conv(inSum: $0) != nil }
  guard !nodes.isEmpty, let types = editor.types() else { return }
  for node in nodes {
    guard let (place, conv) = editor.conv(inSum: node), let output = editor.onlyOutput(of: node) else {
      continue
    }
    let addends = editor.graph.nodes[node].inputs
    guard let sum = addends[place], let addend = addends[1 - place], let type = types[sum],
      type.element == .float32, types[addend] == type
    else { continue }
    var inputs = editor.graph.nodes[conv.node].inputs
    if inputs.count < 3 { inputs.append(nil) }
    editor.remove(conv.node)
    editor.replace(
      node, ActivatedConv(conv: conv.operation, hasAddend: true, activation: .none),
      inputs: inputs + [addend],
      output: output)
  }
}

extension GraphEditor {
  /// The convolution whose outputs nobody reads but a node that adds something to them, and its place there.
  fileprivate func conv(inSum node: Int) -> (place: Int, conv: (node: Int, operation: Conv))? {
    guard let sum = graph.nodes[node].operation as? Arithmetic, sum.function == .add else { return nil }
    for (place, input) in graph.nodes[node].inputs.enumerated() where hasOneReader(input) {
      if let conv = producer(of: input, Conv.self) { return (place, conv) }
    }
    return nil
  }

  /// The types of values for a batch whose number of rows is a prime that no layer has as a width, so that
  /// two which are equal are so for every batch; nil where something does not fit, which is said later.
  fileprivate func types() -> [TensorType?]? {
    let graph = finished()
    return try? Typing(graph, shapes: graph.inputs.map { $0.shape.map { $0 ?? 7919 } }).types
  }
}
