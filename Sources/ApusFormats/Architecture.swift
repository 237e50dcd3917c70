package import ApusEngine

/// What a weight file does not say: how its tensors are put together.
package struct Architecture: Sendable, Equatable {
  package enum Kind: String, Sendable, CaseIterable {
    /// Linear layers in the file's order, weight and bias paired by name.
    case mlp
    /// Layers of any kind that the description lists.
    case layers
  }

  package var type: Kind
  /// Of an mlp, between the layers; the last one has none.
  package var activation: Activation
  /// In order; of an mlp none, as the file has them.
  package var layers: [LayerDescription]

  package init(type: Kind, activation: Activation, layers: [LayerDescription] = []) {
    self.type = type
    self.activation = activation
    self.layers = layers
  }
}

/// A network, and what was assumed in making it, a line each for a person.
package struct BuiltNetwork: Sendable {
  package let network: Network
  package let notes: [String]
}

/// Puts the tensors of a weight file together as a network.
///
/// Without an architecture an obvious one is inferred: a weight and a bias for each layer, with sizes that
/// follow each other; between several layers, ReLU. Without an output, softmax; for a single class, sigmoid.
///
/// - Throws: `FormatError.architecture` or `.tensor`, which names the layer and the shapes that do not fit.
package func makeNetwork(
  _ stateDict: StateDict, architecture: Architecture?, output: OutputActivation?
) throws(FormatError) -> BuiltNetwork {
  let layers = try pairLayers(stateDict)
  try checkShapes(layers, requiresBias: architecture == nil)
  try checkSize(layers, fileByteCount: stateDict.fileByteCount)
  let activation = architecture?.activation ?? (layers.count > 1 ? .relu : .none)
  let assumedOutput: OutputActivation = layers[layers.count - 1].outputs == 1 ? .sigmoid : .softmax
  var built: [Network.Layer] = []
  for (index, layer) in layers.enumerated() {
    built.append(
      Network.Layer(
        name: layer.name, inputs: layer.inputs, outputs: layer.outputs,
        weights: try soundTensor(layer.weight, keptBy: stateDict.owner, keepsHalf: true),
        bias: try layer.bias.map { bias throws(FormatError) in
          try soundTensor(bias, keptBy: stateDict.owner, keepsHalf: false)
        },
        activation: index == layers.count - 1 ? .none : activation))
  }
  let network: Network
  do {
    network = try Network(layers: built, output: output ?? assumedOutput)
  } catch {
    throw .architecture(error.description)
  }
  return BuiltNetwork(
    network: network,
    notes: stateDict.notes + notes(network, infersLayers: architecture == nil, infersOutput: output == nil))
}

private func notes(_ network: Network, infersLayers: Bool, infersOutput: Bool) -> [String] {
  var notes: [String] = []
  if infersLayers, network.layers.count > 1 {
    notes.append(
      "inferred architecture mlp \(network.summary); "
        + "say `architecture: {type: mlp, activation: …}` in model.yaml to change it")
  } else if infersLayers {
    notes.append("inferred architecture linear \(network.summary)")
  }
  if infersOutput {
    notes.append("assumed output \(network.output.rawValue); say `output: …` in model.yaml to change it")
  }
  return notes
}

/// A linear layer before its numbers are read.
private struct PairedLayer {
  let name: String
  let weight: WeightTensor
  var bias: WeightTensor?

  /// PyTorch's Linear keeps its weight as [outputs, inputs].
  var outputs: Int { weight.shape[0] }
  var inputs: Int { weight.shape[1] }
}

/// Layers in the order in which their first tensor comes.
private func pairLayers(_ stateDict: StateDict) throws(FormatError) -> [PairedLayer] {
  var order: [String] = []
  var weights: [String: WeightTensor] = [:]
  var biases: [String: WeightTensor] = [:]
  for tensor in stateDict.tensors {
    let (layer, role) = splitName(tensor.name)
    try checkLinear(tensor, role: role)
    if weights[layer] == nil && biases[layer] == nil { order.append(layer) }
    if role == "weight" { weights[layer] = tensor } else { biases[layer] = tensor }
  }
  var layers: [PairedLayer] = []
  for name in order {
    guard let weight = weights[name] else {
      throw .architecture("layer \(printable(name)) has a bias but no weight")
    }
    layers.append(PairedLayer(name: name, weight: weight, bias: biases[name]))
  }
  guard !layers.isEmpty else { throw .noStateDict("the file has no tensors") }
  return layers
}

/// `fc1.weight` into `fc1` and `weight`; a lone `weight` belongs to a layer called `linear`.
private func splitName(_ name: String) -> (layer: String, role: String) {
  guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return ("linear", name) }
  return (String(name[..<dot]), String(name[name.utf8.index(after: dot)...]))
}

/// Refuses tensors that no linear layer has, saying what they look like.
private func checkLinear(_ tensor: WeightTensor, role: String) throws(FormatError) {
  let name = printable(tensor.name)
  let described = "\(tensor.elementType.rawValue) of shape \(printable(tensor.shape))"
  func unsupported(_ kind: String) -> FormatError {
    .architecture(
      "tensor \(name) (\(described)) is \(kind); from weights alone only linear layers are "
        + "built: list the layers, as `architecture: {type: layers, layers: […]}` in model.yaml")
  }
  switch (role, tensor.shape.count) {
  case ("num_batches_tracked", _), ("running_mean", _), ("running_var", _):
    throw unsupported("a batch normalisation's")
  case ("weight", 1): throw unsupported("a normalisation layer's weight")
  case ("weight", 3...5): throw unsupported("a convolution's weight")
  case ("weight", 2), ("bias", 1):
    guard tensor.elementType.isFloatingPoint else {
      throw .tensor(name: name, problem: "\(described); weights must be floating-point numbers")
    }
  default: throw unsupported("neither a linear layer's weight [outputs, inputs] nor its bias [outputs]")
  }
}

private func checkShapes(_ layers: [PairedLayer], requiresBias: Bool) throws(FormatError) {
  for layer in layers {
    let name = "layer \(printable(layer.name))"
    guard layer.inputs > 0, layer.outputs > 0 else {
      throw .architecture("\(name) has an empty weight \(printable(layer.weight.shape))")
    }
    if let bias = layer.bias {
      guard bias.shape == [layer.outputs] else {
        throw .architecture(
          "\(name): weight \(printable(layer.weight.shape)) needs a bias [\(layer.outputs)] "
            + "and has one of shape \(printable(bias.shape))")
      }
    } else if requiresBias {
      throw .architecture(
        "\(name), weight \(printable(layer.weight.shape)), has no bias, so the architecture is not obvious; "
          + "say `architecture: {type: mlp, activation: …}` in model.yaml")
    }
  }
  for (layer, next) in zip(layers, layers.dropFirst()) where layer.outputs != next.inputs {
    throw .architecture(
      "layer \(printable(layer.name)) \(printable(layer.weight.shape)) gives \(layer.outputs) numbers but "
        + "layer \(printable(next.name)) \(printable(next.weight.shape)) takes \(next.inputs)")
  }
}

/// Many names may share one storage, so the sum is bounded, too: a network takes at most 4 times the file's
/// size.
private func checkSize(_ layers: [PairedLayer], fileByteCount: Int) throws(FormatError) {
  var total = 0
  for layer in layers {
    total += layer.weight.elementCount + (layer.bias?.elementCount ?? 0)
    guard total <= fileByteCount else {
      throw .architecture(
        "layer \(printable(layer.name)): the layers up to here have \(total) numbers, more than the file has "
          + "bytes (\(fileByteCount)): too many tensors share one storage")
    }
  }
}

/// The tensor's numbers, none of which may be NaN: every answer would be NaN. As `WeightTensor.tensor`.
func soundTensor(
  _ tensor: WeightTensor, keptBy owner: (any AnyObject & Sendable)?, keepsHalf: Bool
) throws(FormatError) -> Tensor {
  let numbers = try tensor.tensor(keptBy: owner, keepsHalf: keepsHalf)
  guard !numbers.hasNaN else {
    throw .tensor(name: printable(tensor.name), problem: "holds numbers that are NaN")
  }
  return numbers
}

extension Tensor {
  /// Of float32, float16 or bfloat16.
  fileprivate var hasNaN: Bool {
    guard type.element != .float32 else { return view.elements(Float.self).contains(where: \.isNaN) }
    let infinity: UInt16 = type.element == .float16 ? 0x7c00 : 0x7f80
    let bits = UnsafeBufferPointer(start: start.assumingMemoryBound(to: UInt16.self), count: type.count)
    return bits.contains { $0 & 0x7fff > infinity }
  }
}
