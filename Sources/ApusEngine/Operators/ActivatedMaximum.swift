/// The greatest value of an activation along neighbouring axes, which become 1.
struct ActivatedMaximum: Operator {
  let activation: FusedActivation
  let axes: ClosedRange<Int>
  var name: String { "ActivatedMaximum" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    guard input.element == .float32, axes.lowerBound >= 0, axes.upperBound < input.shape.count else {
      throw GraphError("\(input.type.description) has no axes \(axes)")
    }
    var shape = input.shape
    for axis in axes { shape[axis] = 1 }
    return [try TensorType(.float32, shape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let input = try inputs.required(0)
    let values = Tensor(input.type)
    values.start.copyMemory(from: input.start, byteCount: input.type.byteCount)
    activation.apply(values.mutableView.elements(Float.self))
    let reduction = Reduction(
      function: .max, axes: .fixed(Array(axes)), keepsDimensions: true, isIdentityWithoutAxes: false)
    try reduction.compute([values.view], outputs)
  }
}
