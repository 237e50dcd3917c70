/// The classes of characters that Python's `re` and `str` know, by the properties of Unicode.
extension Unicode.Scalar {
  /// `\w` of a pattern for `str`: `str.isalnum()`, or an underscore.
  package var isWord: Bool {
    if value < 0x80 {
      return (0x61...0x7A).contains(value) || (0x30...0x39).contains(value) || (0x41...0x5A).contains(value)
        || value == 0x5F
    }
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .decimalNumber, .letterNumber, .otherNumber:
      return true
    default: return properties.numericType != nil
    }
  }

  /// `\s` of a pattern for `str`, which is `str.isspace()`.
  package var isSpace: Bool {
    switch value {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F,
      0x3000:
      true
    default: false
    }
  }

  /// U+03A3, whose lower case depends on what stands around it.
  static let capitalSigma: Unicode.Scalar = "\u{3A3}"
}

/// Reads UTF-8 scalar by scalar. It reads no byte outside `bytes`, whatever they are.
struct ScalarReader {
  let bytes: UnsafeRawBufferPointer
  private(set) var offset = 0
  /// A sequence was no UTF-8; nothing follows.
  private(set) var isBroken = false

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The next scalar; nil at the end, or where the bytes are no UTF-8 (RFC 3629, section 4).
  mutating func next() -> Unicode.Scalar? {
    guard offset < bytes.count, !isBroken else { return nil }
    let lead = UInt32(bytes[offset])
    if lead < 0x80 {
      offset += 1
      return Unicode.Scalar(UInt8(lead))
    }
    let length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2
    guard (0xC2...0xF4).contains(lead), bytes.count - offset >= length else { return fail() }
    var value = lead & (0x7F >> UInt32(length))
    for place in 1..<length {
      let byte = UInt32(bytes[offset + place])
      guard byte & 0xC0 == 0x80 else { return fail() }
      value = value << 6 | byte & 0x3F
    }
    let smallest: UInt32 = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80
    guard value >= smallest, let scalar = Unicode.Scalar(value) else { return fail() }
    offset += length
    return scalar
  }

  private mutating func fail() -> Unicode.Scalar? {
    isBroken = true
    return nil
  }
}

/// Whether bytes are UTF-8 from start to end.
package func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
  var reader = ScalarReader(bytes)
  while reader.next() != nil {}
  return !reader.isBroken
}

/// Lower-cases as Python's `str.lower()`: the full mappings of Unicode, and the final sigma by its context
/// (The Unicode Standard, section 3.13, Final_Sigma).
struct LowerCase {
  /// Whether the last scalar that is not case-ignorable is cased.
  private var followsCased = false

  /// Gives the lower case of `scalar`, one scalar or several.
  ///
  /// - Parameter rest: stands behind `scalar`.
  mutating func map(_ scalar: Unicode.Scalar, before rest: ScalarReader, _ give: (Unicode.Scalar) -> Void) {
    if scalar.value < 0x80 {
      let isUpper = (0x41...0x5A).contains(scalar.value)
      give(isUpper ? Unicode.Scalar(UInt8(scalar.value | 0x20)) : scalar)
    } else if scalar == .capitalSigma {
      give(followsCased && !Self.isCasedNext(rest) ? "\u{3C2}" : "\u{3C3}")
    } else if scalar.properties.changesWhenLowercased {
      for lower in scalar.properties.lowercaseMapping.unicodeScalars { give(lower) }
    } else {
      give(scalar)
    }
    let properties = scalar.properties
    if !properties.isCaseIgnorable { followsCased = properties.isCased }
  }

  private static func isCasedNext(_ rest: ScalarReader) -> Bool {
    var rest = rest
    while let scalar = rest.next() {
      if !scalar.properties.isCaseIgnorable { return scalar.properties.isCased }
    }
    return false
  }
}
