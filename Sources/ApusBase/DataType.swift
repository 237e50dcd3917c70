/// The type of one element of a tensor; the raw values are those of `apus.v1.DataType`.
public enum DataType: UInt32, Sendable, CaseIterable {
  case float32 = 1
  case float64 = 2
  case float16 = 3
  case bfloat16 = 4
  case int8 = 5
  case uint8 = 6
  case int32 = 7
  case uint32 = 8
  case int64 = 9
  case bool = 10
  case utf8 = 11
  case bytes = 12

  /// Bytes of one element; 0 for texts and byte strings, whose lengths differ.
  @inlinable public var byteCount: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16: 2
    case .int8, .uint8, .bool: 1
    case .utf8, .bytes: 0
    }
  }

  /// The name that model manifests and NumPy use, for example `float32`.
  package var name: String {
    switch self {
    case .float32: "float32"
    case .float64: "float64"
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .int8: "int8"
    case .uint8: "uint8"
    case .int32: "int32"
    case .uint32: "uint32"
    case .int64: "int64"
    case .bool: "bool"
    case .utf8: "utf8"
    case .bytes: "bytes"
    }
  }
}
