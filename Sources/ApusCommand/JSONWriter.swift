import Glibc

/// A JSON value to be printed; an object's keys stay in the order in which they were written.
///
/// ```swift
/// let document: JSON = ["model": .string(name), "latency_us": ["p50": .number(1.5)]]
/// print(document)
/// ```
enum JSON: Equatable, CustomStringConvertible {
  case object([Member])
  case array([JSON])
  case string(String)
  case unsigned(UInt64)
  /// Written with 9 significant digits, which tell every 32-bit float apart; NaN and the infinities as null.
  case real(Double)
  case boolean(Bool)
  case null

  /// A key of an object and what stands under it.
  struct Member: Equatable {
    var key: String
    var value: JSON
  }

  /// A count: a negative number becomes 0.
  static func integer(_ value: some BinaryInteger) -> JSON { .unsigned(UInt64(clamping: value)) }
  static func number(_ value: some BinaryFloatingPoint) -> JSON { .real(Double(value)) }

  var description: String {
    var text = ""
    write(to: &text)
    return text
  }

  private func write(to text: inout String) {
    switch self {
    case .object(let members):
      text += "{"
      for (place, member) in members.enumerated() {
        if place > 0 { text += ", " }
        Self.writeQuoted(member.key, to: &text)
        text += ": "
        member.value.write(to: &text)
      }
      text += "}"
    case .array(let elements):
      text += "["
      for (place, element) in elements.enumerated() {
        if place > 0 { text += ", " }
        element.write(to: &text)
      }
      text += "]"
    case .string(let string): Self.writeQuoted(string, to: &text)
    case .unsigned(let value): text += String(value)
    case .real(let value): text += value.isFinite ? formatted(value, "%.9g") : "null"
    case .boolean(let value): text += value ? "true" : "false"
    case .null: text += "null"
    }
  }

  /// Escapes what RFC 8259, section 7, asks for, and DEL, which a terminal may act upon.
  private static func writeQuoted(_ string: String, to text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case "\u{00}"..."\u{1F}", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

extension JSON: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral {
  init(dictionaryLiteral elements: (String, JSON)...) {
    self = .object(elements.map { Member(key: $0, value: $1) })
  }
  init(arrayLiteral elements: JSON...) { self = .array(elements) }
}

/// A number by a `printf` format for one double, in the C locale.
func formatted(_ value: Double, _ format: String) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 400) { buffer in
    let written = withVaList([value]) { vsnprintf(buffer.baseAddress, buffer.count, format, $0) }
    let bytes = buffer.prefix(min(max(Int(written), 0), buffer.count - 1)).map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
