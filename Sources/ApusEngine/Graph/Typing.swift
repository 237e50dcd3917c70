/// What is known of each value of a graph for inputs of given shapes: its type, and its numbers where they
/// hang on constants and shapes alone.
struct Typing {
  /// By value; nil for what nothing computes.
  private(set) var types: [TensorType?]
  /// By value; nil where the numbers are not known.
  private(set) var known: [Tensor?]

  /// Most bytes of numbers that are computed while typing, beside the graph's constants.
  static let maximumBytes = 1 << 30

  private var knownBytes = 0

  /// - Parameter shapes: of the graph's inputs, in order.
  /// - Throws: `GraphError` that names the node whose inputs do not fit.
  init(_ graph: Graph, shapes: [[Int]]) throws(GraphError) {
    types = graph.values.map { $0.constant?.type }
    known = graph.values.map(\.constant)
    for (input, shape) in zip(graph.inputs, shapes) {
      types[input.value] = try TensorType(input.element, shape)
    }
    for node in graph.nodes {
      do { try type(node) } catch {
        throw GraphError("\(node.name) (\(node.operation.name)): \(error.description)")
      }
    }
  }

  private mutating func type(_ node: Graph.Node) throws(GraphError) {
    let inputs: [KnownTensor?] = node.inputs.map { value in
      guard let value, let type = types[value] else { return nil }
      return KnownTensor(type: type, value: known[value]?.view)
    }
    let outputs = try node.operation.outputTypes(inputs)
    guard outputs.count == node.outputs.count else {
      throw GraphError("it has \(outputs.count) outputs, not \(node.outputs.count)")
    }
    for (value, type) in zip(node.outputs, outputs) {
      if let value { types[value] = type }
    }
    let isKnown =
      node.operation.readsOnlyTypes
      || node.inputs.allSatisfy { value in value.map { known[$0] != nil } ?? true }
    guard isKnown else { return }
    let bytes = outputs.reduce(0) { $0 + $1.byteCount }
    guard bytes <= Self.maximumBytes - knownBytes else {
      throw GraphError("its constants take more than \(Self.maximumBytes >> 20) MiB to compute")
    }
    knownBytes += bytes
    let tensors = outputs.map { Tensor($0) }
    try compute(node, inputs, tensors)
    for (value, tensor) in zip(node.outputs, tensors) {
      if let value { known[value] = tensor }
    }
  }

  private func compute(
    _ node: Graph.Node, _ inputs: [KnownTensor?], _ outputs: [Tensor]
  ) throws(GraphError) {
    // Of an input whose type alone is read, nothing is looked at behind the address.
    let nowhere = Tensor.nowhere
    let views = inputs.map { input in
      input.map { $0.value ?? TensorView(type: $0.type, start: nowhere) }
    }
    try node.operation.compute(views, outputs.map(\.mutableView))
  }
}

extension Tensor {
  /// An address for views whose numbers nobody reads.
  fileprivate static var nowhere: UnsafeRawPointer {
    UnsafeRawPointer(bitPattern: 64).unsafelyUnwrapped
  }
}
