/// Cast: the same numbers as elements of another type. A floating-point number loses its fraction on the way
/// to a whole one, which keeps its low bits on the way to a narrower one; what is not zero is true.
struct Casting: MapOperator {
  let target: ElementType
  var name: String { "Cast" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let type = try inputs.required(0, "input").type
    guard type.element.isComputed else { throw GraphError("\(type.element.rawValue) is not computed with") }
    return [try TensorType(target, type.shape)]
  }

  func map(_ input: TensorView, to output: MutableTensorView) {
    switch input.type.element {
    case .float64: convert(Double.self, input, output)
    case .float32: convert(Float.self, input, output)
    case .float16: convert(Float16Bits.self, input, output)
    case .bfloat16: convert(BFloat16Bits.self, input, output)
    case .int64: convert(Int64.self, input, output)
    case .int32: convert(Int32.self, input, output)
    case .int16: convert(Int16.self, input, output)
    case .int8: convert(Int8.self, input, output)
    case .uint64: convert(UInt64.self, input, output)
    case .uint32: convert(UInt32.self, input, output)
    case .uint16: convert(UInt16.self, input, output)
    case .uint8: convert(UInt8.self, input, output)
    case .bool: convert(TensorBool.self, input, output)
    case .complex64, .complex128, .float8e4m3, .float8e5m2: break  // refused before
    }
  }

  private func convert<Source: ConvertibleElement>(
    _: Source.Type, _ input: TensorView, _ output: MutableTensorView
  ) {
    switch target {
    case .float64: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: Double.self) }
    case .float32: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: Float.self) }
    case .float16: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: Float16Bits.self) }
    case .bfloat16: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: BFloat16Bits.self) }
    case .int64: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: Int64.self) }
    case .int32: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: Int32.self) }
    case .int16: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: Int16.self) }
    case .int8: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: Int8.self) }
    case .uint64: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: UInt64.self) }
    case .uint32: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: UInt32.self) }
    case .uint16: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: UInt16.self) }
    case .uint8: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: UInt8.self) }
    case .bool: input.replace(into: output) { (x: Source) in x.wide.narrowed(to: TensorBool.self) }
    case .complex64, .complex128, .float8e4m3, .float8e5m2: break  // refused before
    }
  }

  static let entries = [
    OperatorEntry("Cast") { (node) throws(GraphError) in
      try node.check(since: 6, inputs: 1...1)
      switch node.opset {
      // `saturate` and `round_mode` are about 8-bit floating-point numbers alone.
      case 24...: try node.attributes.only("to", "saturate", "round_mode")
      case 19...: try node.attributes.only("to", "saturate")
      default: try node.attributes.only("to")
      }
      guard let number = try node.attributes.int("to") else {
        throw GraphError("the attribute 'to' is missing")
      }
      guard let target = ElementType(onnx: number), target.isComputed else {
        throw GraphError("elements of ONNX's type \(number) are not computed with")
      }
      return Casting(target: target)
    }
  ]
}

extension ElementType {
  /// By the numbers of ONNX's `TensorProto.DataType`; nil for a type that is not known here.
  package init?(onnx number: Int) {
    let types: [Int: ElementType] = [
      1: .float32, 2: .uint8, 3: .int8, 4: .uint16, 5: .int16, 6: .int32, 7: .int64, 9: .bool, 10: .float16,
      11: .float64, 12: .uint32, 13: .uint64, 14: .complex64, 15: .complex128, 16: .bfloat16,
      17: .float8e4m3, 19: .float8e5m2,
    ]
    guard let type = types[number] else { return nil }
    self = type
  }
}
