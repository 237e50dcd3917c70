/// What the header of a `.npy` file says.
struct NumPyHeader: Equatable {
  /// The element's type as NumPy writes it, for example `<f4`.
  var description: String
  var isColumnMajor: Bool
  var shape: [Int]
}

/// Reads the one form of Python dictionary that numpy.save writes: the keys `descr`, `fortran_order` and
/// `shape`, once each, in any order.
struct NumPyHeaderReader {
  /// NumPy's own bound of an array's dimensions (NPY_MAXDIMS).
  static let maximumRank = 64

  private let bytes: ArraySlice<UInt8>
  private var position: Int

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  mutating func read() throws(NumPyError) -> NumPyHeader {
    var description: String?
    var isColumnMajor: Bool?
    var shape: [Int]?
    try expect("{")
    while !take("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr" where description == nil: description = try string()
      case "fortran_order" where isColumnMajor == nil: isColumnMajor = try boolean()
      case "shape" where shape == nil: shape = try tuple()
      default: throw .malformed("its header has a second or unknown key '\(printable(key))'")
      }
      if !take(",") {
        try expect("}")
        break
      }
    }
    skipSpace()
    guard position == bytes.endIndex else { throw .malformed("its header has more than one value") }
    guard let description, let isColumnMajor, let shape else {
      throw .malformed("its header lacks descr, fortran_order or shape")
    }
    return NumPyHeader(description: description, isColumnMajor: isColumnMajor, shape: shape)
  }

  private mutating func skipSpace() {
    while position < bytes.endIndex, bytes[position] == 0x20 || bytes[position] == 0x0A { position += 1 }
  }

  private mutating func take(_ text: StaticString) -> Bool {
    skipSpace()
    let count = text.utf8CodeUnitCount
    guard count <= bytes.endIndex - position else { return false }
    let matches = text.withUTF8Buffer { bytes[position..<position + count].elementsEqual($0) }
    if matches { position += count }
    return matches
  }

  private mutating func expect(_ text: StaticString) throws(NumPyError) {
    guard take(text) else { throw .malformed("its header has no '\(text)' at byte \(position)") }
  }

  private mutating func string() throws(NumPyError) -> String {
    skipSpace()
    if position < bytes.endIndex, bytes[position] == UInt8(ascii: "[") {
      throw .unsupported("the array holds records; save an array of plain numbers")
    }
    let quote = take("'") ? UInt8(ascii: "'") : UInt8(ascii: "\"")
    if quote == UInt8(ascii: "\"") { try expect("\"") }
    guard let end = bytes[position...].firstIndex(of: quote) else {
      throw .malformed("its header has a text without an end")
    }
    defer { position = end + 1 }
    return String(decoding: bytes[position..<end], as: UTF8.self)
  }

  private mutating func boolean() throws(NumPyError) -> Bool {
    if take("True") { return true }
    try expect("False")
    return false
  }

  private mutating func tuple() throws(NumPyError) -> [Int] {
    var dimensions: [Int] = []
    try expect("(")
    while !take(")") {
      guard dimensions.count < Self.maximumRank else {
        throw .malformed("it has over \(Self.maximumRank) dimensions")
      }
      dimensions.append(try integer())
      if !take(",") {
        guard dimensions.count > 1 else { throw .malformed("its shape is no tuple") }
        try expect(")")
        break
      }
    }
    return dimensions
  }

  private mutating func integer() throws(NumPyError) -> Int {
    skipSpace()
    let digits = bytes[position...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard let value = Int(String(decoding: digits, as: UTF8.self)) else {
      throw .malformed("its header has no dimension at byte \(position)")
    }
    position += digits.count
    return value
  }
}

/// An element type that is read.
enum NumPyElement: String, CaseIterable {
  case float32 = "<f4"
  case float64 = "<f8"
  case int8 = "|i1"
  case uint8 = "|u1"
  case int16 = "<i2"
  case uint16 = "<u2"
  case int32 = "<i4"
  case uint32 = "<u4"
  case int64 = "<i8"
  case uint64 = "<u8"
  case bool = "|b1"

  init(_ description: String) throws(NumPyError) {
    guard let element = Self(rawValue: description) else {
      throw .unsupported(
        "elements of type '\(printable(description))' are not read; save array.astype('<f4')")
    }
    self = element
  }

  var byteCount: Int {
    switch self {
    case .int8, .uint8, .bool: 1
    case .int16, .uint16: 2
    case .float32, .int32, .uint32: 4
    case .float64, .int64, .uint64: 8
    }
  }

  /// The nearest 32-bit floats. `bytes` holds `count` elements.
  func values(_ bytes: UnsafeRawBufferPointer, count: Int) -> [Float] {
    switch self {
    case .float32: convert(bytes, count, UInt32.self) { Float(bitPattern: $0) }
    case .float64: convert(bytes, count, UInt64.self) { Float(Double(bitPattern: $0)) }
    case .int8: convert(bytes, count, Int8.self) { Float($0) }
    case .uint8: convert(bytes, count, UInt8.self) { Float($0) }
    case .int16: convert(bytes, count, Int16.self) { Float($0) }
    case .uint16: convert(bytes, count, UInt16.self) { Float($0) }
    case .int32: convert(bytes, count, Int32.self) { Float($0) }
    case .uint32: convert(bytes, count, UInt32.self) { Float($0) }
    case .int64: convert(bytes, count, Int64.self) { Float($0) }
    case .uint64: convert(bytes, count, UInt64.self) { Float($0) }
    case .bool: convert(bytes, count, UInt8.self) { $0 == 0 ? 0 : 1 }
    }
  }

  private func convert<Bits: FixedWidthInteger & BitwiseCopyable>(
    _ bytes: UnsafeRawBufferPointer, _ count: Int, _ type: Bits.Type, _ value: (Bits) -> Float
  ) -> [Float] {
    (0..<count).map { index in
      let bits = bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: type)
      return value(Bits(littleEndian: bits))
    }
  }
}
