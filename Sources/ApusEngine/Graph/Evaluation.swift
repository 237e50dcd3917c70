/// A run of a graph node by node, each with memory of its own: what folds constants, and the plain form that
/// a program of steps is compared with.
package struct Evaluation {
  /// Bytes of the largest tensor that is computed: a small file can ask for any size.
  package static let maximumTensorBytes = 1 << 32

  /// By value; nil where it was not computed.
  package private(set) var tensors: [Tensor?]

  /// Computes all outputs.
  ///
  /// - Parameter inputs: in the graph's order.
  /// - Throws: `GraphError` that names the node.
  package init(_ graph: Graph, inputs: [Tensor]) throws(GraphError) {
    guard inputs.count == graph.inputs.count else {
      throw GraphError("the graph takes \(graph.inputs.count) inputs, not \(inputs.count)")
    }
    tensors = graph.values.map(\.constant)
    for (input, tensor) in zip(graph.inputs, inputs) {
      guard input.element == tensor.type.element, input.shape.count == tensor.type.rank,
        zip(input.shape, tensor.type.shape).allSatisfy({ $0 == nil || $0 == $1 })
      else {
        throw GraphError("\(graph.values[input.value].name) cannot be \(tensor.type.description)")
      }
      tensors[input.value] = tensor
    }
    for node in graph.nodes { try run(node) }
  }

  private mutating func run(_ node: Graph.Node) throws(GraphError) {
    let inputs = node.inputs.map { $0.flatMap { tensors[$0] } }
    do throws(GraphError) {
      let types = try node.operation.outputTypes(
        inputs.map { $0.map { KnownTensor(type: $0.type, value: $0.view) } })
      for type in types where type.byteCount > Self.maximumTensorBytes {
        throw GraphError(
          "an output of \(type.byteCount) bytes; at most \(Self.maximumTensorBytes) are computed")
      }
      let outputs = types.map { Tensor($0) }
      try node.operation.compute(inputs.map { $0?.view }, outputs.map(\.mutableView))
      for (value, output) in zip(node.outputs, outputs) {
        if let value { tensors[value] = output }
      }
    } catch { throw GraphError("\(node.name) (\(node.operation.name)): \(error.description)") }
  }
}
