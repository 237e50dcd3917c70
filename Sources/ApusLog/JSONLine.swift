/// A strict reader of one JSON object (RFC 8259) in a line: it gives the members of the object itself and
/// passes over what is nested, however deep a hostile line nests it.
package struct JSONLine {
  /// A value of the object.
  package enum Value {
    /// Its bytes between the quotes, escapes and all.
    case string(UnsafeRawBufferPointer, hasEscapes: Bool)
    /// Its text.
    case number(UnsafeRawBufferPointer)
    case truth(Bool)
    case null
    /// An object or array, from its first mark to its last.
    case nested(UnsafeRawBufferPointer)
  }

  /// Objects and arrays in each other.
  private static let deepest = 32

  private let bytes: UnsafeRawBufferPointer
  private var place = 0

  private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Reads a line without its line feed.
  ///
  /// - Parameter member: is given each key, its escapes not undone, and the value.
  /// - Returns: whether the line is one JSON object; where it is not, some members may have been given.
  package static func read(
    _ line: UnsafeRawBufferPointer, _ member: (_ key: UnsafeRawBufferPointer, _ value: Value) -> Void
  ) -> Bool {
    var reader = JSONLine(line)
    reader.skipSpace()
    guard reader.object(depth: 1, member) else { return false }
    reader.skipSpace()
    return reader.place == line.count
  }

  /// A string's text, escapes undone; nil for half a surrogate pair or what is not UTF-8.
  package static func text(_ bytes: UnsafeRawBufferPointer, hasEscapes: Bool) -> String? {
    guard hasEscapes else { return String(validating: bytes, as: UTF8.self) }
    var utf8: [UInt8] = []
    var place = 0
    while place < bytes.count {
      let byte = bytes[place]
      place += 1
      guard byte == UInt8(ascii: "\\") else {
        utf8.append(byte)
        continue
      }
      let kind = bytes[place]
      place += 1
      switch kind {
      case UInt8(ascii: "b"): utf8.append(8)
      case UInt8(ascii: "f"): utf8.append(12)
      case UInt8(ascii: "n"): utf8.append(10)
      case UInt8(ascii: "r"): utf8.append(13)
      case UInt8(ascii: "t"): utf8.append(9)
      case UInt8(ascii: "u"):
        guard let scalar = unicodeScalar(bytes, &place) else { return nil }
        utf8 += String(scalar).utf8
      default: utf8.append(kind)
      }
    }
    return String(validating: utf8, as: UTF8.self)
  }

  /// The four digits behind `\u`, and those of a second half where the first is one.
  private static func unicodeScalar(_ bytes: UnsafeRawBufferPointer, _ place: inout Int) -> Unicode.Scalar? {
    let first = hexadecimal(bytes, place)
    place += 4
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard (0xD800..<0xDC00).contains(first), place + 6 <= bytes.count, bytes[place] == UInt8(ascii: "\\"),
      bytes[place + 1] == UInt8(ascii: "u")
    else { return nil }
    let second = hexadecimal(bytes, place + 2)
    guard (0xDC00..<0xE000).contains(second) else { return nil }
    place += 6
    return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
  }

  private static func hexadecimal(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> UInt32 {
    bytes[place..<place + 4].reduce(0) { $0 << 4 | (digit($1) ?? 0) }
  }

  private static func digit(_ byte: UInt8) -> UInt32? {
    switch byte {
    case 0x30...0x39: UInt32(byte - 0x30)
    case 0x41...0x46: UInt32(byte - 0x41 + 10)
    case 0x61...0x66: UInt32(byte - 0x61 + 10)
    default: nil
    }
  }

  // MARK: The grammar

  private mutating func skipSpace() {
    while place < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[place]) { place += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard place < bytes.count, bytes[place] == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }

  private mutating func object(
    depth: Int, _ member: (UnsafeRawBufferPointer, Value) -> Void
  ) -> Bool {
    guard take("{") else { return false }
    skipSpace()
    if take("}") { return true }
    while true {
      skipSpace()
      guard let key = string() else { return false }
      skipSpace()
      guard take(":") else { return false }
      guard let value = value(depth: depth) else { return false }
      member(key.bytes, value)
      skipSpace()
      if take("}") { return true }
      guard take(",") else { return false }
    }
  }

  private mutating func array(depth: Int) -> Bool {
    guard take("[") else { return false }
    skipSpace()
    if take("]") { return true }
    while true {
      guard value(depth: depth) != nil else { return false }
      skipSpace()
      if take("]") { return true }
      guard take(",") else { return false }
    }
  }

  private mutating func value(depth: Int) -> Value? {
    skipSpace()
    guard place < bytes.count else { return nil }
    let start = place
    switch bytes[place] {
    case UInt8(ascii: "\""): return string().map { .string($0.bytes, hasEscapes: $0.hasEscapes) }
    case UInt8(ascii: "{"):
      guard depth < Self.deepest, object(depth: depth + 1, { _, _ in }) else { return nil }
      return .nested(UnsafeRawBufferPointer(rebasing: bytes[start..<place]))
    case UInt8(ascii: "["):
      guard depth < Self.deepest, array(depth: depth + 1) else { return nil }
      return .nested(UnsafeRawBufferPointer(rebasing: bytes[start..<place]))
    case UInt8(ascii: "t"): return word("true") ? .truth(true) : nil
    case UInt8(ascii: "f"): return word("false") ? .truth(false) : nil
    case UInt8(ascii: "n"): return word("null") ? .null : nil
    default: return number()
    }
  }

  private mutating func word(_ word: StaticString) -> Bool {
    let expected = UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
    guard bytes.count - place >= expected.count,
      bytes[place..<place + expected.count].elementsEqual(expected)
    else { return false }
    place += expected.count
    return true
  }

  private mutating func string() -> (bytes: UnsafeRawBufferPointer, hasEscapes: Bool)? {
    guard take("\"") else { return nil }
    let start = place
    var hasEscapes = false
    while place < bytes.count {
      switch bytes[place] {
      case UInt8(ascii: "\""):
        place += 1
        return (UnsafeRawBufferPointer(rebasing: bytes[start..<place - 1]), hasEscapes)
      case UInt8(ascii: "\\"):
        hasEscapes = true
        guard escape() else { return nil }
      case ..<0x20: return nil
      default: place += 1
      }
    }
    return nil
  }

  private mutating func escape() -> Bool {
    guard place + 1 < bytes.count else { return false }
    let kind = bytes[place + 1]
    place += 2
    guard kind == UInt8(ascii: "u") else { return "\"\\/bfnrt".utf8.contains(kind) }
    guard bytes.count - place >= 4, bytes[place..<place + 4].allSatisfy({ Self.digit($0) != nil }) else {
      return false
    }
    place += 4
    return true
  }

  private mutating func digits() -> Int {
    let start = place
    while place < bytes.count, (0x30...0x39).contains(bytes[place]) { place += 1 }
    return place - start
  }

  private mutating func number() -> Value? {
    let start = place
    _ = take("-")
    let first = place
    let whole = digits()
    guard whole > 0, whole == 1 || bytes[first] != 0x30 else { return nil }
    if take("."), digits() == 0 { return nil }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      guard digits() > 0 else { return nil }
    }
    return .number(UnsafeRawBufferPointer(rebasing: bytes[start..<place]))
  }
}
