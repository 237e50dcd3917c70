import ApusEngine

/// TensorFlow's numbers for types of elements (`DataType`), and the fields that may hold a tensor's numbers.
enum TensorFlowElements {
  private static let types: [Int32: ElementType] = [
    1: .float32, 2: .float64, 3: .int32, 4: .uint8, 5: .int16, 6: .int8, 8: .complex64, 9: .int64, 10: .bool,
    14: .bfloat16, 17: .uint16, 18: .complex128, 19: .float16, 22: .uint32, 23: .uint64, 24: .float8e5m2,
    25: .float8e4m3,
  ]
  /// Those that no tensor is computed with, by TensorFlow's names.
  private static let others: [Int32: String] = [
    0: "no type", 7: "texts", 11: "qint8", 12: "quint8", 13: "qint32", 15: "qint16", 16: "quint16",
    20: "resources (variables)", 21: "variants",
  ]

  /// The type of a number.
  ///
  /// - Throws: `GraphError` with its name where it is not computed with.
  static func type(_ number: Int32) throws(GraphError) -> ElementType {
    if let type = types[number], type.isComputed { return type }
    let name = types[number]?.rawValue ?? others[number] ?? "the unknown type \(number)"
    throw GraphError("elements of \(name) are not computed with")
  }

  // MARK: Fields of `TensorProto`

  static let content = ProtobufNumbers.Field(4, "tensor_content", .bytes)
  private static let float = ProtobufNumbers.Field(5, "float_val", .numbers(.fixed32))
  private static let double = ProtobufNumbers.Field(6, "double_val", .numbers(.fixed64))
  private static let int = ProtobufNumbers.Field(7, "int_val", .numbers(.varint))
  private static let string = ProtobufNumbers.Field(8, "string_val", .texts)
  private static let int64 = ProtobufNumbers.Field(10, "int64_val", .numbers(.varint))
  private static let bool = ProtobufNumbers.Field(11, "bool_val", .numbers(.varint))
  private static let half = ProtobufNumbers.Field(13, "half_val", .numbers(.varint))
  private static let uint32 = ProtobufNumbers.Field(16, "uint32_val", .numbers(.varint))
  private static let uint64 = ProtobufNumbers.Field(17, "uint64_val", .numbers(.varint))
  static let fields = [content, float, double, int, string, int64, bool, half, uint32, uint64]

  /// Where numbers of a type may be, other than in `tensor_content`.
  static func field(for element: ElementType) -> ProtobufNumbers.Field {
    switch element {
    case .float32: float
    case .float64: double
    case .int64: int64
    case .bool: bool
    case .float16, .bfloat16: half
    case .uint32: uint32
    case .uint64: uint64
    default: int
    }
  }
}
