import Glibc

/// A JSON value (RFC 8259), written or read; an object's keys stay in the order in which they were written.
///
/// ```swift
/// let document: JSON = ["model": .string(name), "latency_us": ["p50": .number(1.5)]]
/// print(document)
/// ```
package enum JSON: Equatable, Sendable, CustomStringConvertible {
  case object([Member])
  case array([JSON])
  case string(String)
  /// A whole number from 0 on, exact.
  case unsigned(UInt64)
  /// A whole number below 0, exact. `signed(_:)` makes the one that fits.
  case negative(Int64)
  /// Written with 9 significant digits, which tell every 32-bit float apart; NaN and the infinities as null.
  case real(Double)
  case boolean(Bool)
  case null

  /// A key of an object and what stands under it.
  package struct Member: Equatable, Sendable {
    package var key: String
    package var value: JSON

    package init(key: String, value: JSON) {
      self.key = key
      self.value = value
    }
  }

  /// A count: a negative number becomes 0.
  package static func integer(_ value: some BinaryInteger) -> JSON { .unsigned(UInt64(clamping: value)) }
  /// A whole number of either sign.
  package static func signed(_ value: Int64) -> JSON {
    value < 0 ? .negative(value) : .unsigned(UInt64(value))
  }
  package static func number(_ value: some BinaryFloatingPoint) -> JSON { .real(Double(value)) }
}

// MARK: What stands in it

extension JSON {
  /// What stands under a key of an object; nil where there is none, and for every other value.
  package subscript(key: String) -> JSON? { object?.first { $0.key == key }?.value }

  package var object: [Member]? { if case .object(let members) = self { members } else { nil } }
  package var array: [JSON]? { if case .array(let elements) = self { elements } else { nil } }
  package var string: String? { if case .string(let text) = self { text } else { nil } }
  package var boolean: Bool? { if case .boolean(let truth) = self { truth } else { nil } }
  /// A whole number from 0 on that was written as one: neither `1.0` nor `1e3`.
  package var unsigned: UInt64? { if case .unsigned(let value) = self { value } else { nil } }
  /// A whole number that was written as one and fits.
  package var signed: Int64? {
    switch self {
    case .unsigned(let value): Int64(exactly: value)
    case .negative(let value): value
    default: nil
    }
  }
  /// The nearest double of any number.
  package var number: Double? {
    switch self {
    case .unsigned(let value): Double(value)
    case .negative(let value): Double(value)
    case .real(let value): value
    default: nil
    }
  }
}

// MARK: Writing

extension JSON {
  /// In one line, with a space behind each comma and colon.
  package var description: String { text(comma: ", ", colon: ": ") }

  /// In one line, without space.
  package var compact: String { text(comma: ",", colon: ":") }

  private func text(comma: String, colon: String) -> String {
    var text = ""
    write(to: &text, comma, colon)
    return text
  }

  private func write(to text: inout String, _ comma: String, _ colon: String) {
    switch self {
    case .object(let members):
      text += "{"
      for (place, member) in members.enumerated() {
        if place > 0 { text += comma }
        Self.writeQuoted(member.key, to: &text)
        text += colon
        member.value.write(to: &text, comma, colon)
      }
      text += "}"
    case .array(let elements):
      text += "["
      for (place, element) in elements.enumerated() {
        if place > 0 { text += comma }
        element.write(to: &text, comma, colon)
      }
      text += "]"
    case .string(let string): Self.writeQuoted(string, to: &text)
    case .unsigned(let value): text += String(value)
    case .negative(let value): text += String(value)
    case .real(let value): text += value.isFinite ? Self.nineDigits(value) : "null"
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

  /// As `%.9g` has it in the C locale. Invariant of the unsafe code: `vsnprintf` writes at most `count`
  /// bytes.
  private static func nineDigits(_ value: Double) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
      let written = withVaList([value]) { vsnprintf(buffer.baseAddress, buffer.count, "%.9g", $0) }
      let bytes = buffer.prefix(min(max(Int(written), 0), buffer.count - 1)).map { UInt8(bitPattern: $0) }
      return String(decoding: bytes, as: UTF8.self)
    }
  }
}

extension JSON: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral {
  package init(dictionaryLiteral elements: (String, JSON)...) {
    self = .object(elements.map { Member(key: $0, value: $1) })
  }
  package init(arrayLiteral elements: JSON...) { self = .array(elements) }
}
