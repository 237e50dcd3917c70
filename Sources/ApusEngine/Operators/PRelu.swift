/// PRelu: numbers below zero times a slope that is broadcast to them.
struct PRelu: PairOperator {
  var name: String { "PRelu" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (input, slope) = (try inputs.required(0, "X"), try inputs.required(1, "slope"))
    try inputs.sameElement(slope, as: input)
    try ElementKinds.numbers.check(input.element)
    guard try TensorType.broadcast([input.shape, slope.shape]) == input.shape else {
      throw GraphError("a slope of shape \(slope.shape) cannot be broadcast to \(input.shape)")
    }
    return [input.type]
  }

  func combine(_ pair: Pair) throws(GraphError) {
    try Work(pair: pair).run(on: pair.output.type.element)
  }

  private struct Work: ElementWork {
    let pair: Pair

    func reals<Element: RealElement>(_: Element.Type) {
      pair.combine { (x: Element, slope: Element) in x < 0 ? slope * x : x }
    }

    func integers<Element: IntegerElement>(_: Element.Type) {
      pair.combine { (x: Element, slope: Element) in x < 0 ? slope &* x : x }
    }
  }

  static let entries = [
    OperatorEntry("PRelu") { (node) throws(GraphError) in
      try node.check(since: 7, inputs: 2...2)
      try node.attributes.only()
      return PRelu()
    }
  ]
}
