import Glibc

/// Dropout while a model answers: the input as it is, and a mask that keeps every element. Training, which
/// drops elements by chance, is refused unless its ratio is 0.
struct Dropout: Operator {
  /// The mask's elements; nil: the node has no mask.
  let mask: Mask?
  enum Mask { case truths, ones }
  var name: String { "Dropout" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let data = try inputs.required(0, "data")
    try check(ratio: inputs.optional(1)?.type, training: inputs.optional(2)?.type)
    if let training = inputs.optional(2)?.value { try refuseTraining(training, inputs.optional(1)?.value) }
    switch mask {
    case nil: return [data.type]
    case .truths: return [data.type, try TensorType(.bool, data.shape)]
    case .ones:
      try ElementKinds.reals.check(data.element)
      return [data.type, data.type]
    }
  }

  private func check(ratio: TensorType?, training: TensorType?) throws(GraphError) {
    guard ratio.map({ $0.count == 1 && $0.element.isFloatingPoint }) ?? true else {
      throw GraphError("the ratio is a floating-point number")
    }
    guard training.map({ $0.count == 1 && $0.element == .bool }) ?? true else {
      throw GraphError("training_mode is true or false")
    }
  }

  private func refuseTraining(_ training: TensorView, _ ratio: TensorView?) throws(GraphError) {
    guard training.elements(TensorBool.self)[0].value else { return }
    // Zero has the same bits in every type.
    if let ratio,
      UnsafeRawBufferPointer(start: ratio.start, count: ratio.type.byteCount).allSatisfy({ $0 == 0 })
    {
      return
    }
    throw GraphError("training_mode is true: elements would be dropped by chance")
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let data = try inputs.required(0)
    if let training = inputs.optional(2) { try refuseTraining(training, inputs.optional(1)) }
    memcpy(outputs[0].start, data.start, data.type.byteCount)
    guard mask != nil, outputs.count > 1 else { return }
    switch outputs[1].type.element {
    case .float32: outputs[1].elements(Float.self).update(repeating: 1)
    case .float64: outputs[1].elements(Double.self).update(repeating: 1)
    default: outputs[1].elements(TensorBool.self).update(repeating: TensorBool(true))
    }
  }

  static let entries = [
    OperatorEntry("Dropout") { (node) throws(GraphError) in
      try node.check(since: 7, inputs: node.opset >= 12 ? 1...3 : 1...1, outputs: 1...2)
      if node.opset >= 12 { try node.attributes.only("seed") } else { try node.attributes.only("ratio") }
      // Before opset 10 the mask was of the data's type.
      return Dropout(mask: node.outputs < 2 ? nil : node.opset >= 10 ? .truths : .ones)
    }
  ]
}
