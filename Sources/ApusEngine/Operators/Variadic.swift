/// Max, Min, Sum and Mean of one or more tensors that are broadcast together. Where one has a NaN, it is the
/// result.
struct Variadic: PairOperator {
  enum Function: String, CaseIterable {
    case max = "Max"
    case min = "Min"
    case sum = "Sum"
    case mean = "Mean"
  }

  let function: Function
  var name: String { function.rawValue }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let first = try inputs.required(0, "data_0")
    let kinds: ElementKinds = function == .mean ? .reals : .numbers
    try kinds.check(first.element)
    var shapes: [[Int]] = []
    for index in inputs.indices {
      let input = try inputs.required(index, "data_\(index)")
      try inputs.sameElement(input, as: first)
      shapes.append(input.shape)
    }
    return [try TensorType(first.element, TensorType.broadcast(shapes))]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (first, output) = (try inputs.required(0), outputs[0])
    copyElements(
      output.type.element.byteCount, from: first.start, to: output.start,
      Walk(output.type.shape, broadcasting: first.type.shape))
    for index in inputs.indices.dropFirst() {
      // What has been found so far is the left input of its own place, which no other place reads.
      try combine(Pair(output.view, inputs.required(index), output))
    }
    if function == .mean {
      try Share(number: inputs.count, output: output).run(on: output.type.element)
    }
  }

  /// Of two tensors; their sum for Mean.
  func combine(_ pair: Pair) throws(GraphError) {
    try Fold(function: function, pair: pair).run(on: pair.output.type.element)
  }

  private struct Fold: ElementWork {
    let function: Function
    let pair: Pair

    func reals<Element: RealElement>(_: Element.Type) {
      switch function {
      case .max: pair.combine { (a: Element, b: Element) in a.isNaN || a > b ? a : b }
      case .min: pair.combine { (a: Element, b: Element) in a.isNaN || a < b ? a : b }
      case .sum, .mean: pair.combine { (a: Element, b: Element) in a + b }
      }
    }

    func integers<Element: IntegerElement>(_: Element.Type) {
      switch function {
      case .max: pair.combine { (a: Element, b: Element) in a > b ? a : b }
      case .min: pair.combine { (a: Element, b: Element) in a < b ? a : b }
      case .sum, .mean: pair.combine { (a: Element, b: Element) in a &+ b }
      }
    }
  }

  private struct Share: ElementWork {
    let number: Int
    let output: MutableTensorView

    func reals<Element: RealElement>(_: Element.Type) {
      let values = output.elements(Element.self)
      for index in values.indices { values[index] /= Element(number) }
    }
  }

  static let entries = Function.allCases.map { function in
    OperatorEntry(function.rawValue) { (node) throws(GraphError) in
      try node.check(since: 8, inputs: 1...Int.max)
      try node.attributes.only()
      return Variadic(function: function)
    }
  }
}
