/// Why layers do not make a network.
package enum NetworkError: Error, Equatable, Sendable, CustomStringConvertible {
  case empty
  case weightCount(layer: String, expected: Int, found: Int)
  case biasCount(layer: String, expected: Int, found: Int)
  case mismatch(layer: String, outputs: Int, next: String, inputs: Int)

  package var description: String {
    switch self {
    case .empty:
      "the network has no layers"
    case .weightCount(let layer, let expected, let found):
      "layer \(layer) needs \(expected) weights and has \(found)"
    case .biasCount(let layer, let expected, let found):
      "layer \(layer) needs \(expected) biases and has \(found)"
    case .mismatch(let layer, let outputs, let next, let inputs):
      "layer \(layer) gives \(outputs) numbers but layer \(next) takes \(inputs)"
    }
  }
}

/// Linear layers one after another, as they were trained: y = activation(W x + b).
package struct Network: Sendable {
  package struct Layer: Sendable {
    /// The name in the weight file, for messages.
    package let name: String
    package let inputs: Int
    package let outputs: Int
    /// Row-major [outputs, inputs], as PyTorch stores them, of float32, float16 or bfloat16.
    package let weights: Tensor
    /// [outputs], of float32; nil for a layer without bias.
    package let bias: Tensor?
    package let activation: Activation

    package init(
      name: String, inputs: Int, outputs: Int, weights: Tensor, bias: Tensor?, activation: Activation
    ) {
      self.name = name
      self.inputs = inputs
      self.outputs = outputs
      self.weights = weights
      self.bias = bias
      self.activation = activation
    }

    /// A layer of numbers in memory; an empty bias is none.
    ///
    /// - Throws: `GraphError` for more numbers than a tensor may have.
    package init(
      name: String, inputs: Int, outputs: Int, weights: [Float], bias: [Float], activation: Activation
    ) throws(GraphError) {
      self.init(
        name: name, inputs: inputs, outputs: outputs, weights: try Tensor(weights, [weights.count]),
        bias: bias.isEmpty ? nil : try Tensor(bias, [bias.count]), activation: activation)
    }
  }

  package let layers: [Layer]
  package let output: OutputActivation

  package init(layers: [Layer], output: OutputActivation) throws(NetworkError) {
    guard !layers.isEmpty else { throw .empty }
    for layer in layers {
      guard layer.weights.type.count == layer.inputs * layer.outputs else {
        throw .weightCount(
          layer: layer.name, expected: layer.inputs * layer.outputs, found: layer.weights.type.count)
      }
      if let bias = layer.bias, bias.type.count != layer.outputs {
        throw .biasCount(layer: layer.name, expected: layer.outputs, found: bias.type.count)
      }
    }
    for (layer, next) in zip(layers, layers.dropFirst()) where layer.outputs != next.inputs {
      throw .mismatch(layer: layer.name, outputs: layer.outputs, next: next.name, inputs: next.inputs)
    }
    self.layers = layers
    self.output = output
  }

  /// Numbers in one input row.
  package var inputs: Int { layers[0].inputs }
  /// Classes.
  package var outputs: Int { layers[layers.count - 1].outputs }
  /// Numbers that training set.
  package var parameters: Int {
    layers.reduce(0) { $0 + $1.weights.type.count + ($1.bias?.type.count ?? 0) }
  }

  /// For a person, for example `64 -> 128 relu -> 10 softmax`.
  package var summary: String {
    var text = "\(inputs)"
    for layer in layers {
      text += " -> \(layer.outputs)"
      if layer.activation != .none { text += " \(layer.activation.rawValue)" }
    }
    return output == .none ? text : text + " \(output.rawValue)"
  }
}
