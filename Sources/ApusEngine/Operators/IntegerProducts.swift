/// One zero point for all, or one for each row or column.
struct ZeroPoints<Number: QuantizedElement> {
  private let start: UnsafePointer<Number>?
  private let step: Int

  /// - Parameter view: nil: 0.
  init(_ view: TensorView?) {
    start = view?.pointer()
    step = view.map { $0.type.count == 1 ? 0 : 1 } ?? 0
  }

  @inline(__always) subscript(index: Int) -> Int32 { start.map { Int32($0[index * step]) } ?? 0 }
}

/// Products of 8-bit numbers, each less its zero point, in 32 bits, which wrap.
struct IntegerProductSum<Left: QuantizedElement, Right: QuantizedElement>: ProductSum {
  let leftZeros: ZeroPoints<Left>
  let rightZeros: ZeroPoints<Right>

  @inline(__always) func start(column: Int) -> Int32 { 0 }

  @inline(__always) func adding(_ left: Left, _ right: Right, to sum: Int32, row: Int, column: Int) -> Int32 {
    sum &+ (Int32(left) - leftZeros[row]) &* (Int32(right) - rightZeros[column])
  }

  @inline(__always) func finish(_ sum: Int32, row: Int, column: Int) -> Int32 { sum }
}

/// The same, brought to 8 bits again by scales and a zero point of the output.
struct RequantizedProductSum<
  Left: QuantizedElement, Right: QuantizedElement, Output: QuantizedElement
>: ProductSum {
  let products: IntegerProductSum<Left, Right>
  /// A number for each column, in units of the product of both scales.
  let bias: UnsafePointer<Int32>?
  let leftScales: ScaleFactors
  let rightScales: ScaleFactors
  let outputScale: Float
  let outputZero: Output

  @inline(__always) func start(column: Int) -> Int32 { bias.map { $0[column] } ?? 0 }

  @inline(__always) func adding(_ left: Left, _ right: Right, to sum: Int32, row: Int, column: Int) -> Int32 {
    products.adding(left, right, to: sum, row: row, column: column)
  }

  @inline(__always) func finish(_ sum: Int32, row: Int, column: Int) -> Output {
    let factor = leftScales[row] * rightScales[column] / outputScale
    return Output(rounding: Float(sum) * factor, zero: outputZero)
  }
}

/// One scale for all, or one for each row or column.
struct ScaleFactors {
  private let start: UnsafePointer<Float>
  private let step: Int

  init(_ view: TensorView) {
    start = view.pointer()
    step = view.type.count == 1 ? 0 : 1
  }

  @inline(__always) subscript(index: Int) -> Float { start[index * step] }
}

/// Calls a function that is generic over two 8-bit types with those that two tensors have.
protocol IntegerPairOperation {
  func run<Left: QuantizedElement, Right: QuantizedElement>(
    _: Left.Type, _: Right.Type, _ inputs: [TensorView?], _ output: MutableTensorView
  ) throws(GraphError)
}

extension IntegerPairOperation {
  func run(
    _ left: ElementType, _ right: ElementType, _ inputs: [TensorView?], _ output: MutableTensorView
  ) throws(GraphError) {
    switch (left, right) {
    case (.uint8, .uint8): try run(UInt8.self, UInt8.self, inputs, output)
    case (.uint8, .int8): try run(UInt8.self, Int8.self, inputs, output)
    case (.int8, .uint8): try run(Int8.self, UInt8.self, inputs, output)
    case (.int8, .int8): try run(Int8.self, Int8.self, inputs, output)
    default: throw unexpected(left)
    }
  }
}

/// Checks of the inputs that say how whole numbers are quantized.
enum QuantizationInputs {
  static let elements: [ElementType] = [.int8, .uint8]

  /// - Throws: `GraphError` where a zero point or scale is not one for all or, along `axis`, one for each of
  ///   `count` rows (a vector, or a column in stacks of 1) or columns.
  static func check(_ parameter: KnownTensor, _ name: String, count: Int, axis: Axis) throws(GraphError) {
    let shape = parameter.shape
    if parameter.type.count == 1 { return }
    let isVector = shape == [count]
    let ending = axis == .rows ? [count, 1] : [1, count]
    let isStack = shape.count >= 2 && shape.suffix(2).elementsEqual(ending)
      && shape.dropLast(2).allSatisfy { $0 == 1 }
    guard isVector || isStack else {
      throw GraphError(
        "\(name) of shape \(shape) is neither one number nor one for each of \(count) \(axis.rawValue)")
    }
  }

  /// - Throws: `GraphError` where a parameter is not a single number.
  static func checkSingle(_ parameter: KnownTensor, _ name: String) throws(GraphError) {
    guard parameter.type.count == 1 else {
      throw GraphError("\(name) of shape \(parameter.shape) is not one number")
    }
  }

  enum Axis: String {
    case rows, columns, channels
  }
}
