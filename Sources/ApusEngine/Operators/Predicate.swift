/// Not, IsNaN and IsInf: a truth of each element.
struct Predicate: MapOperator {
  enum Function {
    case not
    case isNaN
    case isInfinite(positive: Bool, negative: Bool)
  }

  let function: Function
  let name: String

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let type = try inputs.required(0, "X").type
    if case .not = function {
      try ElementKinds.truths.check(type.element)
    } else {
      try ElementKinds.reals.check(type.element)
    }
    return [try TensorType(.bool, type.shape)]
  }

  func map(_ input: TensorView, to output: MutableTensorView) throws(GraphError) {
    try Work(function: function, input: input, output: output).run(on: input.type.element)
  }

  private struct Work: ElementWork {
    let function: Function
    let input: TensorView
    let output: MutableTensorView

    func reals<Element: RealElement>(_: Element.Type) {
      switch function {
      case .not: break  // refused before
      case .isNaN: input.replace(into: output) { (x: Element) in TensorBool(x.isNaN) }
      case .isInfinite(let positive, let negative):
        input.replace(into: output) { (x: Element) in
          TensorBool(positive && x == .infinity || negative && x == -.infinity)
        }
      }
    }

    func truths() { input.replace(into: output) { (x: TensorBool) in TensorBool(!x.value) } }
  }

  static let entries = [
    OperatorEntry("Not") { (node) throws(GraphError) in
      try node.check(inputs: 1...1)
      try node.attributes.only()
      return Predicate(function: .not, name: "Not")
    },
    OperatorEntry("IsNaN") { (node) throws(GraphError) in
      try node.check(since: 9, inputs: 1...1)
      try node.attributes.only()
      return Predicate(function: .isNaN, name: "IsNaN")
    },
    OperatorEntry("IsInf") { (node) throws(GraphError) in
      try node.check(since: 10, inputs: 1...1)
      try node.attributes.only("detect_negative", "detect_positive")
      return Predicate(
        function: .isInfinite(
          positive: try node.attributes.int("detect_positive") != 0,
          negative: try node.attributes.int("detect_negative") != 0),
        name: "IsInf")
    },
  ]
}
