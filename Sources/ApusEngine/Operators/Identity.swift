import Glibc

/// Gives its input on: Identity, and what is nothing else while a model answers (Dropout).
struct Identity: Operator {
  let name: String

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    [try inputs.required(0, "X").type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) {
    guard let input = inputs[0] else { return }
    memcpy(outputs[0].start, input.start, input.type.byteCount)
  }

  static let entries = [
    OperatorEntry("Identity") { (node) throws(GraphError) in
      try node.attributes.only()
      return Identity(name: "Identity")
    }
  ]
}
