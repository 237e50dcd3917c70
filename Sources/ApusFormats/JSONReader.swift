/// A strict reader of JSON (RFC 8259) from front to back: the caller says what comes next, so nothing is
/// nested deeper than the caller's own loops, and no value is built that nobody asked for.
struct JSONReader {
  private var reader: ByteReader

  /// - Parameter part: what is read, for messages.
  init(_ bytes: FileBytes, part: String) { reader = ByteReader(bytes, part: part) }

  func failure(_ problem: String) -> FormatError {
    .malformed("\(reader.part): \(problem) at byte \(reader.position)")
  }

  /// The next byte that is not white space, which stays.
  private mutating func peek() -> UInt8? {
    while reader.remaining > 0 {
      let byte = reader.bytes[reader.position]
      guard byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d else { return byte }
      _ = try? reader.byte()
    }
    return nil
  }

  /// Passes over one punctuation mark.
  mutating func expect(_ character: Character) throws(FormatError) {
    guard let wanted = character.asciiValue, peek() == wanted else { throw failure("no \(character)") }
    _ = try reader.byte()
  }

  /// In an object or array after `{` or `[`: whether another element follows; passes over its comma, or over
  /// `end`.
  mutating func next(isFirst: Bool, end: Character) throws(FormatError) -> Bool {
    if let wanted = end.asciiValue, peek() == wanted {
      _ = try reader.byte()
      return false
    }
    if !isFirst { try expect(",") }
    return true
  }

  /// Nothing but white space may be left.
  mutating func finish() throws(FormatError) {
    guard peek() == nil else { throw failure("more after the end") }
  }

  /// A whole number from 0 to 2^63 - 1 without sign, fraction, exponent or leading zeros.
  mutating func unsignedInteger() throws(FormatError) -> Int {
    var digits: [UInt8] = []
    _ = peek()
    while reader.remaining > 0, digits.count < 20 {
      let byte = reader.bytes[reader.position]
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { break }
      digits.append(try reader.byte())
    }
    guard let value = Int(String(decoding: digits, as: UTF8.self)), digits.count == 1 || digits[0] != 0x30
    else {
      throw failure("no whole number")
    }
    return value
  }

  /// A string without its quotes, escapes undone.
  mutating func string() throws(FormatError) -> String {
    try expect("\"")
    var utf8: [UInt8] = []
    while true {
      let byte = try reader.byte()
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: utf8, as: UTF8.self) else {
          throw failure("a string that is not UTF-8")
        }
        return text
      case UInt8(ascii: "\\"): utf8.append(contentsOf: String(try escape()).utf8)
      case 0..<0x20: throw failure("a control character in a string")
      default: utf8.append(byte)
      }
    }
  }

  private mutating func escape() throws(FormatError) -> Unicode.Scalar {
    switch try reader.byte() {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try unicodeEscape()
    default: throw failure("an unknown escape")
    }
  }

  /// `\uXXXX`, or two of them for a character beyond U+FFFF.
  private mutating func unicodeEscape() throws(FormatError) -> Unicode.Scalar {
    let first = try hexDigits()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard (0xd800..<0xdc00).contains(first), try reader.byte() == UInt8(ascii: "\\"),
      try reader.byte() == UInt8(ascii: "u")
    else { throw failure("half of a surrogate pair") }
    let second = try hexDigits()
    guard (0xdc00..<0xe000).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
    else { throw failure("half of a surrogate pair") }
    return scalar
  }

  private mutating func hexDigits() throws(FormatError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(try reader.byte())).hexDigitValue else {
        throw failure("an escape that is not hexadecimal")
      }
      value = value << 4 | UInt32(digit)
    }
    return value
  }
}
