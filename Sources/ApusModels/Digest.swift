import ApusDigest

/// SHA-256 of a version: two folders have the same digest exactly if they hold the same files.
///
/// For every file, in byte order of the names: the name in UTF-8, a zero byte, the size as 8 bytes
/// little-endian, and the 32 bytes of the file's SHA-256. The digest is the SHA-256 of all that, one after
/// the other. Hidden files, folders, `manifest.json` (which holds the digest), `manifest.sig`
/// (which signs it) and `model.plan` (which is made from the model) are left out.
package struct VersionDigest {
  package static let leftOut: Set<String> = ["manifest.json", "manifest.sig", "model.plan"]

  private var added: [VersionFile] = []

  package init() {}

  package mutating func add(name: String, contents: UnsafeRawBufferPointer) {
    added.append(VersionFile(name: name, byteCount: contents.count, sha256: sha256(contents)))
  }

  /// What was added, in byte order of the names.
  package var files: [VersionFile] {
    added.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  /// The digest of what was added, 32 bytes.
  package var bytes: [UInt8] {
    var list: [UInt8] = []
    for file in files {
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

/// A file of a version, as the digest sees it.
package struct VersionFile: Sendable, Equatable {
  package var name: String
  package var byteCount: Int
  /// 32 bytes.
  package var sha256: [UInt8]

  package init(name: String, byteCount: Int, sha256: [UInt8]) {
    self.name = name
    self.byteCount = byteCount
    self.sha256 = sha256
  }
}
