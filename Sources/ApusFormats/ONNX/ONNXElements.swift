import ApusEngine

/// ONNX's numbers for types of elements (`TensorProto.DataType`).
enum ONNXElements {
  private static let types: [Int32: ElementType] = [
    1: .float32, 2: .uint8, 3: .int8, 4: .uint16, 5: .int16, 6: .int32, 7: .int64, 9: .bool, 10: .float16,
    11: .float64, 12: .uint32, 13: .uint64, 14: .complex64, 15: .complex128, 16: .bfloat16, 17: .float8e4m3,
    19: .float8e5m2,
  ]
  /// Those that no tensor is computed with, by ONNX's names.
  private static let others: [Int32: String] = [
    0: "no type", 8: "texts", 18: "FLOAT8E4M3FNUZ", 20: "FLOAT8E5M2FNUZ", 21: "UINT4", 22: "INT4",
    23: "FLOAT4E2M1", 24: "FLOAT8E8M0", 25: "UINT2", 26: "INT2", 27: "FLOAT6E2M3", 28: "FLOAT6E3M2",
  ]

  /// The type of a number, or its name where it is not computed with.
  static func type(_ number: Int32) -> Result<ElementType, GraphError> {
    if let type = types[number], type.isComputed { return .success(type) }
    let name = types[number]?.rawValue ?? others[number] ?? "the unknown type \(number)"
    return .failure(GraphError("elements of \(name) are not computed with"))
  }

  /// The number of a type that is computed with.
  static func number(of type: ElementType) -> Int? { types.first { $0.value == type }.map { Int($0.key) } }

  // MARK: Fields of `TensorProto` that may hold numbers

  static let raw = ProtobufNumbers.Field(9, "raw_data", .bytes)
  private static let float = ProtobufNumbers.Field(4, "float_data", .numbers(.fixed32))
  private static let int32 = ProtobufNumbers.Field(5, "int32_data", .numbers(.varint))
  private static let int64 = ProtobufNumbers.Field(7, "int64_data", .numbers(.varint))
  private static let double = ProtobufNumbers.Field(10, "double_data", .numbers(.fixed64))
  private static let uint64 = ProtobufNumbers.Field(11, "uint64_data", .numbers(.varint))
  private static let string = ProtobufNumbers.Field(6, "string_data", .texts)
  static let fields = [raw, float, int32, int64, double, uint64, string]

  /// Where numbers of a type may be, other than in `raw_data`.
  static func field(for element: ElementType) -> ProtobufNumbers.Field {
    switch element {
    case .float32, .complex64: float
    case .float64, .complex128: double
    case .int64: int64
    case .uint32, .uint64: uint64
    default: int32
    }
  }
}
