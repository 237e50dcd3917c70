import Glibc

/// A folder of models, `DIR/NAME/VERSION/` with one model file and an optional `model.yaml` in each. A
/// version's folder is never changed once it is there; what is decided about versions is in
/// `DIR/NAME/state.json`.
package struct ModelRepository: Sendable {
  package let path: String

  /// A version's folder, or why there is none.
  package struct Entry: Sendable {
    package let name: String
    /// 0 for a failure that belongs to no version.
    package let version: UInt64
    package let folder: Result<VersionFolder, ModelError>

    /// Whether the folder is still there.
    package var isThere: Bool {
      if case .success(let folder) = folder { access(folder.path, F_OK) == 0 } else { false }
    }

    /// Other when the folder's files are others, or have been written to.
    package var fingerprint: Int {
      if case .success(let folder) = folder { folder.folder.fingerprint } else { 0 }
    }
  }

  /// The folder of one version.
  package struct VersionFolder: Sendable {
    let folder: Folder
    package var path: String { folder.path }
  }

  /// - Parameter path: the folder; it may be empty.
  /// - Throws: `ModelError` where it is missing or no folder.
  package init(path: String) throws(ModelError) {
    self.path = try Folder(path: path).path
  }

  /// Loads every version of every model, by name and rising version.
  ///
  /// A model that cannot be used does not stop the others: it is there as `failed` with its reason. A name
  /// whose failure belongs to no version has version 0.
  ///
  /// - Throws: `ModelError` where the folder itself can no longer be read.
  package func load() throws(ModelError) -> [ModelVersion] {
    var result = try entries().map { load($0) }
    var latest: [String: Int] = [:]
    for (index, version) in result.enumerated() where version.classifier != nil {
      latest[version.name] = index
    }
    for index in latest.values { result[index].aliases = ["latest"] }
    return result
  }

  /// Loads one version; what is wrong with it becomes its state.
  package func load(_ entry: Entry) -> ModelVersion {
    switch entry.folder {
    case .success(let folder):
      VersionLoader.load(name: entry.name, version: entry.version, folder: folder.folder)
    case .failure(let error):
      ModelVersion(
        name: entry.name, version: entry.version, state: .failed(reason: error.description))
    }
  }

  /// By whom a version was published; nil where nothing says it.
  package func publication(of entry: Entry) -> VersionManifest.Publication? {
    guard case .success(let folder) = entry.folder else { return nil }
    do throws(ModelError) {
      let file = try MappedFile(path: folder.path + "/" + VersionManifest.fileName)
      return try VersionManifest(parsing: file.bytes).published
    } catch { return nil }
  }

  /// The digest of a version's files as they are now.
  package func digest(of entry: Entry) -> Result<[UInt8], ModelError> {
    entry.folder.flatMap { folder in
      do throws(ModelError) { return .success(try VersionLoader.digest(of: folder.folder)) } catch {
        return .failure(error)
      }
    }
  }

  // MARK: - What is there

  /// The versions of all models, by name and rising version, without a look into their files.
  ///
  /// - Throws: `ModelError` where the folder itself can no longer be read.
  package func entries() throws(ModelError) -> [Entry] {
    let folder = try Folder(path: path)
    var result: [Entry] = []
    for name in try folder.names() { result += entries(of: name, folder) }
    return result
  }

  /// The versions of one model; none where there is no such folder.
  package func entries(of name: String) throws(ModelError) -> [Entry] {
    let folder = try Folder(path: path)
    guard access(folder.path + "/" + name, F_OK) == 0 else { return [] }
    return entries(of: name, folder)
  }

  private func entries(of name: String, _ folder: Folder) -> [Entry] {
    do {
      let entry = try folder.entry(name)
      guard entry.kind == .folder else { return [] }
      return try versions(of: name, Folder(path: entry.path))
    } catch {
      return [Entry(name: name, version: 0, folder: .failure(error))]
    }
  }

  private func versions(of name: String, _ folder: Folder) throws(ModelError) -> [Entry] {
    guard Self.isModelName(name) else {
      throw ModelError("the name \(name) may hold only letters, digits, dots, hyphens and underscores")
    }
    var result: [Entry] = []
    for folderName in try folder.names() {
      do {
        let entry = try folder.entry(folderName)
        guard entry.kind == .folder else { continue }
        let version = try Self.version(folderName)
        let versionFolder = VersionFolder(folder: try Folder(path: entry.path))
        result.append(Entry(name: name, version: version, folder: .success(versionFolder)))
      } catch {
        let version = (try? Self.version(folderName)) ?? 0
        result.append(Entry(name: name, version: version, folder: .failure(error)))
      }
    }
    // A model whose versions were all taken back is no mistake.
    guard !result.isEmpty || access(recordPath(name), F_OK) == 0 else {
      throw ModelError("model \(name) has no version; put its file into \(name)/1/")
    }
    return result.sorted { $0.version < $1.version }
  }

  /// Letters, digits, dots, hyphens and underscores of ASCII, no dot first.
  package static func isModelName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 255 && !name.hasPrefix(".")
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }

  /// A positive integer in plain digits, no zero first.
  private static func version(_ name: String) throws(ModelError) -> UInt64 {
    guard let version = UInt64(name), version > 0, String(version) == name else {
      throw ModelError(
        "the folder \(name) is no version: a version is a positive whole number, for example 1")
    }
    return version
  }
}

// MARK: - Changes

extension ModelRepository {
  /// Hidden, so that no model is looked for in it: what is on its way in or out, and the audit log.
  private var workFolder: String { path + "/.apus" }
  package var auditPath: String { workFolder + "/audit.log" }
  private func recordPath(_ name: String) -> String { path + "/\(name)/" + ModelRecord.fileName }

  /// Removes what a process that ended amid a change has left.
  package func cleanUp() {
    for folder in ["/incoming", "/trash"] where access(workFolder + folder, F_OK) == 0 {
      Durable.remove(workFolder + folder)
    }
  }

  /// Makes the folder for the audit log.
  package func makeWorkFolder() throws(ModelError) { try Durable.makeFolder(workFolder) }

  /// What was decided about a model; as new where nothing was.
  ///
  /// - Throws: `ModelError` for a file that is damaged.
  package func record(of name: String) throws(ModelError) -> ModelRecord {
    guard access(recordPath(name), F_OK) == 0 else { return ModelRecord() }
    let file = try MappedFile(path: recordPath(name))
    guard file.bytes.count <= ModelRecord.maximumBytes else {
      throw ModelError("\(ModelRecord.fileName) of \(name) has more than \(ModelRecord.maximumBytes) bytes")
    }
    return try ModelRecord(parsing: Array(file.bytes))
  }

  /// Keeps what was decided, at once and for good.
  package func save(_ record: ModelRecord, of name: String) throws(ModelError) {
    try Durable.write(record.bytes, to: recordPath(name))
  }

  /// Begins to take a version's files.
  ///
  /// - Parameter id: names its folder; no other one under way has it.
  package func stage(
    _ name: String, version: UInt64, files: [StagedVersion.File], id: String
  ) throws(ModelError) -> StagedVersion {
    do {
      return try StagedVersion(repository: path, id: id, name: name, version: version, files: files)
    } catch {
      Durable.remove(workFolder + "/incoming/" + id)
      throw error
    }
  }

  /// The entry of a version that is not shown yet.
  package func entry(staged folder: String, name: String, version: UInt64) throws(ModelError) -> Entry {
    Entry(
      name: name, version: version, folder: .success(VersionFolder(folder: try Folder(path: folder))))
  }

  /// Shows a version whose files are on disk: by one rename, of the version's folder or, for a new model, of
  /// the folder around it.
  ///
  /// - Throws: `ModelError` where there is such a version already.
  package func place(_ staged: StagedVersion) throws(ModelError) -> Entry {
    let target = path + "/\(staged.name)"
    let (name, version, container) = (staged.name, staged.version, staged.container)
    if access(target, F_OK) != 0 {
      try Durable.sync(folder: container)
      if try Durable.move(container, to: target) {
        return try self.entry(staged: target + "/\(version)", name: name, version: version)
      }
    }
    guard try Durable.move(container + "/\(version)", to: target + "/\(version)") else {
      throw ModelError("\(name) has a version \(version) already")
    }
    Durable.remove(container)
    return try self.entry(staged: target + "/\(version)", name: name, version: version)
  }

  /// Deletes a version's files: by one rename first, so that no half of them is ever found.
  package func delete(_ name: String, version: UInt64) throws(ModelError) {
    try Durable.makeFolder(workFolder + "/trash")
    let target = workFolder + "/trash/\(name)-\(version)-\(getpid())"
    Durable.remove(target)
    guard try Durable.move(path + "/\(name)/\(version)", to: target) else {
      throw ModelError("cannot delete \(name) version \(version): the trash is full")
    }
    Durable.remove(target)
  }

  /// Adds the last file to a version that is not shown yet; the names of all its files are on disk then.
  package func write(_ bytes: [UInt8], named name: String, staged folder: String) throws(ModelError) {
    try Durable.write(bytes, to: folder + "/" + name)
  }
}
