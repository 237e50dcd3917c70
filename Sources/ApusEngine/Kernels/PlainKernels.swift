/// An operator that makes elements of elements, whatever their shape.
protocol MapOperator: Operator {
  /// - Parameters: of the types that `outputTypes` has accepted, but for the shapes, which say nothing.
  func map(_ input: TensorView, to output: MutableTensorView) throws(GraphError)
}

extension MapOperator {
  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    try map(inputs.required(0), to: outputs[0])
  }
}

/// An operator that makes elements of those of two tensors that are broadcast together.
protocol PairOperator: Operator {
  func combine(_ pair: Pair) throws(GraphError)
}

extension PairOperator {
  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    try combine(Pair(inputs.required(0), inputs.required(1), outputs[0]))
  }
}

/// The plain form of an operator that makes elements of elements, without the arrays that a plain run makes.
struct PlainMapKernel: StepKernel {
  private let operation: any MapOperator
  private let input: ElementType
  private let inputCount: Extent
  private let output: ElementType
  private let outputCount: Extent

  init?(_ operation: any MapOperator, _ types: KernelTypes) {
    guard let input = types.inputs.first ?? nil else { return nil }
    self.operation = operation
    self.input = input.element
    inputCount = input.count
    output = types.outputs[0].element
    outputCount = types.outputCount
  }

  func run(rows: Int, _ run: borrowing StepRun) throws(GraphError) {
    guard let start = run.address(0) else { return }
    let from = TensorType(input, elements: inputCount.resolved(rows: rows))
    let to = TensorType(output, elements: outputCount.resolved(rows: rows))
    try operation.map(
      TensorView(type: from, start: start), to: MutableTensorView(type: to, start: run.outputAddress(0)))
  }

  var description: String { operation.name }
}

/// The same for pairs of elements.
struct PlainPairKernel: StepKernel {
  private let operation: any PairOperator
  private let types: (left: ElementType, right: ElementType, output: ElementType)
  private let counts: (left: Extent, right: Extent, output: Extent)
  /// Lane 0 has the strides of the first tensor, lane 1 those of the second.
  private let axes: [BatchAxis]

  init?(_ operation: any PairOperator, _ types: KernelTypes) {
    guard types.inputs.count == 2, let left = types.inputs[0], let right = types.inputs[1] else { return nil }
    self.operation = operation
    self.types = (left.element, right.element, types.outputs[0].element)
    counts = (left.count, right.count, types.outputCount)
    axes = BatchAxis.broadcasting([left.shape, right.shape], to: types.outputs[0].shape)
  }

  func run(rows: Int, _ run: borrowing StepRun) throws(GraphError) {
    guard let left = run.address(0), let right = run.address(1) else { return }
    func type(_ element: ElementType, _ count: Extent) -> TensorType {
      TensorType(element, elements: count.resolved(rows: rows))
    }
    try operation.combine(
      Pair(
        TensorView(type: type(types.left, counts.left), start: left),
        TensorView(type: type(types.right, counts.right), start: right),
        MutableTensorView(type: type(types.output, counts.output), start: run.outputAddress(0)),
        Walk(axes, rows: rows)))
  }

  var description: String { operation.name }
}
