/// How sums of products are made, for matrix products and convolutions: the numbers' types, and what is done
/// before the first product and after the last.
///
/// A row is one of the left matrix, a column one of the right; a convolution's columns are its output
/// channels, and it has a single row.
protocol ProductSum {
  associatedtype Left: TensorElement
  associatedtype Right: TensorElement
  associatedtype Sum: BitwiseCopyable
  associatedtype Output: TensorElement

  func start(column: Int) -> Sum
  func adding(_ left: Left, _ right: Right, to sum: Sum, row: Int, column: Int) -> Sum
  func finish(_ sum: Sum, row: Int, column: Int) -> Output
}

extension ProductSum {
  /// Columns, or places of a row of a convolution's output, whose sums are kept on the stack together.
  static var tile: Int { 128 }
}

/// Numbers that are multiplied and added in their own type; whole numbers wrap.
protocol Accumulated: TensorElement {
  static var zeroSum: Self { get }
  func adding(product left: Self, _ right: Self) -> Self
}

extension Accumulated where Self: FloatingPoint {
  static var zeroSum: Self { 0 }
  @inline(__always) func adding(product left: Self, _ right: Self) -> Self { self + left * right }
}

extension Accumulated where Self: FixedWidthInteger {
  static var zeroSum: Self { 0 }
  @inline(__always) func adding(product left: Self, _ right: Self) -> Self { self &+ left &* right }
}

extension Float: Accumulated {}
extension Double: Accumulated {}
extension Int32: Accumulated {}
extension Int64: Accumulated {}
extension UInt32: Accumulated {}
extension UInt64: Accumulated {}

/// Products of numbers of one type and nothing else, with a bias for each column where there is one.
struct PlainProductSum<Number: Accumulated>: ProductSum {
  /// A number for each column.
  let bias: UnsafePointer<Number>?

  @inline(__always) func start(column: Int) -> Number { bias.map { $0[column] } ?? .zeroSum }

  @inline(__always) func adding(
    _ left: Number, _ right: Number, to sum: Number, row: Int, column: Int
  ) -> Number {
    sum.adding(product: left, right)
  }

  @inline(__always) func finish(_ sum: Number, row: Int, column: Int) -> Number { sum }
}

extension TensorView {
  /// The first element.
  ///
  /// - Precondition: `Element` is the element's type.
  func pointer<Element: TensorElement>(_: Element.Type = Element.self) -> UnsafePointer<Element> {
    precondition(Element.elementType == type.element, "elements of another type")
    return start.assumingMemoryBound(to: Element.self)
  }
}

extension MutableTensorView {
  /// The first element.
  ///
  /// - Precondition: `Element` is the element's type.
  func pointer<Element: TensorElement>(_: Element.Type = Element.self) -> UnsafeMutablePointer<Element> {
    precondition(Element.elementType == type.element, "elements of another type")
    return start.assumingMemoryBound(to: Element.self)
  }
}

extension KnownTensor {
  /// Refuses other types of elements.
  ///
  /// - Throws: `GraphError` that names the input and its type.
  func require(_ name: String, _ allowed: [ElementType]) throws(GraphError) {
    guard allowed.contains(element) else {
      let names = allowed.map(\.rawValue).joined(separator: ", ")
      throw GraphError("\(name) is \(element.rawValue), and may be: \(names)")
    }
  }

  /// Refuses a tensor of another type than a first one.
  func requireSameElement(_ name: String, as other: KnownTensor, _ otherName: String) throws(GraphError) {
    guard element == other.element else {
      throw GraphError(
        "\(name) is \(element.rawValue), but \(otherName) is \(other.element.rawValue)")
    }
  }
}

extension [TensorView?] {
  /// - Precondition: `outputTypes` has found the input there.
  subscript(required index: Int) -> TensorView {
    guard index < count, let view = self[index] else { preconditionFailure("an input is missing") }
    return view
  }

  subscript(optional index: Int) -> TensorView? { index < count ? self[index] : nil }
}

/// An error for types that `outputTypes` lets through and `compute` does not know: there are none.
func unexpected(_ element: ElementType) -> GraphError {
  GraphError("\(element.rawValue) is not computed with here")
}
