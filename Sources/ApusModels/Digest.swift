import COpenSSL

/// SHA-256 of a version: two folders have the same digest exactly if they hold the same files.
///
/// For every file, in byte order of the names: the name in UTF-8, a zero byte, the size as 8 bytes
/// little-endian, and the 32 bytes of the file's SHA-256. The digest is the SHA-256 of all that, one after
/// the other. Hidden files, folders, `manifest.json` (which holds the digest) and `model.plan` (which is made
/// from the model) are left out.
package struct VersionDigest {
  static let leftOut: Set<String> = ["manifest.json", "model.plan"]

  private var files: [(name: String, byteCount: Int, sha256: [UInt8])] = []

  package init() {}

  package mutating func add(name: String, contents: UnsafeRawBufferPointer) {
    files.append((name, contents.count, sha256(contents)))
  }

  /// The digest of what was added, 32 bytes.
  package var bytes: [UInt8] {
    var list: [UInt8] = []
    for file in files.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
      list += file.name.utf8
      list.append(0)
      for shift in stride(from: 0, to: 64, by: 8) {
        list.append(UInt8(truncatingIfNeeded: file.byteCount >> shift))
      }
      list += file.sha256
    }
    return list.withUnsafeBytes { sha256($0) }
  }
}

/// SHA-256 of the bytes, 32 bytes.
private func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
  var result = [UInt8](repeating: 0, count: 32)
  let done = EVP_Digest(bytes.baseAddress, bytes.count, &result, nil, EVP_sha256(), nil)
  precondition(done == 1, "SHA-256 is part of every OpenSSL")
  return result
}
