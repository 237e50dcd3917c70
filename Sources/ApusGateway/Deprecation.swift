import ApusServer
import HTTPTypes

extension HTTPFields {
  /// Says that callers should leave the version that answers; nothing where it is current.
  ///
  /// `Deprecation: @SECONDS` (RFC 9745) is since when, left out where nobody has written that down, since the
  /// field holds a date and nothing else. `Apus-Deprecated: %"TEXT"` is why, and for which version.
  mutating func tellDeprecation(of model: LocalModel) {
    guard !model.served.standing.deprecated.isEmpty else { return }
    let standing = model.served.standing
    if let name = Self.deprecation, standing.deprecatedNanoseconds > 0 {
      self[name] = "@\(standing.deprecatedNanoseconds / 1_000_000_000)"
    }
    if let name = Self.reason { self[name] = displayString(standing.deprecated, mostBytes: 256) }
  }

  private static let deprecation = HTTPField.Name("Deprecation")
  private static let reason = HTTPField.Name("Apus-Deprecated")
}

/// A text as a Display String of a structured field (RFC 9651, section 4.1.11): what is no printable ASCII,
/// and the quote and the per cent sign, as `%` and two digits for each byte of UTF-8. So there are neither
/// control characters nor line ends in it, whatever the text holds.
///
/// - Parameter mostBytes: of the text; what is longer is cut, between two characters of Unicode.
func displayString(_ text: String, mostBytes: Int) -> String {
  var result = "%\""
  var rest = mostBytes
  for scalar in text.unicodeScalars {
    let bytes = scalar.utf8
    rest -= bytes.count
    guard rest >= 0 else { break }
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "%"), 0..<0x20, 0x7F...:
        result += byte < 0x10 ? "%0" : "%"
        result += String(byte, radix: 16)
      default: result.unicodeScalars.append(Unicode.Scalar(byte))
      }
    }
  }
  return result + "\""
}
