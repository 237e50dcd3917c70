/// Files of a folder that is to become a version.
extension VersionFile {
  /// All that a signature is about, in byte order of the names.
  ///
  /// - Throws: where a file cannot be read, or there is none.
  package static func all(inFolder path: String) throws(ModelError) -> [VersionFile] {
    let folder = try Folder(path: path)
    var digest = VersionDigest()
    for name in try folder.names() where !VersionDigest.leftOut.contains(name) {
      let entry = try folder.entry(name)
      guard entry.kind == .file else { continue }
      // Mapped as long as it has a name.
      let file = try MappedFile(path: entry.path)
      digest.add(name: name, contents: file.bytes)
    }
    guard !digest.files.isEmpty else { throw ModelError("the folder \(path) holds no file") }
    return digest.files
  }
}

extension ManifestSignatures {
  /// The signatures that a folder has already.
  package static func read(_ folder: String) throws(ModelError) -> ManifestSignatures {
    guard try Folder(path: folder).names().contains(fileName) else { return ManifestSignatures() }
    let file = try MappedFile(path: folder + "/" + fileName)
    return try ManifestSignatures(parsing: file.bytes)
  }

  package func write(_ folder: String) throws(ModelError) {
    try Durable.write(bytes, to: folder + "/" + Self.fileName)
  }
}

extension TrustedKeys {
  /// - Parameter folder: of its files, those that end in `.pem` are public keys.
  /// - Throws: where there is none, or one of them is no key.
  package init(folder path: String) throws(ModelError) {
    let folder = try Folder(path: path)
    let names = try folder.names().filter { $0.hasSuffix(".pem") }
    guard !names.isEmpty else { throw ModelError("the folder \(path) holds no key, as NAME.pem") }
    var files: [String] = []
    for name in names { files.append(try folder.entry(name).path) }
    try self.init(files: files)
  }
}
