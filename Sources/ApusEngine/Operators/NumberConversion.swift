/// An element that Cast makes others of, by way of a number wide enough for it.
protocol ConvertibleElement: TensorElement {
  associatedtype Wide: WideNumber
  /// Exactly its value.
  var wide: Wide { get }
  init(wide: Double)
  init(wide: Int64)
  init(wide: UInt64)
}

/// One of the three numbers that conversions go by.
protocol WideNumber {
  func narrowed<Element: ConvertibleElement>(to _: Element.Type) -> Element
}

extension Double: WideNumber {
  @inline(__always)
  func narrowed<Element: ConvertibleElement>(to _: Element.Type) -> Element { Element(wide: self) }
}
extension Int64: WideNumber {
  @inline(__always)
  func narrowed<Element: ConvertibleElement>(to _: Element.Type) -> Element { Element(wide: self) }
}
extension UInt64: WideNumber {
  @inline(__always)
  func narrowed<Element: ConvertibleElement>(to _: Element.Type) -> Element { Element(wide: self) }
}

// What x86 makes of a floating-point number without a place among the whole numbers is the lowest of them,
// and models that rely on it get the same from any implementation there.

extension Double {
  /// Without its fraction; the lowest number for a NaN and for one that is out of range.
  var truncatedToInt64: Int64 { self > -0x1p63 && self < 0x1p63 ? Int64(self) : .min }

  var truncatedToInt32: Int32 { self > -0x1p31 - 1 && self < 0x1p31 ? Int32(self) : .min }

  var truncatedToUInt32: UInt32 {
    guard self >= 0x1p31 else { return UInt32(bitPattern: truncatedToInt32) }
    return UInt32(bitPattern: (self - 0x1p31).truncatedToInt32) ^ 1 << 31
  }

  var truncatedToUInt64: UInt64 {
    guard self >= 0x1p63 else { return UInt64(bitPattern: truncatedToInt64) }
    return UInt64(bitPattern: (self - 0x1p63).truncatedToInt64) ^ 1 << 63
  }
}

extension ConvertibleElement where Self: FixedWidthInteger {
  // Narrower numbers are what is left of 32 bits, as compilers do it.
  init(wide: Double) {
    switch Self.bitWidth {
    case 64 where !Self.isSigned: self.init(truncatingIfNeeded: wide.truncatedToUInt64)
    case 64: self.init(truncatingIfNeeded: wide.truncatedToInt64)
    case 32 where !Self.isSigned: self.init(truncatingIfNeeded: wide.truncatedToUInt32)
    default: self.init(truncatingIfNeeded: wide.truncatedToInt32)
    }
  }
  init(wide: Int64) { self.init(truncatingIfNeeded: wide) }
  init(wide: UInt64) { self.init(truncatingIfNeeded: wide) }
}

extension ConvertibleElement where Self: FixedWidthInteger, Wide == Int64 {
  var wide: Int64 { Int64(truncatingIfNeeded: self) }
}

extension Int8: ConvertibleElement { typealias Wide = Int64 }
extension Int16: ConvertibleElement { typealias Wide = Int64 }
extension Int32: ConvertibleElement { typealias Wide = Int64 }
extension Int64: ConvertibleElement { typealias Wide = Int64 }
extension UInt8: ConvertibleElement { typealias Wide = Int64 }
extension UInt16: ConvertibleElement { typealias Wide = Int64 }
extension UInt32: ConvertibleElement { typealias Wide = Int64 }
extension UInt64: ConvertibleElement { var wide: UInt64 { self } }

extension Float: ConvertibleElement {
  var wide: Double { Double(self) }
  init(wide: Double) { self.init(wide) }
  init(wide: Int64) { self.init(wide) }
  init(wide: UInt64) { self.init(wide) }
}

extension Double: ConvertibleElement {
  var wide: Double { self }
  init(wide: Double) { self = wide }
  init(wide: Int64) { self.init(wide) }
  init(wide: UInt64) { self.init(wide) }
}

extension TensorBool: ConvertibleElement {
  var wide: Int64 { value ? 1 : 0 }
  init(wide: Double) { self.init(wide != 0) }
  init(wide: Int64) { self.init(wide != 0) }
  init(wide: UInt64) { self.init(wide != 0) }
}

/// The bits of an IEEE 754 binary16 number.
struct Float16Bits: ConvertibleElement {
  let bits: UInt16
  static var elementType: ElementType { .float16 }
  var wide: Double { Double(Float(float16: bits)) }
  init(wide: Double) { self.init(Float(wide)) }
  init(wide: Int64) { self.init(Float(wide)) }
  init(wide: UInt64) { self.init(Float(wide)) }

  /// The nearest number, and of two that are as near the one with an even last bit; infinity for one that is
  /// too large, and a quiet NaN for a NaN.
  init(_ value: Float) {
    let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16) & 0x8000
    let magnitude = value.bitPattern & 0x7fff_ffff
    if magnitude > 0x7f80_0000 {
      bits = sign | 0x7e00
    } else if magnitude >= 0x477f_f000 {
      bits = sign | 0x7c00
    } else if magnitude < 0x3880_0000 {
      // Below 2⁻¹⁴ numbers are multiples of 2⁻²⁴, which adding ½ rounds to: its last bit is worth as much.
      bits = sign | UInt16(truncatingIfNeeded: (value.magnitude + 0.5).bitPattern &- Float(0.5).bitPattern)
    } else {
      // The exponent's bias becomes 15, and the 13 bits that go are rounded.
      let rounded = magnitude &- 112 << 23 &+ 0xfff &+ (magnitude >> 13 & 1)
      bits = sign | UInt16(truncatingIfNeeded: rounded >> 13)
    }
  }
}

/// The bits of a bfloat16 number: the upper half of a Float.
struct BFloat16Bits: ConvertibleElement {
  let bits: UInt16
  static var elementType: ElementType { .bfloat16 }
  var wide: Double { Double(Float(bfloat16: bits)) }
  init(wide: Double) { self.init(Float(wide)) }
  init(wide: Int64) { self.init(Float(wide)) }
  init(wide: UInt64) { self.init(Float(wide)) }

  /// The nearest number, and of two that are as near the one with an even last bit; a quiet NaN for a NaN.
  init(_ value: Float) {
    let pattern = value.bitPattern
    bits =
      value.isNaN
      ? UInt16(truncatingIfNeeded: pattern >> 16) | 0x40
      : UInt16(truncatingIfNeeded: (pattern &+ 0x7fff &+ (pattern >> 16 & 1)) >> 16)
  }
}

extension Float {
  /// The bits of the nearest binary16 number, the even one of two that are as near.
  package var float16Bits: UInt16 { Float16Bits(self).bits }
  /// The bits of the nearest bfloat16 number, the even one of two that are as near.
  package var bfloat16Bits: UInt16 { BFloat16Bits(self).bits }
}
