/// A function of each floating-point element with one or two numbers as parameters.
struct ParametricActivation: MapOperator {
  enum Function: String, CaseIterable {
    case leakyRelu = "LeakyRelu"
    case elu = "Elu"
    case celu = "Celu"
    case selu = "Selu"
    case hardSigmoid = "HardSigmoid"
    case thresholdedRelu = "ThresholdedRelu"
    case swish = "Swish"

    /// The opset in which it came.
    var first: Int {
      switch self {
      case .swish: 24
      case .celu: 12
      case .thresholdedRelu: 10
      default: 6
      }
    }

    /// The value of `alpha` where the file does not say it.
    var alpha: Float {
      switch self {
      case .leakyRelu: 0.01
      case .selu: 1.67326319217681884765625
      case .hardSigmoid: 0.2
      case .elu, .celu, .thresholdedRelu, .swish: 1
      }
    }

    /// The second parameter, with its value where the file does not say it.
    var other: (name: String, value: Float)? {
      switch self {
      case .selu: ("gamma", 1.05070102214813232421875)
      case .hardSigmoid: ("beta", 0.5)
      default: nil
      }
    }
  }

  let function: Function
  let alpha: Float
  let other: Float
  var name: String { function.rawValue }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let type = try inputs.required(0, "X").type
    try ElementKinds.reals.check(type.element)
    return [type]
  }

  func map(_ input: TensorView, to output: MutableTensorView) throws(GraphError) {
    try Work(activation: self, input: input, output: output).run(on: input.type.element)
  }

  private struct Work: ElementWork {
    let activation: ParametricActivation
    let input: TensorView
    let output: MutableTensorView

    func reals<Element: RealElement>(_: Element.Type) {
      let (alpha, other) = (Element(activation.alpha), Element(activation.other))
      switch activation.function {
      case .leakyRelu: replace { (x: Element) in x < 0 ? alpha * x : x }
      case .elu: replace { (x: Element) in x < 0 ? alpha * (Element.exponential(x) - 1) : x }
      case .celu: replace { (x: Element) in x < 0 ? alpha * (Element.exponential(x / alpha) - 1) : x }
      case .selu: replace { (x: Element) in other * (x > 0 ? x : alpha * Element.exponential(x) - alpha) }
      case .hardSigmoid: replace { (x: Element) in (alpha * x + other).clamped(0, 1) }
      case .thresholdedRelu: replace { (x: Element) in x > alpha ? x : 0 }
      case .swish: replace { (x: Element) in x / (1 + Element.exponential(-alpha * x)) }
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
      let other = function.other
      try node.attributes.only("alpha", other?.name ?? "alpha")
      return ParametricActivation(
        function: function, alpha: try node.attributes.float("alpha") ?? function.alpha,
        other: try other.map { (other) throws(GraphError) in
          try node.attributes.float(other.name) ?? other.value
        } ?? 0)
    }
  }
}

/// x Φ(x), where Φ is the normal distribution's function, or an approximation of it by tanh.
struct Gelu: MapOperator {
  let isApproximate: Bool
  var name: String { "Gelu" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let type = try inputs.required(0, "X").type
    try ElementKinds.reals.check(type.element)
    return [type]
  }

  func map(_ input: TensorView, to output: MutableTensorView) throws(GraphError) {
    try Work(isApproximate: isApproximate, input: input, output: output).run(on: input.type.element)
  }

  private struct Work: ElementWork {
    let isApproximate: Bool
    let input: TensorView
    let output: MutableTensorView

    func reals<Element: RealElement>(_: Element.Type) {
      if isApproximate {
        let scale = Element(0.7978845608028654)  // √(2/π)
        let cubic = Element(0.044715)
        input.replace(into: output) { (x: Element) in
          0.5 * x * (1 + Element.hyperbolicTangent(scale * (x + cubic * x * x * x)))
        }
      } else {
        let scale = Element(0.7071067811865476)  // √½
        input.replace(into: output) { (x: Element) in 0.5 * x * (1 + Element.errorFunction(x * scale)) }
      }
    }
  }

  static let entries = [
    OperatorEntry("Gelu") { (node) throws(GraphError) in
      try node.check(since: 20, inputs: 1...1)
      try node.attributes.only("approximate")
      switch try node.attributes.string("approximate") ?? "none" {
      case "none": return Gelu(isApproximate: false)
      case "tanh": return Gelu(isApproximate: true)
      case let other: throw GraphError("the approximation '\(other)' is not known")
      }
    }
  ]
}
