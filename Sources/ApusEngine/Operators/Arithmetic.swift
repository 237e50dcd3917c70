/// Add, Sub, Mul, Div and Mod: two tensors that are broadcast together. Whole numbers wrap around; a division
/// of them by zero is an error, and one of the lowest by -1 gives the lowest.
struct Arithmetic: PairOperator {
  enum Function: String, CaseIterable {
    case add = "Add"
    case subtract = "Sub"
    case multiply = "Mul"
    case divide = "Div"
    /// The sign of the divisor, as Python has it.
    case modulo = "Mod"
  }

  let function: Function
  /// Of Mod: the sign of the dividend, as C has it.
  let isTruncated: Bool
  /// Of Mod: whether it takes floating-point numbers with the sign of the divisor, as from opset 28 on.
  let takesReals: Bool
  var name: String { function.rawValue }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (a, b) = (try inputs.required(0, "A"), try inputs.required(1, "B"))
    try inputs.sameElement(b, as: a)
    try ElementKinds.numbers.check(a.element)
    if function == .modulo, !isTruncated, !takesReals, a.element.isFloatingPoint {
      throw GraphError("Mod of floating-point numbers needs fmod=1 before opset 28")
    }
    return [try TensorType(a.element, TensorType.broadcast([a.shape, b.shape]))]
  }

  func combine(_ pair: Pair) throws(GraphError) {
    try Work(function: function, isTruncated: isTruncated, pair: pair).run(on: pair.output.type.element)
  }

  private struct Work: ElementWork {
    let function: Function
    let isTruncated: Bool
    let pair: Pair

    func reals<Element: RealElement>(_: Element.Type) {
      switch function {
      case .add: pair.combine { (a: Element, b: Element) in a + b }
      case .subtract: pair.combine { (a: Element, b: Element) in a - b }
      case .multiply: pair.combine { (a: Element, b: Element) in a * b }
      case .divide: pair.combine { (a: Element, b: Element) in a / b }
      case .modulo where isTruncated: pair.combine { (a: Element, b: Element) in Element.remainder(a, b) }
      case .modulo:
        pair.combine { (a: Element, b: Element) -> Element in
          let remainder = Element.remainder(a, b)
          if remainder == 0 { return Element(signOf: b, magnitudeOf: 0) }
          return (remainder < 0) != (b < 0) ? remainder + b : remainder
        }
      }
    }

    func integers<Element: IntegerElement>(_: Element.Type) throws(GraphError) {
      switch function {
      case .add: pair.combine { (a: Element, b: Element) in a &+ b }
      case .subtract: pair.combine { (a: Element, b: Element) in a &- b }
      case .multiply: pair.combine { (a: Element, b: Element) in a &* b }
      case .divide:
        try refuseZeros(Element.self)
        pair.combine { (a: Element, b: Element) in a.dividedReportingOverflow(by: b).partialValue }
      case .modulo:
        try refuseZeros(Element.self)
        if isTruncated {
          pair.combine { (a: Element, b: Element) in a.remainderReportingOverflow(dividingBy: b).partialValue
          }
        } else {
          pair.combine { (a: Element, b: Element) -> Element in
            let remainder = a.remainderReportingOverflow(dividingBy: b).partialValue
            return remainder != 0 && (remainder < 0) != (b < 0) ? remainder &+ b : remainder
          }
        }
      }
    }

    private func refuseZeros<Element: IntegerElement>(_: Element.Type) throws(GraphError) {
      guard pair.walk.count == 0 || !pair.b.elements(Element.self).contains(0) else {
        throw GraphError("a whole number is divided by zero")
      }
    }
  }

  static let entries = Function.allCases.map { function in
    OperatorEntry(function.rawValue) { (node) throws(GraphError) in
      let isModulo = function == .modulo
      try node.check(since: isModulo ? 10 : 7, inputs: 2...2)
      if isModulo { try node.attributes.only("fmod") } else { try node.attributes.only() }
      return Arithmetic(
        function: function, isTruncated: try node.attributes.flag("fmod"), takesReals: node.opset >= 28)
    }
  }
}

/// Two inputs that are broadcast to an output.
struct Pair {
  let a: TensorView
  let b: TensorView
  let output: MutableTensorView
  let walk: Walk

  /// - Precondition: both shapes can be broadcast to the output's.
  init(_ a: TensorView, _ b: TensorView, _ output: MutableTensorView) {
    self.init(a, b, output, Walk(output.type.shape, broadcasting: a.type.shape, b.type.shape))
  }

  /// - Parameter walk: in the output's order, with the strides of both in lanes 0 and 1.
  init(_ a: TensorView, _ b: TensorView, _ output: MutableTensorView, _ walk: Walk) {
    self.a = a
    self.b = b
    self.output = output
    self.walk = walk
  }

  /// Writes a function of every pair. Inlined with its function; the usual steps have loops of their own,
  /// which the compiler makes vector code of.
  ///
  /// - Precondition: the elements are of these types.
  @inline(__always)
  func combine<A: TensorElement, B: TensorElement, Result: TensorElement>(_ function: (A, B) -> Result) {
    let (left, right) = (a.elements(A.self), b.elements(B.self))
    let target = output.elements(Result.self)
    guard let left = left.baseAddress, let right = right.baseAddress, let target = target.baseAddress else {
      return
    }
    let (run, stepA, stepB) = (walk.run, walk.step[0], walk.step[1])
    walk.forEachRun { place, offsets in
      let (left, right, target) = (left + offsets[0], right + offsets[1], target + place)
      if stepA == 1, stepB == 1 {
        for index in 0..<run { target[index] = function(left[index], right[index]) }
      } else if stepA == 1, stepB == 0 {
        let value = right[0]
        for index in 0..<run { target[index] = function(left[index], value) }
      } else {
        for index in 0..<run { target[index] = function(left[index &* stepA], right[index &* stepB]) }
      }
    }
  }
}
