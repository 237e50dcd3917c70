extension Graph {
  /// The same without the nodes that read constants alone: what they compute is a constant too.
  ///
  /// A node whose result would take more memory than `maximumBytes` with those before it is left as it is.
  ///
  /// - Parameter isKept: whether a node of these constants is left as it is, too.
  /// - Throws: `GraphError` that names the node whose inputs do not fit.
  func folded(
    maximumBytes: Int = 1 << 30, keeping isKept: (Node, [Tensor?]) -> Bool = { _, _ in false }
  ) throws(GraphError) -> Graph {
    var graph = self
    graph.nodes = []
    var bytes = 0
    for node in nodes {
      let inputs = node.inputs.map { $0.flatMap { graph.values[$0].constant } }
      guard zip(node.inputs, inputs).allSatisfy({ $0 == nil || $1 != nil }), !isKept(node, inputs) else {
        graph.nodes.append(node)
        continue
      }
      do {
        let types = try node.operation.outputTypes(
          inputs.map { $0.map { KnownTensor(type: $0.type, value: $0.view) } })
        let size = types.reduce(0) { $0 + $1.byteCount }
        guard size <= maximumBytes - bytes else {
          graph.nodes.append(node)
          continue
        }
        bytes += size
        let outputs = types.map { Tensor($0) }
        try node.operation.compute(inputs.map { $0?.view }, outputs.map(\.mutableView))
        for (value, output) in zip(node.outputs, outputs) {
          if let value { graph.values[value].constant = output }
        }
      } catch { throw GraphError("\(node.name) (\(node.operation.name)): \(error.description)") }
    }
    return graph
  }
}
