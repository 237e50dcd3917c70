/// The trace that a call belongs to: `traceparent` of W3C Trace Context (w3.org/TR/trace-context, section
/// 3.2).
public struct TraceParent: Equatable, Sendable {
  /// The 16 bytes of the trace id, read as two big-endian numbers; both 0: there is none.
  public let traceHigh: UInt64
  public let traceLow: UInt64
  /// The span of whoever calls.
  package let parent: UInt64
  /// `trace-flags`; bit 0: the caller records this trace.
  package let flags: UInt8

  /// No trace.
  package static let none = TraceParent()

  @inlinable public var isNone: Bool { traceHigh | traceLow == 0 }

  private init() { (traceHigh, traceLow, parent, flags) = (0, 0, 0, 0) }

  /// Reads the text of the header, `00-` trace id `-` parent id `-` flags in lower-case hexadecimal. Of a
  /// later version only this beginning is read, as section 4.3 asks.
  ///
  /// - Returns: nil for anything else, which is to be ignored.
  package init?(_ text: UnsafeRawBufferPointer) {
    let dash = UInt8(ascii: "-")
    guard text.count >= 55, text[2] == dash, text[35] == dash, text[52] == dash,
      let version = Self.hexadecimal(text, 0, 2), version != 0xFF,
      version == 0 ? text.count == 55 : text.count == 55 || text[55] == dash,
      let high = Self.hexadecimal(text, 3, 16), let low = Self.hexadecimal(text, 19, 16), high | low != 0,
      let parent = Self.hexadecimal(text, 36, 16), parent != 0, let flags = Self.hexadecimal(text, 53, 2)
    else { return nil }
    (traceHigh, traceLow, self.parent, self.flags) = (high, low, parent, UInt8(flags))
  }

  package init?(_ text: String) {
    var text = text
    let parsed = text.withUTF8 { TraceParent(UnsafeRawBufferPointer($0)) }
    guard let parsed else { return nil }
    self = parsed
  }

  /// `count` lower-case digits from `start` on; nil if there is another character.
  private static func hexadecimal(_ text: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> UInt64? {
    var value: UInt64 = 0
    for byte in text[start..<start + count] {
      switch byte {
      case 0x30...0x39: value = value << 4 | UInt64(byte - 0x30)
      case 0x61...0x66: value = value << 4 | UInt64(byte - 0x61 + 10)
      default: return nil
      }
    }
    return value
  }
}
