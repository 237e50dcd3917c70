/// Lines of JSON, made byte by byte: one object a line, and no text can end a string, an object or a line.
package struct LogLine {
  package var bytes: [UInt8] = []
  private var isFirst = true

  package init() {}

  package mutating func begin() {
    bytes.append(UInt8(ascii: "{"))
    isFirst = true
  }

  package mutating func end() {
    bytes.append(UInt8(ascii: "}"))
    isFirst = false
  }

  /// A member whose value, an object, is begun.
  package mutating func beginObject(_ key: StaticString) {
    self.key(key)
    begin()
  }

  /// The end of the line.
  package mutating func newline() {
    bytes.append(UInt8(ascii: "\n"))
    isFirst = true
  }

  /// - Parameter key: needs no escape.
  package mutating func key(_ key: StaticString) {
    if !isFirst { bytes.append(UInt8(ascii: ",")) }
    isFirst = false
    bytes.append(UInt8(ascii: "\""))
    bytes += UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
  }

  /// A key that may be any text.
  package mutating func key(text: String) {
    if !isFirst { bytes.append(UInt8(ascii: ",")) }
    isFirst = false
    Self.appendQuoted(text, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
  }

  package mutating func text(_ key: StaticString, _ value: String) {
    self.key(key)
    Self.appendQuoted(value, to: &bytes)
  }

  /// A string that needs no escape, or has been quoted before.
  package mutating func ready(_ key: StaticString, _ quoted: [UInt8]) {
    self.key(key)
    bytes += quoted
  }

  package mutating func number(_ key: StaticString, _ value: UInt64) {
    self.key(key)
    appendNumber(value)
  }

  package mutating func appendNumber(_ value: UInt64) {
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var first = 20
    var rest = value
    repeat {
      first -= 1
      digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    } while rest > 0
    for place in first..<20 { bytes.append(digits[place]) }
  }

  /// A string of hexadecimal digits, most significant first.
  package mutating func hexadecimal(_ key: StaticString, _ values: UInt64...) {
    self.key(key)
    bytes.append(UInt8(ascii: "\""))
    for value in values {
      for place in 0..<16 {
        let digit = UInt8(truncatingIfNeeded: value >> UInt64(60 - 4 * place) & 0xF)
        bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// A JSON string. Escaped are what RFC 8259, section 7, asks for, and what a terminal or a reader of lines
  /// may act upon: DEL, the C1 controls and the line and paragraph separators.
  package static func appendQuoted(_ text: String, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }) {
      bytes += text.utf8
    } else {
      for scalar in text.unicodeScalars { appendEscaped(scalar, to: &bytes) }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private static func appendEscaped(_ scalar: Unicode.Scalar, to bytes: inout [UInt8]) {
    switch scalar {
    case "\"": bytes += "\\\"".utf8
    case "\\": bytes += "\\\\".utf8
    case "\n": bytes += "\\n".utf8
    case "\r": bytes += "\\r".utf8
    case "\t": bytes += "\\t".utf8
    case "\u{00}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
      let digits = String(scalar.value, radix: 16)
      bytes += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8
    default: bytes += String(scalar).utf8
    }
  }
}
