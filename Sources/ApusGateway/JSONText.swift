import NIOCore

/// Writes JSON (RFC 8259) into a buffer, as it goes.
struct JSONText {
  private(set) var buffer: ByteBuffer
  /// Something stands before the next element of the array or object at hand.
  private var needsComma = false

  init(capacity: Int = 512) { buffer = ByteBufferAllocator().buffer(capacity: capacity) }

  mutating func object(_ members: (inout JSONText) -> Void) { nest("{", "}", members) }
  mutating func array(_ elements: (inout JSONText) -> Void) { nest("[", "]", elements) }

  private mutating func nest(_ begin: StaticString, _ end: StaticString, _ body: (inout JSONText) -> Void) {
    separate()
    buffer.writeStaticString(begin)
    needsComma = false
    body(&self)
    buffer.writeStaticString(end)
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { buffer.writeInteger(UInt8(ascii: ",")) }
    needsComma = true
  }

  // MARK: Members

  mutating func key(_ name: StaticString) {
    separate()
    buffer.writeInteger(UInt8(ascii: "\""))
    buffer.writeStaticString(name)
    buffer.writeStaticString("\":")
    needsComma = false
  }

  mutating func member(_ name: StaticString, _ text: String) {
    key(name)
    string(text)
  }

  mutating func member(_ name: StaticString, integer: some BinaryInteger) {
    key(name)
    self.integer(integer)
  }

  // MARK: Values

  mutating func string(_ text: String) {
    separate()
    buffer.writeInteger(UInt8(ascii: "\""))
    var text = text
    text.withUTF8 { writeEscaped($0) }
    buffer.writeInteger(UInt8(ascii: "\""))
  }

  mutating func integer(_ number: some BinaryInteger) {
    separate()
    buffer.writeString(String(number))
  }

  /// The shortest decimal that reads back as the same float; null for NaN and the infinities, which JSON does
  /// not have.
  mutating func number(_ number: Float) {
    separate()
    if number.isFinite { buffer.writeString(number.description) } else { buffer.writeStaticString("null") }
  }

  mutating func boolean(_ truth: Bool) {
    separate()
    buffer.writeStaticString(truth ? "true" : "false")
  }

  /// Escapes what RFC 8259, section 7, asks for.
  private mutating func writeEscaped(_ bytes: UnsafeBufferPointer<UInt8>) {
    var start = 0
    for (index, byte) in bytes.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5C {
      buffer.writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[start..<index]))
      start = index + 1
      switch byte {
      case 0x22: buffer.writeStaticString("\\\"")
      case 0x5C: buffer.writeStaticString("\\\\")
      case 0x0A: buffer.writeStaticString("\\n")
      default:
        buffer.writeStaticString("\\u00")
        for digit in [byte >> 4, byte & 15] {
          buffer.writeInteger(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
      }
    }
    buffer.writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[start...]))
  }
}
