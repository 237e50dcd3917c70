/// What may stand in a path of a repository. A store is not trusted: no name of it may lead elsewhere.
package enum StoreNames {
  /// Letters, digits, dots, hyphens and underscores of ASCII, no dot first, at most 200: what a repository
  /// takes as a model's name.
  package static func isModelName(_ name: some StringProtocol) -> Bool {
    !name.isEmpty && !name.hasPrefix(".") && name.utf8.count <= 200
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }

  /// A positive integer below 2^53 in plain digits, no zero first; nil for anything else.
  package static func version(_ name: some StringProtocol) -> UInt64? {
    guard let version = UInt64(name), version > 0, version < 1 << 53, String(version) == name else {
      return nil
    }
    return version
  }

  /// No slash, control character or dot first, at most 240 bytes, and not `….part`, which is the name of
  /// what has not all come.
  package static func isFileName(_ name: some StringProtocol) -> Bool {
    !name.isEmpty && name.utf8.count <= 240 && !name.hasPrefix(".") && !name.hasSuffix(".part")
      && name.unicodeScalars.allSatisfy { scalar in
        scalar != "/" && scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value)
          && scalar.value != 0x2028 && scalar.value != 0x2029
      }
  }
}
