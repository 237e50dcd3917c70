/// ReduceSum, ReduceMean, ReduceMax and their kin: one number of all along some axes.
///
/// Floating-point numbers are added up in double precision; whole numbers wrap around.
struct Reduction: Operator {
  enum Function: String, CaseIterable {
    case sum = "ReduceSum"
    case mean = "ReduceMean"
    case max = "ReduceMax"
    case min = "ReduceMin"
    case product = "ReduceProd"
    case sumOfMagnitudes = "ReduceL1"
    case norm = "ReduceL2"
    case sumOfSquares = "ReduceSumSquare"
    case logarithmOfSum = "ReduceLogSum"
    case logarithmOfExponentials = "ReduceLogSumExp"

    var kinds: ElementKinds {
      switch self {
      case .max, .min: .all
      default: .numbers
      }
    }
  }

  let function: Function
  let axes: Parameter
  let keepsDimensions: Bool
  /// Whether no axes mean none, rather than all.
  let isIdentityWithoutAxes: Bool
  var name: String { function.rawValue }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let data = try inputs.required(0, "data")
    try function.kinds.check(data.element)
    let isReduced = try reduced(data.type, axes.read(inputs))
    let shape = zip(data.shape, isReduced).compactMap { size, isReduced in
      isReduced ? (keepsDimensions ? 1 : nil) : size
    }
    return [try TensorType(data.element, shape)]
  }

  /// Whether each of the input's dimensions is reduced.
  private func reduced(_ type: TensorType, _ axes: [Int]?) throws(GraphError) -> [Bool] {
    if let axes, !axes.isEmpty { return try type.marks(axes) }
    return [Bool](repeating: !isIdentityWithoutAxes, count: type.rank)
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (data, output) = (try inputs.required(0), outputs[0])
    let isReduced = try reduced(data.type, axes.read(inputs))
    let fold = Fold(data, isReduced, output)
    guard fold.kept.count == output.type.count else { throw GraphError("the axes are others than before") }
    try Work(function: function, fold: fold).run(on: data.type.element)
  }

  private struct Work: ElementWork {
    let function: Function
    let fold: Fold

    func reals<Element: RealElement>(_: Element.Type) {
      let count = Double(fold.folded.count)
      switch function {
      case .sum:
        sum { (x: Element) in
          Double(x)
        } finish: {
          $0
        }
      case .mean:
        sum { (x: Element) in
          Double(x)
        } finish: {
          $0 / count
        }
      case .sumOfMagnitudes:
        sum { (x: Element) in
          Double(abs(x))
        } finish: {
          $0
        }
      case .norm:
        sum { (x: Element) in
          Double(x) * Double(x)
        } finish: {
          $0.squareRoot()
        }
      case .sumOfSquares:
        sum { (x: Element) in
          Double(x) * Double(x)
        } finish: {
          $0
        }
      case .logarithmOfSum:
        sum { (x: Element) in
          Double(x)
        } finish: {
          Double.logarithm($0)
        }
      case .product:
        fold.each(from: 1.0) { (product: Double, x: Element) in
          product * Double(x)
        } finish: {
          Element($0)
        }
      case .max:
        fold.each(from: Element.lowest) { (a: Element, x: Element) in
          a.isNaN || a > x ? a : x
        } finish: {
          $0
        }
      case .min:
        fold.each(from: Element.highest) { (a: Element, x: Element) in
          a.isNaN || a < x ? a : x
        } finish: {
          $0
        }
      case .logarithmOfExponentials:
        fold.each(from: ExponentialSum()) { (sum: ExponentialSum, x: Element) in
          sum.adding(Double(x))
        } finish: {
          Element($0.logarithm)
        }
      }
    }

    @inline(__always)
    private func sum<Element: RealElement>(
      _ term: (Element) -> Double, finish: (Double) -> Double
    ) {
      fold.each(from: 0.0) { (sum: Double, x: Element) in
        sum + term(x)
      } finish: {
        Element(finish($0))
      }
    }

    func integers<Element: IntegerElement>(_: Element.Type) throws(GraphError) {
      switch function {
      case .sum:
        fold.each(from: 0 as Element) { (sum, x: Element) in
          sum &+ x
        } finish: {
          $0
        }
      case .sumOfMagnitudes:
        fold.each(from: 0 as Element) { (sum, x: Element) in
          x < 0 ? sum &- x : sum &+ x
        } finish: {
          $0
        }
      case .sumOfSquares:
        fold.each(from: 0 as Element) { (sum, x: Element) in
          sum &+ x &* x
        } finish: {
          $0
        }
      case .product:
        fold.each(from: 1 as Element) { (product, x: Element) in
          product &* x
        } finish: {
          $0
        }
      case .max:
        fold.each(from: Element.lowest) { (a, x: Element) in
          Swift.max(a, x)
        } finish: {
          $0
        }
      case .min:
        fold.each(from: Element.highest) { (a, x: Element) in
          Swift.min(a, x)
        } finish: {
          $0
        }
      case .mean:
        guard fold.folded.count > 0 || fold.kept.count == 0 else {
          throw GraphError("there is no mean of no whole numbers")
        }
        let count = Double(fold.folded.count)
        sum { (x: Element) in
          Double(x)
        } finish: {
          $0 / count
        }
      case .norm:
        sum { (x: Element) in
          Double(x) * Double(x)
        } finish: {
          $0.squareRoot()
        }
      case .logarithmOfSum:
        sum { (x: Element) in
          Double(x)
        } finish: {
          Double.logarithm($0)
        }
      case .logarithmOfExponentials:
        fold.each(from: ExponentialSum()) { (sum: ExponentialSum, x: Element) in
          sum.adding(Double(x))
        } finish: {
          Element(truncatingIfNeeded: $0.logarithm.truncatedToInt64)
        }
      }
    }

    @inline(__always)
    private func sum<Element: IntegerElement>(
      _ term: (Element) -> Double, finish: (Double) -> Double
    ) {
      fold.each(from: 0.0) { (sum: Double, x: Element) in
        sum + term(x)
      } finish: {
        Element(truncatingIfNeeded: finish($0).truncatedToInt64)
      }
    }

    func truths() throws(GraphError) {
      let isMaximum = function == .max
      fold.each(from: TensorBool(!isMaximum)) { (found: TensorBool, x: TensorBool) in
        TensorBool(isMaximum ? found.value || x.value : found.value && x.value)
      } finish: {
        $0
      }
    }
  }

  static let entries = Function.allCases.map { function in
    OperatorEntry(function.rawValue) { (node) throws(GraphError) in
      // The axes of ReduceSum became an input before those of the others.
      guard node.opset >= (function == .sum ? 13 : 18) else {
        try node.check(inputs: 1...1)
        try node.attributes.only("axes", "keepdims")
        return Reduction(
          function: function, axes: .fixed(try node.attributes.ints("axes")),
          keepsDimensions: try node.attributes.int("keepdims") != 0, isIdentityWithoutAxes: false)
      }
      try node.check(inputs: 1...2)
      try node.attributes.only("keepdims", "noop_with_empty_axes")
      return Reduction(
        function: function, axes: .input(1, "axes"),
        keepsDimensions: try node.attributes.int("keepdims") != 0,
        isIdentityWithoutAxes: try node.attributes.flag("noop_with_empty_axes"))
    }
  }
}

/// ln Σ eˣ without overflow: the sum is of powers relative to the largest exponent so far.
private struct ExponentialSum {
  private var largest = -Double.infinity
  private var sum = 0.0

  func adding(_ x: Double) -> ExponentialSum {
    var result = self
    // Equal infinities have no difference, but e^0 as their ratio; a NaN goes into the sum.
    if x == largest {
      result.sum += 1
    } else if x > largest {
      result.sum = sum * Double.exponential(largest - x) + 1
      result.largest = x
    } else {
      result.sum += Double.exponential(x - largest)
    }
    return result
  }

  /// That of nothing is -∞.
  var logarithm: Double { largest + Double.logarithm(sum) }
}

/// A tensor as an array of arrays: those dimensions that are kept, and in each of their places those that
/// become one number.
struct Fold {
  let kept: Walk
  let folded: Walk
  private let input: TensorView
  private let output: MutableTensorView

  init(_ input: TensorView, _ isFolded: [Bool], _ output: MutableTensorView) {
    let strides = Walk.strides(of: input.type.shape)
    func walk(_ wanted: Bool) -> Walk {
      let axes = isFolded.indices.filter { isFolded[$0] == wanted }
      return Walk(axes.map { input.type.shape[$0] }, axes.map { SIMD4(strides[$0], 0, 0, 0) })
    }
    kept = walk(false)
    folded = walk(true)
    self.input = input
    self.output = output
  }

  /// Writes for each kept place what `finish` makes of all numbers there, joined from `start` on.
  @inline(__always)
  func each<Element: TensorElement, Joined>(
    from start: Joined, _ join: (Joined, Element) -> Joined, finish: (Joined) -> Element
  ) {
    guard let target = output.elements(Element.self).baseAddress, kept.count > 0 else { return }
    let source = input.elements(Element.self).baseAddress
    kept.forEach { place, offsets in
      var joined = start
      if let source {
        let (run, step) = (folded.run, folded.step[0])
        folded.forEachRun(from: offsets) { _, offsets in
          let values = source + offsets[0]
          if step == 1 {
            for index in 0..<run { joined = join(joined, values[index]) }
          } else {
            for index in 0..<run { joined = join(joined, values[index &* step]) }
          }
        }
      }
      target[place] = finish(joined)
    }
  }
}
