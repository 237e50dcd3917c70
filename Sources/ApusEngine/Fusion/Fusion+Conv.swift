/// Lets convolutions take in what is added to all of their outputs, as residual networks do (He et al.,
/// arXiv:1512.03385).
func joinAddends(_ editor: inout GraphEditor) {
  for node in editor.nodes() {
    guard let (place, conv) = editor.conv(inSum: node), let output = editor.onlyOutput(of: node) else {
      continue
    }
    let addends = editor.graph.nodes[node].inputs
    guard let sum = addends[place], let addend = addends[1 - place], let type = editor.type(of: sum),
      type.element == .float32, editor.type(of: addend) == type
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
}
