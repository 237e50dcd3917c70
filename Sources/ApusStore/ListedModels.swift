/// Models of a store that has no index, from the keys of its listing.
package struct ListedModels {
  private var files: [String: [UInt64: [StoreFile]]] = [:]
  private var states: [String: StoreState] = [:]
  /// Versions that no folder can hold, and why.
  package private(set) var problems: [String] = []
  private var unusable: [String: Set<UInt64>] = [:]

  package init() {}

  /// - Parameters:
  ///   - key: below the prefix: `NAME/VERSION/FILE` or `NAME/state.json`. All else, and what begins with a
  ///     dot, belongs to someone else and is passed over.
  package mutating func add(key: Substring, byteCount: Int, tag: String) {
    let parts = key.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count >= 2, StoreNames.isModelName(parts[0]) else { return }
    let name = String(parts[0])
    if parts.count == 2 {
      if parts[1] == "state.json" { states[name] = .object(tag: tag) }
      return
    }
    // A key with a slash at its end is what some tools write for a folder.
    guard let version = StoreNames.version(parts[1]), parts.last?.isEmpty == false,
      !parts[2...].contains(where: { $0.hasPrefix(".") })
    else { return }
    guard parts.count == 3, StoreNames.isFileName(parts[2]) else {
      let file = shown(parts[2...].joined(separator: "/"))
      return refuse(name, version, "holds \(file), which is no file name")
    }
    let file = StoreFile(name: String(parts[2]), byteCount: byteCount, digest: .tag(tag))
    guard files[name]?[version]?.count ?? 0 < StoreVersion.mostFiles else {
      return refuse(name, version, "has more than \(StoreVersion.mostFiles) files")
    }
    guard files[name]?[version]?.contains(where: { $0.name == file.name }) != true else {
      return refuse(name, version, "has a file twice")
    }
    files[name, default: [:]][version, default: []].append(file)
  }

  private mutating func refuse(_ name: String, _ version: UInt64, _ reason: String) {
    guard unusable[name, default: []].insert(version).inserted else { return }
    problems.append("\(name) version \(version) \(reason); it is left out")
  }

  package var catalog: StoreCatalog {
    let models = files.keys.sorted().map { name in
      let versions = (files[name] ?? [:]).filter { unusable[name]?.contains($0.key) != true }
        .map { StoreVersion(number: $0.key, files: $0.value) }.sorted { $0.number < $1.number }
      return StoreModel(name: name, versions: versions, state: states[name])
    }
    return StoreCatalog(models: models)
  }
}
