/// Pow: the base's type is the result's, whatever that of the exponent. Whole numbers wrap around; one to a
/// negative power is the whole part of the fraction, and 0 to one is 0.
struct Power: PairOperator {
  var name: String { "Pow" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (base, exponent) = (try inputs.required(0, "X"), try inputs.required(1, "Y"))
    try ElementKinds.numbers.check(base.element)
    try ElementKinds.numbers.check(exponent.element)
    return [try TensorType(base.element, TensorType.broadcast([base.shape, exponent.shape]))]
  }

  func combine(_ pair: Pair) throws(GraphError) {
    try Bases(pair: pair).run(on: pair.a.type.element)
  }

  private struct Bases: ElementWork {
    let pair: Pair

    func reals<Base: RealElement>(_: Base.Type) throws(GraphError) {
      // A square, as in every spelled out normalization, needs no call for each number.
      if pair.b.type.count == 1, pair.b.type.element == Base.elementType, pair.b.elements(Base.self)[0] == 2 {
        pair.combine { (base: Base, _: Base) in base * base }
      } else {
        try RealBase<Base>(pair: pair).run(on: pair.b.type.element)
      }
    }

    func integers<Base: IntegerElement>(_: Base.Type) throws(GraphError) {
      try IntegerBase<Base>(pair: pair).run(on: pair.b.type.element)
    }
  }

  private struct RealBase<Base: RealElement>: ElementWork {
    let pair: Pair

    func reals<Exponent: RealElement>(_: Exponent.Type) {
      if Exponent.self == Base.self {
        pair.combine { (base: Base, exponent: Base) in Base.power(base, exponent) }
      } else {
        pair.combine { (base: Base, exponent: Exponent) in Base(Double.power(Double(base), Double(exponent)))
        }
      }
    }

    func integers<Exponent: IntegerElement>(_: Exponent.Type) {
      pair.combine { (base: Base, exponent: Exponent) in Base(Double.power(Double(base), Double(exponent))) }
    }
  }

  private struct IntegerBase<Base: IntegerElement>: ElementWork {
    let pair: Pair

    func reals<Exponent: RealElement>(_: Exponent.Type) {
      pair.combine { (base: Base, exponent: Exponent) in
        Base(truncatingIfNeeded: Double.power(Double(base), Double(exponent)).truncatedToInt64)
      }
    }

    func integers<Exponent: IntegerElement>(_: Exponent.Type) {
      pair.combine { (base: Base, exponent: Exponent) in Self.power(base, exponent) }
    }

    private static func power<Exponent: IntegerElement>(_ base: Base, _ exponent: Exponent) -> Base {
      guard exponent >= 0 else {
        if base == 1 { return 1 }
        return base &+ 1 == 0 && Base.isSigned ? (exponent & 1 == 0 ? 1 : base) : 0
      }
      var (result, square, left) = (1 as Base, base, exponent)
      while left > 0 {
        if left & 1 == 1 { result = result &* square }
        square = square &* square
        left >>= 1
      }
      return result
    }
  }

  static let entries = [
    OperatorEntry("Pow") { (node) throws(GraphError) in
      try node.check(since: 7, inputs: 2...2)
      try node.attributes.only()
      return Power()
    }
  ]
}
