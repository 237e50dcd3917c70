/// The type of a tensor's elements in a file or a graph; the raw values are PyTorch's names
/// (`torch.float32`).
package enum ElementType: String, Sendable, CaseIterable {
  case float64, float32, float16, bfloat16
  case int64, int32, int16, int8
  case uint64, uint32, uint16, uint8
  case bool
  case complex64, complex128
  case float8e4m3 = "float8_e4m3fn"
  case float8e5m2 = "float8_e5m2"

  /// Bytes of one element.
  package var byteCount: Int {
    switch self {
    case .complex128: 16
    case .float64, .int64, .uint64, .complex64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .int8, .uint8, .bool, .float8e4m3, .float8e5m2: 1
    }
  }

  /// Whether weights may be of this type.
  package var isFloatingPoint: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16: true
    default: false
    }
  }

  /// Whether it is floating point of 16 bits.
  package var isHalf: Bool { self == .float16 || self == .bfloat16 }

  /// Whether a graph computes with it: no complex numbers, and none of 8-bit floating point.
  package var isComputed: Bool {
    switch self {
    case .complex64, .complex128, .float8e4m3, .float8e5m2: false
    default: true
    }
  }
}

extension Float {
  /// The value of an IEEE 754 binary16 number: 1 sign, 5 exponent (bias 15) and 10 fraction bits. Exact.
  package init(float16 bits: UInt16) {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1f
    let fraction = UInt32(bits & 0x3ff)
    switch exponent {
    case 0:
      // Zero and subnormal numbers: fraction × 2^-24, which a Float holds exactly.
      let magnitude = Float(fraction) * 0x1p-24
      self = sign == 0 ? magnitude : -magnitude
    case 0x1f:
      self = Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
    default:
      self = Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }

  /// The value of a bfloat16 number: the upper half of a Float's bits. Exact.
  package init(bfloat16 bits: UInt16) { self.init(bitPattern: UInt32(bits) << 16) }
}
