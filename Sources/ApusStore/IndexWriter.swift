import ApusJSON

/// Makes the index of a folder, so that any server of static files can serve it as a store.
package enum IndexWriter {
  /// Hashes every file of every version and writes `FOLDER/index.json`.
  ///
  /// - Returns: models and versions in it.
  /// - Throws: `StoreError` for what no store can hold, and for a file that is not what its manifest says.
  package static func write(_ folder: String) throws(StoreError) -> (models: Int, versions: Int) {
    guard Files.byteCount(folder) == nil, Files.exists(folder) else {
      throw StoreError(.local, "\(folder) is no folder: name one that holds NAME/VERSION/ folders")
    }
    var models: [String] = []
    var versions = 0
    for name in visible(folder) where StoreNames.isModelName(name) {
      let numbers = visible("\(folder)/\(name)").compactMap { StoreNames.version($0) }.sorted()
      guard !numbers.isEmpty else { continue }
      var texts: [String] = []
      for number in numbers { texts.append(try version("\(folder)/\(name)/\(number)", number)) }
      versions += texts.count
      models.append(
        "{\"name\": \(quoted(name)), \"versions\": [\(texts.joined(separator: ", "))]"
          + (try state("\(folder)/\(name)/state.json")) + "}")
    }
    let text = "{\"apus_index\": 1, \"models\": [\n\(models.joined(separator: ",\n"))\n]}\n"
    try Files.replace("\(folder)/index.json", Array(text.utf8), by: "\(folder)/.index.json.new")
    try Files.synchronize(folder)
    return (models.count, versions)
  }

  private static func visible(_ folder: String) -> [String] {
    Files.names(folder).filter { !$0.hasPrefix(".") }.sorted()
  }

  private static func version(_ folder: String, _ number: UInt64) throws(StoreError) -> String {
    var files: [StoreFile] = []
    for name in visible(folder) {
      let path = "\(folder)/\(name)"
      guard let byteCount = Files.byteCount(path), StoreNames.isFileName(name) else {
        throw StoreError(.local, "\(shown(path)) is no plain file with a plain name; move it elsewhere")
      }
      files.append(
        StoreFile(name: name, byteCount: byteCount, digest: .sha256(try Files.digest(path, .sha256))))
    }
    guard !files.isEmpty, files.count <= StoreVersion.mostFiles else {
      throw StoreError(
        .local, "\(folder) has \(files.count) files; a version has from 1 to \(StoreVersion.mostFiles)")
    }
    try compare(files, folder)
    let texts = files.map { file in
      var digits = file.digest.description
      digits.removeFirst("sha256:".count)
      return "{\"name\": \(quoted(file.name)), \"size\": \(file.byteCount), \"sha256\": \"\(digits)\"}"
    }
    return "{\"version\": \(number), \"files\": [\(texts.joined(separator: ", "))]}"
  }

  private static func compare(_ files: [StoreFile], _ folder: String) throws(StoreError) {
    guard files.contains(where: { $0.name == "manifest.json" }) else { return }
    let path = folder + "/manifest.json"
    guard let bytes = Files.read(path, atMost: StoreIndex.mostManifestBytes) else {
      throw StoreError(.local, "\(path) cannot be read, or is over 1 MiB")
    }
    let named: [StoreFile]
    do throws(JSONError) {
      named = try withBytes(bytes) { (bytes) throws(JSONError) in try StoreIndex.readManifest(bytes) }
    } catch { throw StoreError(.local, "\(path) cannot be used: \(shown(error.description))") }
    for file in named where !files.contains(file) {
      throw StoreError(.local, "\(folder)/\(shown(file.name)) is not what \(path) says; publish it again")
    }
  }

  /// A member for the state, as it stands in its file.
  private static func state(_ path: String) throws(StoreError) -> String {
    guard Files.exists(path) else { return "" }
    guard let bytes = Files.read(path, atMost: StoreState.mostBytes) else {
      throw StoreError(.local, "\(path) cannot be read, or is over 1 MiB")
    }
    let source = bytes.withUnsafeBytes { bytes -> String? in
      var scanner = JSONScanner(bytes)
      do throws(JSONError) {
        guard try scanner.peek() == .object else { return nil }
        let source = try scanner.source()
        try scanner.end()
        return String(validating: source, as: UTF8.self)
      } catch { return nil }
    }
    guard let source else { throw StoreError(.local, "\(path) is no JSON object") }
    return ", \"state\": \(source)"
  }

  /// Of names without control characters.
  private static func quoted(_ name: String) -> String {
    var text = "\""
    for scalar in name.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { text += "\\" }
      text.unicodeScalars.append(scalar)
    }
    return text + "\""
  }
}
