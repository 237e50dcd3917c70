import Glibc

/// An element that is a number or a truth, with an order.
protocol OrderedElement: TensorElement, Comparable {
  /// Nothing is below it.
  static var lowest: Self { get }
  /// Nothing is above it.
  static var highest: Self { get }
  /// Whether it is none of the numbers, and so has no place in their order.
  var isUnordered: Bool { get }
}

/// A whole number.
protocol IntegerElement: OrderedElement, FixedWidthInteger {}

/// A floating-point number, with the C library's functions for it.
protocol RealElement: OrderedElement, BinaryFloatingPoint {
  static func exponential(_ x: Self) -> Self
  static func logarithm(_ x: Self) -> Self
  /// ln(1 + x)
  static func logarithmOfOnePlus(_ x: Self) -> Self
  static func hyperbolicTangent(_ x: Self) -> Self
  static func errorFunction(_ x: Self) -> Self
  static func power(_ x: Self, _ y: Self) -> Self
  static func remainder(_ x: Self, _ y: Self) -> Self
}

extension IntegerElement {
  static var lowest: Self { min }
  static var highest: Self { max }
  var isUnordered: Bool { false }
}

extension RealElement {
  static var lowest: Self { -.infinity }
  static var highest: Self { .infinity }
  var isUnordered: Bool { isNaN }
}

extension Int8: IntegerElement {}
extension Int16: IntegerElement {}
extension Int32: IntegerElement {}
extension Int64: IntegerElement {}
extension UInt8: IntegerElement {}
extension UInt16: IntegerElement {}
extension UInt32: IntegerElement {}
extension UInt64: IntegerElement {}

extension TensorBool: OrderedElement {
  static var lowest: TensorBool { TensorBool(false) }
  static var highest: TensorBool { TensorBool(true) }
  var isUnordered: Bool { false }
  package static func == (left: TensorBool, right: TensorBool) -> Bool { left.value == right.value }
  package static func < (left: TensorBool, right: TensorBool) -> Bool { !left.value && right.value }
}

extension Float: RealElement {
  @inline(__always) static func exponential(_ x: Float) -> Float { expf(x) }
  @inline(__always) static func logarithm(_ x: Float) -> Float { logf(x) }
  @inline(__always) static func logarithmOfOnePlus(_ x: Float) -> Float { log1pf(x) }
  @inline(__always) static func hyperbolicTangent(_ x: Float) -> Float { tanhf(x) }
  @inline(__always) static func errorFunction(_ x: Float) -> Float { erff(x) }
  @inline(__always) static func power(_ x: Float, _ y: Float) -> Float { powf(x, y) }
  @inline(__always) static func remainder(_ x: Float, _ y: Float) -> Float { fmodf(x, y) }
}

extension Double: RealElement {
  @inline(__always) static func exponential(_ x: Double) -> Double { exp(x) }
  @inline(__always) static func logarithm(_ x: Double) -> Double { log(x) }
  @inline(__always) static func logarithmOfOnePlus(_ x: Double) -> Double { log1p(x) }
  @inline(__always) static func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }
  @inline(__always) static func errorFunction(_ x: Double) -> Double { erf(x) }
  @inline(__always) static func power(_ x: Double, _ y: Double) -> Double { pow(x, y) }
  @inline(__always) static func remainder(_ x: Double, _ y: Double) -> Double { fmod(x, y) }
}

/// Work on elements of a type that is known when a graph is read. Types that it does not take are refused by
/// `outputTypes` before.
protocol ElementWork {
  func reals<Element: RealElement>(_: Element.Type) throws(GraphError)
  func integers<Element: IntegerElement>(_: Element.Type) throws(GraphError)
  func truths() throws(GraphError)
}

extension ElementWork {
  func integers<Element: IntegerElement>(_: Element.Type) throws(GraphError) {
    throw GraphError("\(Element.elementType.rawValue) is not computed with here")
  }
  func truths() throws(GraphError) { throw GraphError("bool is not computed with here") }

  /// - Throws: `GraphError` for a type that there is no work for.
  func run(on element: ElementType) throws(GraphError) {
    switch element {
    case .float32: try reals(Float.self)
    case .float64: try reals(Double.self)
    case .int64: try integers(Int64.self)
    case .int32: try integers(Int32.self)
    case .int16: try integers(Int16.self)
    case .int8: try integers(Int8.self)
    case .uint64: try integers(UInt64.self)
    case .uint32: try integers(UInt32.self)
    case .uint16: try integers(UInt16.self)
    case .uint8: try integers(UInt8.self)
    case .bool: try truths()
    default: throw GraphError("\(element.rawValue) is not computed with here")
    }
  }
}

/// The types of elements that an operator takes.
struct ElementKinds: OptionSet {
  let rawValue: Int
  static let reals = ElementKinds(rawValue: 1)
  static let integers = ElementKinds(rawValue: 2)
  static let truths = ElementKinds(rawValue: 4)
  static let numbers: ElementKinds = [.reals, .integers]
  static let all: ElementKinds = [.reals, .integers, .truths]

  /// - Throws: `GraphError` for an element of none of these kinds.
  func check(_ element: ElementType) throws(GraphError) {
    let kind: ElementKinds =
      switch element {
      case .float32, .float64: .reals
      case .bool: .truths
      case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8: .integers
      default: []
      }
    guard !kind.isEmpty, contains(kind) else {
      throw GraphError("\(element.rawValue) is not computed with here")
    }
  }
}

extension NodeDescription {
  /// Refuses a node of an opset before the operator's first, and one with other numbers of inputs or outputs.
  func check(
    since first: Int = 1, inputs allowed: ClosedRange<Int>, outputs allowedOutputs: ClosedRange<Int> = 1...1
  ) throws(GraphError) {
    guard opset >= first else { throw GraphError("the operator is not in opset \(opset), but from \(first)") }
    guard allowed.contains(inputs) else {
      throw GraphError("the operator does not take \(inputs) inputs in opset \(opset)")
    }
    guard allowedOutputs.contains(outputs) else {
      throw GraphError("the operator does not give \(outputs) outputs in opset \(opset)")
    }
  }
}

extension [KnownTensor?] {
  /// Refuses an input whose elements are not of the type of another.
  func sameElement(_ tensor: KnownTensor, as first: KnownTensor) throws(GraphError) {
    guard tensor.element == first.element else {
      throw GraphError("\(first.element.rawValue) and \(tensor.element.rawValue) do not go together")
    }
  }
}

extension [TensorView?] {
  /// The input of this place, which `outputTypes` has asked for.
  ///
  /// - Throws: `GraphError` where it is left out.
  func required(_ index: Int) throws(GraphError) -> TensorView {
    guard let input = optional(index) else { throw GraphError("an input is missing") }
    return input
  }

  func optional(_ index: Int) -> TensorView? { index < count ? self[index] : nil }
}
