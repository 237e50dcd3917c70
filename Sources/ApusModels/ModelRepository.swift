/// A folder of models, `DIR/NAME/VERSION/` with one model file and an optional `model.yaml` in each.
package struct ModelRepository: Sendable {
  private let path: String

  /// - Parameter path: the folder; it may be empty.
  /// - Throws: `ModelError` where it is missing or no folder.
  package init(path: String) throws(ModelError) {
    _ = try Folder(path: path)
    self.path = path
  }

  /// Loads every version of every model, by name and rising version.
  ///
  /// A model that cannot be used does not stop the others: it is there as `failed` with its reason. A name
  /// whose failure belongs to no version has version 0.
  ///
  /// - Throws: `ModelError` where the folder itself can no longer be read.
  package func load() throws(ModelError) -> [ModelVersion] {
    let folder = try Folder(path: path)
    var result: [ModelVersion] = []
    for name in try folder.names() {
      do {
        let entry = try folder.entry(name)
        guard entry.kind == .folder else { continue }
        result += try loadModel(name, Folder(path: entry.path))
      } catch {
        result.append(ModelVersion(name: name, version: 0, state: .failed(reason: error.description)))
      }
    }
    return result
  }

  private func loadModel(_ name: String, _ folder: Folder) throws(ModelError) -> [ModelVersion] {
    guard Self.isModelName(name) else {
      throw ModelError("the name \(name) may hold only letters, digits, dots, hyphens and underscores")
    }
    var result: [ModelVersion] = []
    for folderName in try folder.names() {
      do {
        let entry = try folder.entry(folderName)
        guard entry.kind == .folder else { continue }
        let version = try Self.version(folderName)
        result.append(VersionLoader.load(name: name, version: version, folder: try Folder(path: entry.path)))
      } catch {
        let version = (try? Self.version(folderName)) ?? 0
        result.append(ModelVersion(name: name, version: version, state: .failed(reason: error.description)))
      }
    }
    guard !result.isEmpty else {
      throw ModelError("model \(name) has no version; put its file into \(name)/1/")
    }
    result.sort { $0.version < $1.version }
    if let latest = result.lastIndex(where: { $0.network != nil }) { result[latest].aliases = ["latest"] }
    return result
  }

  /// Letters, digits, dots, hyphens and underscores of ASCII, no dot first.
  package static func isModelName(_ name: String) -> Bool {
    !name.isEmpty && !name.hasPrefix(".")
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
