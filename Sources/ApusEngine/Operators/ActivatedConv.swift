/// Conv in float32, with a tensor of the output's shape that is added (input 3), if there is one, and a
/// function of each sum.
struct ActivatedConv: Operator {
  let conv: Conv
  let hasAddend: Bool
  let activation: FusedActivation
  var name: String { conv.name }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let types = try conv.outputTypes(inputs)
    guard !hasAddend || inputs.optional(3)?.type == types[0] else {
      throw GraphError("an addend is of another shape than the output")
    }
    return types
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    try conv.compute(inputs, outputs)
    let sums = outputs[0].elements(Float.self)
    if hasAddend {
      let addends = inputs[required: 3].elements(Float.self)
      for index in sums.indices { sums[index] += addends[index] }
    }
    activation.apply(sums)
  }
}
