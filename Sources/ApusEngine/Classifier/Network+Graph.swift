extension Network {
  /// The layers as a graph, whose nodes are called as the layers.
  ///
  /// - Throws: `GraphError` for a layer that is too large to compute with.
  func graph() throws(GraphError) -> Graph {
    var values = [Graph.Value(name: "input")]
    var nodes: [Graph.Node] = []
    for layer in layers {
      let input = nodes.isEmpty ? 0 : values.count - 1
      let weights = try layer.weights.reshaped([layer.outputs, layer.inputs])
      values.append(Graph.Value(name: "\(layer.name).weight", constant: weights))
      var inputs: [Graph.ValueID?] = [input, values.count - 1]
      if let bias = layer.bias {
        inputs.append(values.count)
        values.append(Graph.Value(name: "\(layer.name).bias", constant: bias))
      }
      values.append(Graph.Value(name: layer.name))
      nodes.append(
        Graph.Node(
          name: layer.name, operation: Linear(isTransposed: false, activation: layer.activation.fused),
          inputs: inputs, outputs: [values.count - 1]))
    }
    return try Graph(
      values: values, inputs: [Graph.Input(value: 0, element: .float32, shape: [nil, self.inputs])],
      outputs: [values.count - 1], nodes: nodes)
  }
}

extension Activation {
  fileprivate var fused: FusedActivation {
    switch self {
    case .none: .none
    case .relu: .relu
    case .tanh: .tanh
    case .sigmoid: .sigmoid
    case .gelu: .gelu
    }
  }
}
