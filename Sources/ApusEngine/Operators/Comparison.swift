/// Equal, Less, Greater and their kin, which make truths of two tensors of one type, and And, Or and Xor of
/// truths. Nothing is equal to a NaN, above it or below it.
struct Comparison: PairOperator {
  enum Function: String, CaseIterable {
    case equal = "Equal"
    case less = "Less"
    case greater = "Greater"
    case lessOrEqual = "LessOrEqual"
    case greaterOrEqual = "GreaterOrEqual"
    case and = "And"
    case or = "Or"
    case exclusiveOr = "Xor"

    /// The types that it takes.
    var kinds: ElementKinds {
      switch self {
      case .equal: .all
      case .less, .greater, .lessOrEqual, .greaterOrEqual: .numbers
      case .and, .or, .exclusiveOr: .truths
      }
    }

    /// The opset in which it came, or had its present form.
    var first: Int { self == .lessOrEqual || self == .greaterOrEqual ? 12 : 7 }
  }

  let function: Function
  var name: String { function.rawValue }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (a, b) = (try inputs.required(0, "A"), try inputs.required(1, "B"))
    try inputs.sameElement(b, as: a)
    try function.kinds.check(a.element)
    return [try TensorType(.bool, TensorType.broadcast([a.shape, b.shape]))]
  }

  func combine(_ pair: Pair) throws(GraphError) {
    try Work(function: function, pair: pair).run(on: pair.a.type.element)
  }

  private struct Work: ElementWork {
    let function: Function
    let pair: Pair

    func reals<Element: RealElement>(_: Element.Type) { compare(Element.self) }
    func integers<Element: IntegerElement>(_: Element.Type) { compare(Element.self) }

    func truths() {
      switch function {
      case .and: pair.combine { (a: TensorBool, b: TensorBool) in TensorBool(a.value && b.value) }
      case .or: pair.combine { (a: TensorBool, b: TensorBool) in TensorBool(a.value || b.value) }
      case .exclusiveOr: pair.combine { (a: TensorBool, b: TensorBool) in TensorBool(a.value != b.value) }
      default: compare(TensorBool.self)
      }
    }

    @inline(__always)
    private func compare<Element: OrderedElement>(_: Element.Type) {
      switch function {
      case .less: pair.combine { (a: Element, b: Element) in TensorBool(a < b) }
      case .greater: pair.combine { (a: Element, b: Element) in TensorBool(a > b) }
      case .lessOrEqual: pair.combine { (a: Element, b: Element) in TensorBool(a <= b) }
      case .greaterOrEqual: pair.combine { (a: Element, b: Element) in TensorBool(a >= b) }
      // The other functions take truths alone.
      case .equal, .and, .or, .exclusiveOr: pair.combine { (a: Element, b: Element) in TensorBool(a == b) }
      }
    }
  }

  static let entries = Function.allCases.map { function in
    OperatorEntry(function.rawValue) { (node) throws(GraphError) in
      try node.check(since: function.first, inputs: 2...2)
      try node.attributes.only()
      return Comparison(function: function)
    }
  }
}
