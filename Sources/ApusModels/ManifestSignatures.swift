import ApusBase
import ApusJSON
import COpenSSL

/// What is signed of a version: its name and its files, as text, so that anyone can make it anew with
/// `sha256sum`.
package enum SignedStatement {
  /// `apus manifest 1`, `model NAME`, and for each file in byte order of the names `SHA256HEX SIZE NAME`,
  /// each on a line that ends with a line feed.
  ///
  /// - Throws: for a name that could be read as more than one line.
  package static func bytes(model: String, files: [VersionFile]) throws(ModelError) -> [UInt8] {
    guard ModelRepository.isModelName(model) else { throw ModelError("\(model) is no name of a model") }
    var text = "apus manifest 1\nmodel \(model)\n"
    for file in files.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
    where !VersionDigest.leftOut.contains(file.name) {
      guard VersionManifest.isFileName(file.name) else {
        throw ModelError("a file of the name \(file.name) cannot be signed; rename it")
      }
      text += "\(hexadecimal(file.sha256)) \(file.byteCount) \(file.name)\n"
    }
    return Array(text.utf8)
  }
}

/// The file `manifest.sig`: a signature of each key that signed the version.
package struct ManifestSignatures: Sendable, Equatable {
  package struct Entry: Sendable, Equatable {
    /// `ed25519:` and the first 16 hex digits of the SHA-256 of the public key's 32 bytes.
    package let key: String
    /// 64 bytes (RFC 8032, section 5.1.6).
    package let signature: [UInt8]

    package init(key: String, signature: [UInt8]) {
      self.key = key
      self.signature = signature
    }
  }

  package static let fileName = "manifest.sig"
  private static let maximumBytes = 64 << 10
  private static let maximumEntries = 16

  package private(set) var entries: [Entry] = []

  package init() {}

  package init(parsing bytes: UnsafeRawBufferPointer) throws(ModelError) {
    guard bytes.count <= Self.maximumBytes else {
      throw ModelError("manifest.sig has over \(Self.maximumBytes >> 10) KiB")
    }
    let fields = try JSONFields(parsing: bytes, Self.fileName, JSON.Bounds(depth: 4, values: 256))
    for entry in try fields.objects("signatures", most: Self.maximumEntries) {
      let key = try entry.text("key", bytes: 24...24)
      guard key.hasPrefix("ed25519:") else { throw entry.failure("key must begin with ed25519:") }
      guard let signature = Base64.decode(try entry.text("signature", bytes: 88...88)), signature.count == 64
      else { throw entry.failure("signature must be 64 bytes in base64") }
      guard !entries.contains(where: { $0.key == key }) else {
        throw entry.failure("the key \(key) signs twice")
      }
      entries.append(Entry(key: key, signature: signature))
    }
  }

  /// Adds a signature, in place of the same key's.
  ///
  /// - Throws: where there are too many.
  package mutating func add(_ entry: Entry) throws(ModelError) {
    entries.removeAll { $0.key == entry.key }
    guard entries.count < Self.maximumEntries else {
      throw ModelError("manifest.sig holds \(Self.maximumEntries) signatures already; remove one")
    }
    entries.append(entry)
  }

  /// The file's bytes.
  package var bytes: [UInt8] {
    let json: JSON = [
      "signatures": .array(
        entries.map {
          ["key": .string($0.key), "signature": .string(Base64.encode($0.signature))]
        })
    ]
    return Array((json.description + "\n").utf8)
  }
}

/// RFC 4648, section 4, with padding.
private enum Base64 {
  /// Invariant of the unsafe code: EVP_EncodeBlock writes four characters for each three bytes begun, and a
  /// zero.
  static func encode(_ bytes: [UInt8]) -> String {
    var text = [UInt8](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
    let count = EVP_EncodeBlock(&text, bytes, Int32(bytes.count))
    return String(decoding: text[..<Int(count)], as: UTF8.self)
  }

  /// Nil for every text but the one that `encode` gives. Invariant of the unsafe code: EVP_DecodeBlock writes
  /// three bytes for each four characters.
  static func decode(_ text: String) -> [UInt8]? {
    let characters = Array(text.utf8)
    guard characters.count % 4 == 0, !characters.isEmpty else { return nil }
    var bytes = [UInt8](repeating: 0, count: characters.count / 4 * 3)
    guard EVP_DecodeBlock(&bytes, characters, Int32(characters.count)) == Int32(bytes.count) else {
      return nil
    }
    bytes.removeLast(characters.suffix(2).count { $0 == UInt8(ascii: "=") })
    return encode(bytes) == text ? bytes : nil
  }
}
