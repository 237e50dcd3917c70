import Glibc

/// Why a body is not what it should be: a place and a reason, for a person.
package struct JSONError: Error, Equatable, CustomStringConvertible {
  package let description: String
}

/// Reads JSON (RFC 8259) from bytes as the reader of each member asks for it, without a tree in between: the
/// numbers of a tensor go straight to their place.
///
/// Nothing of what it reads decides about memory: arrays grow as their elements come. Depth is bounded, and
/// every loop consumes.
package struct JSONScanner {
  package enum Kind { case object, array, string, number, boolean, null }

  private let bytes: UnsafeRawBufferPointer
  private var place = 0
  private var depth = 0
  private static let deepest = 64

  /// The bytes must outlive the scanner.
  package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  package func error(_ reason: String) -> JSONError { JSONError(description: "\(reason), at byte \(place)") }

  // MARK: Structure

  /// The kind of the next value.
  package mutating func peek() throws(JSONError) -> Kind {
    skipSpace()
    guard place < bytes.count else { throw error("the JSON ends too early") }
    switch bytes[place] {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    default: throw error("this is no JSON value")
    }
  }

  /// Reads an object; `member` must consume each value.
  package mutating func object(
    _ member: (inout JSONScanner, String) throws(JSONError) -> Void
  ) throws(JSONError) {
    try expect(UInt8(ascii: "{"), "an object must stand here")
    try deeper()
    if !skip(UInt8(ascii: "}")) {
      repeat {
        let name = try string()
        try expect(UInt8(ascii: ":"), "':' must follow a name")
        try member(&self, name)
      } while skip(UInt8(ascii: ","))
      try expect(UInt8(ascii: "}"), "',' or '}' must stand here")
    }
    depth -= 1
  }

  /// Reads an array; `element` must consume each value.
  package mutating func array(_ element: (inout JSONScanner) throws(JSONError) -> Void) throws(JSONError) {
    try expect(UInt8(ascii: "["), "an array must stand here")
    try deeper()
    if !skip(UInt8(ascii: "]")) {
      repeat { try element(&self) } while skip(UInt8(ascii: ","))
      try expect(UInt8(ascii: "]"), "',' or ']' must stand here")
    }
    depth -= 1
  }

  /// Reads past a value.
  package mutating func skipValue() throws(JSONError) {
    switch try peek() {
    case .object: try object { (scanner, _) throws(JSONError) in try scanner.skipValue() }
    case .array: try array { (scanner) throws(JSONError) in try scanner.skipValue() }
    case .string: _ = try string()
    case .number: _ = try number()
    case .boolean: _ = try boolean()
    case .null: try null()
    }
  }

  /// Reads past a value.
  ///
  /// - Returns: its bytes as they stand.
  package mutating func source() throws(JSONError) -> UnsafeRawBufferPointer {
    skipSpace()
    let start = place
    try skipValue()
    return UnsafeRawBufferPointer(rebasing: bytes[start..<place])
  }

  /// Nothing but space may follow the document.
  package mutating func end() throws(JSONError) {
    skipSpace()
    guard place == bytes.count else { throw error("something follows the JSON") }
  }

  private mutating func deeper() throws(JSONError) {
    depth += 1
    if depth > Self.deepest { throw error("the JSON is nested too deeply") }
  }

  // MARK: Scalars

  package mutating func boolean() throws(JSONError) -> Bool {
    if skipWord("true") { return true }
    if skipWord("false") { return false }
    throw error("true or false must stand here")
  }

  package mutating func null() throws(JSONError) {
    guard skipWord("null") else { throw error("null must stand here") }
  }

  /// A whole number from 0 on.
  package mutating func count() throws(JSONError) -> Int {
    let start = place
    let value = try number()
    guard value >= 0, value <= 0x1p53, value == value.rounded() else {
      place = start
      throw error("a whole number from 0 on must stand here")
    }
    return Int(value)
  }

  /// A number and the bytes that say it; they belong to whoever owns the scanner's.
  mutating func numberAndText() throws(JSONError) -> (value: Double, text: Slice<UnsafeRawBufferPointer>) {
    skipSpace()
    let start = place
    return (try number(), bytes[start..<place])
  }

  /// A number, rounded correctly to a double (IEEE 754, round to nearest). What fits into 53 bits, times or
  /// divided by a power of ten up to 22, is computed exactly (W. Clinger, "How to read floating point numbers
  /// accurately", 1990); strtod does the others.
  package mutating func number() throws(JSONError) -> Double {
    skipSpace()
    let start = place
    let isNegative = skipByte(UInt8(ascii: "-"))
    var mantissa: UInt64 = 0
    var digits = 0
    try integerPart(&mantissa, &digits)
    var exponent = 0
    if skipByte(UInt8(ascii: ".")) {
      let fraction = takeDigits(&mantissa, &digits)
      guard fraction > 0 else { throw error("a digit must follow the point") }
      exponent = -fraction
    }
    if skipByte(UInt8(ascii: "e")) || skipByte(UInt8(ascii: "E")) {
      exponent += try exponentPart()
    }
    if digits <= 19, mantissa <= 1 << 53, (-22...22).contains(exponent) {
      let value =
        exponent < 0 ? Double(mantissa) / Self.powers[-exponent] : Double(mantissa) * Self.powers[exponent]
      return isNegative ? -value : value
    }
    return try slowly(start)
  }

  private static let powers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
  ]

  private mutating func integerPart(
    _ mantissa: inout UInt64, _ digits: inout Int
  ) throws(JSONError) {
    let isZero = place < bytes.count && bytes[place] == UInt8(ascii: "0")
    let count = takeDigits(&mantissa, &digits)
    guard count > 0 else { throw error("a number must stand here") }
    guard !isZero || count == 1 else { throw error("a number does not begin with 0") }
  }

  /// - Returns: how many digits there were; those after the 19th leave `mantissa` as it is.
  private mutating func takeDigits(_ mantissa: inout UInt64, _ digits: inout Int) -> Int {
    let start = place
    while place < bytes.count {
      let digit = bytes[place] &- UInt8(ascii: "0")
      guard digit < 10 else { break }
      if digits < 19 { mantissa = mantissa * 10 + UInt64(digit) }
      if mantissa > 0 { digits += 1 }
      place += 1
    }
    return place - start
  }

  private mutating func exponentPart() throws(JSONError) -> Int {
    let isNegative = skipByte(UInt8(ascii: "-"))
    if !isNegative { _ = skipByte(UInt8(ascii: "+")) }
    let start = place
    var exponent = 0
    while place < bytes.count {
      let digit = bytes[place] &- UInt8(ascii: "0")
      guard digit < 10 else { break }
      exponent = min(exponent * 10 + Int(digit), 100_000)
      place += 1
    }
    guard place > start else { throw error("a digit must follow the exponent") }
    return isNegative ? -exponent : exponent
  }

  /// Of a number whose grammar has been checked.
  private func slowly(_ start: Int) throws(JSONError) -> Double {
    let text = bytes[start..<place]
    let value = withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { buffer in
      for (index, byte) in text.enumerated() { buffer[index] = CChar(bitPattern: byte) }
      buffer[text.count] = 0
      return buffer.baseAddress.map { strtod($0, nil) } ?? 0
    }
    return value
  }

  package mutating func string() throws(JSONError) -> String {
    try expect(UInt8(ascii: "\""), "a string must stand here")
    let start = place
    while place < bytes.count, bytes[place] != UInt8(ascii: "\""), bytes[place] != UInt8(ascii: "\\") {
      if bytes[place] < 0x20 { throw error("a control character must be escaped") }
      place += 1
    }
    guard place < bytes.count else { throw error("a string has no end") }
    if bytes[place] == UInt8(ascii: "\"") {
      place += 1
      return try text(bytes[start..<place - 1])
    }
    return try escapedString(from: start)
  }

  private func text(_ utf8: some Collection<UInt8>) throws(JSONError) -> String {
    guard let text = String(validating: utf8, as: UTF8.self) else { throw error("a string is no UTF-8") }
    return text
  }

  private mutating func escapedString(from start: Int) throws(JSONError) -> String {
    var plain = Array(bytes[start..<place])
    while place < bytes.count {
      let byte = bytes[place]
      place += 1
      switch byte {
      case UInt8(ascii: "\""): return try text(plain)
      case UInt8(ascii: "\\"): try escape(&plain)
      case 0..<0x20: throw error("a control character must be escaped")
      default: plain.append(byte)
      }
    }
    throw error("a string has no end")
  }

  private mutating func escape(_ plain: inout [UInt8]) throws(JSONError) {
    guard place < bytes.count else { throw error("a string has no end") }
    let byte = bytes[place]
    place += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): plain.append(byte)
    case UInt8(ascii: "b"): plain.append(0x08)
    case UInt8(ascii: "f"): plain.append(0x0C)
    case UInt8(ascii: "n"): plain.append(0x0A)
    case UInt8(ascii: "r"): plain.append(0x0D)
    case UInt8(ascii: "t"): plain.append(0x09)
    case UInt8(ascii: "u"): plain += Array(String(try escapedScalar()).utf8)
    default: throw error("this is no escape")
    }
  }

  /// One scalar, of two escapes where it is over U+FFFF.
  private mutating func escapedScalar() throws(JSONError) -> Unicode.Scalar {
    let first = try hexadecimal()
    var value = first
    if (0xD800..<0xDC00).contains(first) {
      guard skipByte(UInt8(ascii: "\\")), skipByte(UInt8(ascii: "u")) else {
        throw error("half of a surrogate pair")
      }
      let second = try hexadecimal()
      guard (0xDC00..<0xE000).contains(second) else { throw error("half of a surrogate pair") }
      value = 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(value) else { throw error("half of a surrogate pair") }
    return scalar
  }

  private mutating func hexadecimal() throws(JSONError) -> UInt32 {
    guard bytes.count - place >= 4 else { throw error("four digits must follow \\u") }
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(bytes[place])).hexDigitValue else {
        throw error("four digits must follow \\u")
      }
      value = value << 4 | UInt32(digit)
      place += 1
    }
    return value
  }

  // MARK: Bytes

  private mutating func skipSpace() {
    while place < bytes.count {
      switch bytes[place] {
      case 0x20, 0x0A, 0x0D, 0x09: place += 1
      default: return
      }
    }
  }

  private mutating func skipByte(_ byte: UInt8) -> Bool {
    guard place < bytes.count, bytes[place] == byte else { return false }
    place += 1
    return true
  }

  private mutating func skip(_ byte: UInt8) -> Bool {
    skipSpace()
    return skipByte(byte)
  }

  private mutating func expect(_ byte: UInt8, _ reason: String) throws(JSONError) {
    guard skip(byte) else { throw error(reason) }
  }

  private mutating func skipWord(_ word: StaticString) -> Bool {
    skipSpace()
    let count = word.utf8CodeUnitCount
    guard bytes.count - place >= count,
      UnsafeRawBufferPointer(rebasing: bytes[place..<place + count]).elementsEqual(
        UnsafeBufferPointer(start: word.utf8Start, count: count))
    else { return false }
    place += count
    return true
  }
}
