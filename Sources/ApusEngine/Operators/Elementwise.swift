/// A function of each element that needs no parameter.
struct Elementwise: MapOperator {
  enum Function: String, CaseIterable {
    case absolute = "Abs"
    case negative = "Neg"
    case sign = "Sign"
    case relu = "Relu"
    case ceiling = "Ceil"
    case floor = "Floor"
    case round = "Round"
    case squareRoot = "Sqrt"
    case reciprocal = "Reciprocal"
    case exponential = "Exp"
    case logarithm = "Log"
    case errorFunction = "Erf"
    case sigmoid = "Sigmoid"
    case tanh = "Tanh"
    case softplus = "Softplus"
    case softsign = "Softsign"
    case hardSwish = "HardSwish"
    case mish = "Mish"

    var kinds: ElementKinds {
      switch self {
      case .absolute, .negative, .sign, .relu: .numbers
      default: .reals
      }
    }

    /// The opset in which it came.
    var first: Int {
      switch self {
      case .mish: 18
      case .hardSwish: 14
      case .round: 11
      default: 6
      }
    }
  }

  let function: Function
  var name: String { function.rawValue }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let type = try inputs.required(0, "X").type
    try function.kinds.check(type.element)
    return [type]
  }

  func map(_ input: TensorView, to output: MutableTensorView) throws(GraphError) {
    try Work(function: function, input: input, output: output).run(on: output.type.element)
  }

  private struct Work: ElementWork {
    let function: Function
    let input: TensorView
    let output: MutableTensorView

    func reals<Element: RealElement>(_: Element.Type) {
      switch function {
      case .absolute: replace { (x: Element) in abs(x) }
      case .negative: replace { (x: Element) in -x }
      case .sign: replace { (x: Element) in x > 0 ? 1 : x < 0 ? -1 : x }
      // A NaN is not below 0, and stays.
      case .relu: replace { (x: Element) in x < 0 ? 0 : x }
      case .ceiling: replace { (x: Element) in x.rounded(.up) }
      case .floor: replace { (x: Element) in x.rounded(.down) }
      case .round: replace { (x: Element) in x.rounded(.toNearestOrEven) }
      case .squareRoot: replace { (x: Element) in x.squareRoot() }
      case .reciprocal: replace { (x: Element) in 1 / x }
      case .exponential: replace { (x: Element) in Element.exponential(x) }
      case .logarithm: replace { (x: Element) in Element.logarithm(x) }
      case .errorFunction: replace { (x: Element) in Element.errorFunction(x) }
      case .sigmoid: replace { (x: Element) in 1 / (1 + Element.exponential(-x)) }
      case .tanh: replace { (x: Element) in Element.hyperbolicTangent(x) }
      case .softplus: replace { (x: Element) in x.softplus }
      case .softsign: replace { (x: Element) in x / (1 + abs(x)) }
      case .hardSwish: replace { (x: Element) in x * (x / 6 + 0.5).clamped(0, 1) }
      case .mish: replace { (x: Element) in x * Element.hyperbolicTangent(x.softplus) }
      }
    }

    func integers<Element: IntegerElement>(_: Element.Type) throws(GraphError) {
      switch function {
      case .absolute: replace { (x: Element) in x < 0 ? 0 &- x : x }
      case .negative: replace { (x: Element) in 0 &- x }
      case .sign: replace { (x: Element) in x.signum() }
      case .relu: replace { (x: Element) in x < 0 ? 0 : x }
      default: throw GraphError("\(Element.elementType.rawValue) is not computed with here")
      }
    }

    @inline(__always)
    private func replace<Element: TensorElement>(_ function: (Element) -> Element) {
      input.replace(into: output, function)
    }
  }

  static let entries = Function.allCases.map { function in
    OperatorEntry(function.rawValue) { (node) throws(GraphError) in
      try node.check(since: function.first, inputs: 1...1)
      try node.attributes.only()
      return Elementwise(function: function)
    }
  }
}

extension TensorView {
  /// Writes a function of each element. Inlined with its function, so that a loop has no call but those to
  /// the C library.
  ///
  /// - Precondition: the elements are of these types, and as many.
  @inline(__always)
  func replace<Element: TensorElement, Result: TensorElement>(
    into output: MutableTensorView, _ function: (Element) -> Result
  ) {
    let (source, target) = (elements(Element.self), output.elements(Result.self))
    guard let from = source.baseAddress, let to = target.baseAddress else { return }
    for index in 0..<source.count { to[index] = function(from[index]) }
  }
}

extension RealElement {
  /// ln(1 + eˣ), which for large x is x: nothing overflows.
  @inline(__always)
  var softplus: Self {
    self < 0
      ? Self.logarithmOfOnePlus(Self.exponential(self))
      : self + Self.logarithmOfOnePlus(Self.exponential(-self))
  }
}

extension OrderedElement {
  /// The upper bound where the lower one is above it. A NaN stays.
  @inline(__always)
  func clamped(_ low: Self, _ high: Self) -> Self {
    let raised = self < low ? low : self
    return raised > high ? high : raised
  }
}
