package import ApusEngine

/// Puts the tensors of a weight file together as the layers that a model.yaml lists, one after the other.
///
/// - Parameters:
///   - input: the shape of one input, without the batch.
///   - operators: what the graph is made of.
/// - Returns: a graph of one input and one output.
/// - Throws: `FormatError.architecture` or `.tensor`, which names the layer and the weights that do not fit.
package func makeGraph(
  _ stateDict: StateDict, layers: [LayerDescription], input: [Int], operators: OperatorTable = .standard
) throws(FormatError) -> Graph {
  guard !layers.isEmpty else { throw .architecture("architecture.layers is empty") }
  guard !input.isEmpty else {
    throw .architecture(
      "layers need the shape of an input: say `input: {shape: [channels, height, width]}` in model.yaml")
  }
  var graph = try LayerGraph(input: input, weights: LayerWeights(stateDict), operators: operators)
  for (place, layer) in layers.enumerated() { try graph.add(layer, at: place) }
  try graph.weights.checkAllTaken()
  return try graph.finished()
}

/// A graph of layers while it grows.
private struct LayerGraph {
  private var builder: GraphBuilder
  private(set) var weights: LayerWeights
  /// What the layers so far give.
  private var value: Graph.ValueID
  /// Of the layer that is added, for messages.
  private var label = ""

  init(input: [Int], weights: LayerWeights, operators: OperatorTable) throws(FormatError) {
    builder = GraphBuilder(operators: operators)
    self.weights = weights
    do { value = try builder.input("input", .float32, [nil] + input) } catch {
      throw .architecture("input.shape \(printable(input)): \(error.description)")
    }
  }

  func finished() throws(FormatError) -> Graph {
    do { return try builder.graph(outputs: [(value, "output")]) } catch {
      throw .architecture(error.description)
    }
  }

  // MARK: Layers

  mutating func add(_ layer: LayerDescription, at place: Int) throws(FormatError) {
    let name = layer.name.map { " \(printable($0))" } ?? ""
    label = "layer \(place + 1) (\(layer.kind.rawValue)\(name))"
    switch layer.kind {
    case .linear: try addLinear(layer)
    case .conv1d: try addConvolution(layer, dimensions: 1)
    case .conv2d: try addConvolution(layer, dimensions: 2)
    case .batchnorm: try addNorm(layer)
    case .maxpool, .avgpool: try addPool(layer)
    case .adaptiveAveragePool: try addMap("GlobalAveragePool")
    case .globalAveragePool:
      try addMap("GlobalAveragePool")
      try addMap("Flatten", ["axis": .int(1)])
    case .flatten: try addMap("Flatten", ["axis": .int(1)])
    case .relu: try addMap("Relu")
    case .tanh: try addMap("Tanh")
    case .sigmoid: try addMap("Sigmoid")
    case .gelu: try addMap("Gelu")
    case .leakyRelu: try addMap("LeakyRelu", ["alpha": .float(layer.slope)])
    case .softmax: try addMap("Softmax", ["axis": .int(1)])
    case .dropout: break
    }
  }

  /// The sizes behind the batch.
  private var shape: [Int] { builder.shape(value).dropFirst().compactMap { $0 } }

  private func failure(_ problem: String) -> FormatError { .architecture("\(label): \(problem)") }

  private mutating func addMap(
    _ operatorName: String, _ attributes: [String: Attributes.Attribute] = [:], _ constants: [Tensor?] = []
  ) throws(FormatError) {
    let inputs = [value] + constants.map { tensor in tensor.map { builder.constant($0, label) } }
    do { value = try builder.add(operatorName, inputs, attributes, label) } catch {
      throw failure(error.description)
    }
  }

  private mutating func addLinear(_ layer: LayerDescription) throws(FormatError) {
    let shape = shape
    guard shape.count == 1 else {
      throw failure("it takes a row of numbers, and gets \(printable(shape)); put a flatten before it")
    }
    let group = try weights.take(layer.name, for: label)
    try weights.check(group, only: ["weight", "bias"], for: label)
    let weight = try weight(
      "weight", group, { $0.count == 2 && $0[0] > 0 && $0[1] == shape[0] }, "[outputs, \(shape[0])]")
    let bias = try bias(group, weight.type.shape[0])
    try addMap("Gemm", ["transB": .int(1)], [weight] + (bias.map { [$0] } ?? []))
  }

  private mutating func addConvolution(_ layer: LayerDescription, dimensions: Int) throws(FormatError) {
    let shape = shape
    guard shape.count == dimensions + 1 else {
      let wanted = dimensions == 1 ? "[channels, length]" : "[channels, height, width]"
      throw failure("it takes \(wanted), and gets \(printable(shape))")
    }
    guard layer.groups >= 1, shape[0] % layer.groups == 0 else {
      throw failure("\(shape[0]) channels are not of \(layer.groups) equal groups")
    }
    let channels = shape[0] / layer.groups
    let group = try weights.take(layer.name, for: label)
    try weights.check(group, only: ["weight", "bias"], for: label)
    let kernel = dimensions == 1 ? "length" : "height, width"
    let weight = try weight(
      "weight", group,
      { $0.count == dimensions + 2 && $0[0] > 0 && $0[0] % layer.groups == 0 && $0[1] == channels },
      "[outputs, \(channels), \(kernel)]"
        + (layer.groups > 1 ? " with outputs of \(layer.groups) groups" : ""))
    let bias = try bias(group, weight.type.shape[0])
    let attributes: [String: Attributes.Attribute] = [
      "strides": .ints(try sizes("stride", layer.stride, dimensions, 1)),
      "dilations": .ints(try sizes("dilation", layer.dilation, dimensions, 1)),
      "pads": .ints(try pads(layer, dimensions)), "group": .int(layer.groups),
    ]
    try addMap("Conv", attributes, [weight] + (bias.map { [$0] } ?? []))
  }

  private mutating func addNorm(_ layer: LayerDescription) throws(FormatError) {
    let channels = shape[0]
    let group = try weights.take(layer.name, for: label)
    try weights.check(
      group, only: ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"], for: label)
    func isRow(_ shape: [Int]) -> Bool { shape == [channels] }
    let mean = try weight("running_mean", group, isRow, "[\(channels)]")
    let variance = try weight("running_var", group, isRow, "[\(channels)]")
    // A norm without its own scale and shift has neither.
    let scale = try weights.tensor("weight", of: group, for: label, shape: (isRow, "[\(channels)]"))
    let shift = try bias(group, channels)
    let (ones, zeros) = (try filled(1, channels), try filled(0, channels))
    try addMap(
      "BatchNormalization", ["epsilon": .float(layer.epsilon)],
      [scale ?? ones, shift ?? zeros, mean, variance])
  }

  private mutating func addPool(_ layer: LayerDescription) throws(FormatError) {
    let dimensions = shape.count - 1
    guard dimensions >= 1 else {
      throw failure("it takes channels with a length, or with height and width, and gets \(printable(shape))")
    }
    guard !layer.kernel.isEmpty else { throw failure("it needs a kernel, for example `kernel: 2`") }
    let kernel = try sizes("kernel", layer.kernel, dimensions, 1)
    var attributes: [String: Attributes.Attribute] = [
      "kernel_shape": .ints(kernel), "pads": .ints(try pads(layer, dimensions)),
      "strides": .ints(layer.stride.isEmpty ? kernel : try sizes("stride", layer.stride, dimensions, 1)),
      "ceil_mode": .int(layer.isCeiling ? 1 : 0),
    ]
    guard layer.kind == .avgpool else {
      attributes["dilations"] = .ints(try sizes("dilation", layer.dilation, dimensions, 1))
      return try addMap("MaxPool", attributes)
    }
    attributes["count_include_pad"] = .int(layer.countsPadding ? 1 : 0)
    try addMap("AveragePool", attributes)
  }

  // MARK: Weights and sizes

  private mutating func weight(
    _ role: String, _ group: LayerWeights.Group, _ fits: @escaping ([Int]) -> Bool, _ wanted: String
  ) throws(FormatError) -> Tensor {
    guard let tensor = try weights.tensor(role, of: group, for: label, shape: (fits, wanted)) else {
      let name = group.name.isEmpty ? role : "\(group.name).\(role)"
      let there = group.tensors.values.map { printable($0.name) }.sorted().joined(separator: ", ")
      throw failure("it needs the weights \(printable(name)), which the file does not have; it has \(there)")
    }
    return tensor
  }

  private mutating func bias(_ group: LayerWeights.Group, _ count: Int) throws(FormatError) -> Tensor? {
    try weights.tensor("bias", of: group, for: label, shape: ({ $0 == [count] }, "[\(count)]"))
  }

  private func filled(_ number: Float, _ count: Int) throws(FormatError) -> Tensor {
    do { return try Tensor([Float](repeating: number, count: count), [count]) } catch {
      throw failure(error.description)
    }
  }

  /// A number for each dimension.
  private func sizes(
    _ name: String, _ given: [Int], _ dimensions: Int, _ missing: Int
  ) throws(FormatError) -> [Int] {
    switch given.count {
    case 0: return [Int](repeating: missing, count: dimensions)
    case 1: return [Int](repeating: given[0], count: dimensions)
    case dimensions: return given
    default: throw failure("\(name) has \(given.count) numbers for \(dimensions) dimensions")
    }
  }

  /// Before and behind each dimension, equally many.
  private func pads(_ layer: LayerDescription, _ dimensions: Int) throws(FormatError) -> [Int] {
    let pads = try sizes("padding", layer.padding, dimensions, 0)
    return pads + pads
  }
}
