package import ApusJSON

/// `index.json` of a store, and `manifest.json` of a version.
///
/// An index is `{"apus_index": 1, "models": [{"name": …, "versions": [{"version": 1, "files": [{"name": …,
/// "size": …, "sha256": …}]}], "state": {…}}]}`. What it does not know it passes over.
package enum StoreIndex {
  /// The longest index and manifest that are read, in bytes.
  static let mostBytes = 16 << 20
  static let mostManifestBytes = 1 << 20

  /// - Throws: `JSONError` for what is no index, and for names and numbers that no repository can hold.
  package static func read(_ bytes: UnsafeRawBufferPointer) throws(JSONError) -> StoreCatalog {
    var scanner = JSONScanner(bytes)
    var form: Int?
    var models: [StoreModel]?
    try scanner.object { (scanner, member) throws(JSONError) in
      switch member {
      case "apus_index": form = try scanner.count()
      case "models": models = try list(&scanner, model)
      default: try scanner.skipValue()
      }
    }
    try scanner.end()
    guard form == 1, let models else {
      throw scanner.error("this is no index of models: \"apus_index\": 1 and \"models\" must stand in it")
    }
    guard Set(models.map(\.name)).count == models.count else { throw scanner.error("a model is named twice") }
    return StoreCatalog(models: models)
  }

  /// The files that a manifest names.
  package static func readManifest(_ bytes: UnsafeRawBufferPointer) throws(JSONError) -> [StoreFile] {
    var scanner = JSONScanner(bytes)
    var files: [StoreFile]?
    try scanner.object { (scanner, member) throws(JSONError) in
      if member == "files" { files = try readFiles(&scanner) } else { try scanner.skipValue() }
    }
    try scanner.end()
    guard let files else { throw scanner.error("\"files\" is missing") }
    return files
  }

  private static func list<Element>(
    _ scanner: inout JSONScanner, _ element: (inout JSONScanner) throws(JSONError) -> Element
  ) throws(JSONError) -> [Element] {
    var elements: [Element] = []
    try scanner.array { (scanner) throws(JSONError) in elements.append(try element(&scanner)) }
    return elements
  }

  private static func model(_ scanner: inout JSONScanner) throws(JSONError) -> StoreModel {
    var name: String?
    var versions: [StoreVersion]?
    var state: StoreState?
    try scanner.object { (scanner, member) throws(JSONError) in
      switch member {
      case "name": name = try scanner.string()
      case "versions": versions = try list(&scanner, version)
      case "state": state = try readState(&scanner)
      default: try scanner.skipValue()
      }
    }
    guard let name, StoreNames.isModelName(name) else { throw scanner.error("a model has no proper name") }
    guard let versions, Set(versions.map(\.number)).count == versions.count else {
      throw scanner.error("a model has no versions, or one of them twice")
    }
    return StoreModel(name: name, versions: versions.sorted { $0.number < $1.number }, state: state)
  }

  private static func readState(_ scanner: inout JSONScanner) throws(JSONError) -> StoreState? {
    switch try scanner.peek() {
    case .null:
      try scanner.null()
      return nil
    case .object:
      let source = try scanner.source()
      guard source.count <= StoreState.mostBytes else { throw scanner.error("a state is over 1 MiB") }
      return .content(Array(source))
    default: throw scanner.error("a state must be an object")
    }
  }

  private static func version(_ scanner: inout JSONScanner) throws(JSONError) -> StoreVersion {
    var number: Int?
    var files: [StoreFile]?
    try scanner.object { (scanner, member) throws(JSONError) in
      switch member {
      case "version": number = try scanner.count()
      case "files": files = try readFiles(&scanner)
      default: try scanner.skipValue()
      }
    }
    guard let number, number > 0, number < 1 << 53 else { throw scanner.error("a version has no number") }
    guard let files, !files.isEmpty else { throw scanner.error("a version has no files") }
    return StoreVersion(number: UInt64(number), files: files)
  }

  private static func readFiles(_ scanner: inout JSONScanner) throws(JSONError) -> [StoreFile] {
    var files: [StoreFile] = []
    try scanner.array { (scanner) throws(JSONError) in
      let file = try file(&scanner)
      guard files.count < StoreVersion.mostFiles else {
        throw scanner.error("a version has more than \(StoreVersion.mostFiles) files")
      }
      guard !files.contains(where: { $0.name == file.name }) else {
        throw scanner.error("a file is named twice")
      }
      files.append(file)
    }
    return files
  }

  private static func file(_ scanner: inout JSONScanner) throws(JSONError) -> StoreFile {
    var name: String?
    var byteCount: Int?
    var sha256: String?
    try scanner.object { (scanner, member) throws(JSONError) in
      switch member {
      case "name": name = try scanner.string()
      case "size": byteCount = try scanner.count()
      case "sha256": sha256 = try scanner.string()
      default: try scanner.skipValue()
      }
    }
    guard let name, StoreNames.isFileName(name) else { throw scanner.error("a file has no proper name") }
    guard let byteCount else { throw scanner.error("a file has no size") }
    guard let sha256, sha256.utf8.count == 64, isHexadecimal(sha256) else {
      throw scanner.error("a file has no sha256 of 64 lower-case digits")
    }
    return StoreFile(name: name, byteCount: byteCount, digest: .sha256(sha256))
  }
}
