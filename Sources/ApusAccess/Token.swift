import COpenSSL

/// Bearer tokens: 256 random bits, of which a policy keeps only the SHA-256.
package enum Token {
  /// A new token: `apus_` and 32 random bytes in base64url without padding (RFC 4648, section 5).
  package static func create() -> String {
    var bytes = [UInt8](repeating: 0, count: 32)
    precondition(RAND_bytes(&bytes, 32) == 1, "OpenSSL has no random numbers")
    return "apus_" + base64URL(bytes)
  }

  static func base64URL(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var text: [UInt8] = []
    var (bits, count) = (UInt32(0), UInt32(0))
    for byte in bytes {
      bits = bits << 8 | UInt32(byte)
      count += 8
      while count >= 6 {
        count -= 6
        text.append(alphabet[Int(bits >> count & 63)])
      }
    }
    if count > 0 { text.append(alphabet[Int(bits << (6 - count) & 63)]) }
    return String(decoding: text, as: UTF8.self)
  }

  /// Whether a policy may call a token so: the name stands as a plain key in YAML.
  package static func isName(_ name: String) -> Bool {
    guard let first = name.utf8.first, !".-_".utf8.contains(first) else { return false }
    return name.utf8.count <= 64 && name.utf8.allSatisfy(isNameByte)
  }

  /// What `isName` asks for.
  package static let nameCharacters =
    "letters, digits, dots, hyphens and underscores, a letter or digit first, at most 64"

  static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}

/// Compares two hashes in a time that does not depend on where they differ.
func isSameHash(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.count == 32 && right.count == 32 && CRYPTO_memcmp(left, right, 32) == 0
}
