import ApusJSON

/// What came of a model.
package struct ModelOutcome: Equatable, Sendable {
  package struct Fetched: Equatable, Sendable {
    package let version: UInt64
    package let byteCount: Int
  }

  package let name: String
  package var fetched: [Fetched] = []
  package var hasNewState = false
  /// A line each.
  package var problems: [String] = []
}

/// Brings the versions and the state of one model into step.
struct ModelSync {
  let model: StoreModel
  let folder: LocalFolder
  let settings: StoreSettings

  private var name: String { model.name }

  func run(_ connection: borrowing StoreConnection) -> ModelOutcome {
    var outcome = ModelOutcome(name: name)
    let isNew = !folder.has(name)
    var missing: [UInt64] = []
    do throws(StoreError) { try folder.takeBack(name) } catch { outcome.problems.append("\(error)") }
    for version in model.versions {
      do throws(StoreError) {
        guard let byteCount = try bring(version, connection) else { continue }
        if !isNew { try publish(version) }
        outcome.fetched.append(ModelOutcome.Fetched(version: version.number, byteCount: byteCount))
      } catch {
        outcome.problems.append("\(name) version \(version.number): \(error)")
        if !folder.has(name, version.number) { missing.append(version.number) }
      }
    }
    do throws(StoreError) {
      if isNew {
        try appear(&outcome, missing, connection)
      } else {
        try follow(&outcome, missing, connection)
      }
    } catch {
      if isNew { outcome.fetched = [] }
      outcome.problems.append("\(name): \(error)")
    }
    return outcome
  }

  // MARK: Versions

  /// Fetches what is missing of a version, into the place where it waits to be shown.
  ///
  /// - Returns: its bytes; nil where it is here, and the same.
  private func bring(
    _ listed: StoreVersion, _ connection: borrowing StoreConnection
  ) throws(StoreError) -> Int? {
    if folder.has(name, listed.number), folder.isKnown(name, "\(listed.number)", as: listed.record) {
      return nil
    }
    let version = try resolved(listed, connection)
    if folder.has(name, version.number) {
      try compare(version)
      try folder.remember(name, "\(version.number)", as: listed.record)
      return nil
    }
    guard let byteCount = version.byteCount, byteCount <= settings.mostBytes else {
      throw StoreError(
        .unusable, "it has more than \(settings.mostBytes) bytes; allow more by --max-bytes if it is yours")
    }
    let place = folder.staged(name, version.number)
    try Files.makeFolder(place)
    for file in version.files {
      let path = "\(place)/\(file.name)"
      if try file.matches(path) { continue }
      Files.remove(path)
      try connection.fetch("\(name)/\(version.number)/\(file.name)", into: PartFile(file, in: place))
    }
    try folder.complete(name, version.number, version.files)
    return byteCount
  }

  private func publish(_ version: StoreVersion) throws(StoreError) {
    try folder.show(name, version.number)
    try folder.remember(name, "\(version.number)", as: version.record)
  }

  /// Files that are no part of what a version is: a server may add them here.
  private static let companions: Set<String> = ["manifest.json", "model.plan"]

  private func compare(_ version: StoreVersion) throws(StoreError) {
    let place = folder.version(name, version.number)
    for file in version.files where !Self.companions.contains(file.name) {
      guard try file.matches("\(place)/\(file.name)") else {
        throw StoreError(
          .changed,
          "\(file.name) is another in the store than in \(place), which is kept; a version never changes: "
            + "publish under a new one")
      }
    }
  }

  /// The version with the digests of its manifest, where it has one and the store did not say them.
  private func resolved(
    _ version: StoreVersion, _ connection: borrowing StoreConnection
  ) throws(StoreError) -> StoreVersion {
    guard let manifest = version.files.first(where: { $0.name == "manifest.json" }),
      case .tag = manifest.digest
    else { return version }
    let key = "\(name)/\(version.number)/manifest.json"
    guard let object = try connection.object(key, atMost: StoreIndex.mostManifestBytes) else {
      return version
    }
    let named: [StoreFile]
    do throws(JSONError) {
      named = try withBytes(object.bytes) { (bytes) throws(JSONError) in
        try StoreIndex.readManifest(bytes)
      }
    } catch {
      throw StoreError(
        .unusable, "\(settings.location.url(key).shown) cannot be used: \(shown(error.description))")
    }
    var result = version
    for file in named where !Self.companions.contains(file.name) {
      guard let index = result.files.firstIndex(where: { $0.name == file.name }),
        result.files[index].byteCount == file.byteCount
      else {
        throw StoreError(
          .unusable,
          "\(shown(file.name)) is missing or has not \(file.byteCount) bytes, as its manifest says; "
            + "perhaps it is being uploaded")
      }
      result.files[index].digest = file.digest
    }
    return result
  }

  // MARK: State

  /// Shows a new model: what has come of it, or all of it where a state, which may name any version, is
  /// there.
  private func appear(
    _ outcome: inout ModelOutcome, _ missing: [UInt64], _ connection: borrowing StoreConnection
  ) throws(StoreError) {
    guard !outcome.fetched.isEmpty else { return }
    guard model.state == nil || missing.isEmpty else {
      throw StoreError(.unusable, "it has a state.json and appears when all its versions have come")
    }
    let state = try state(connection)
    try folder.showModel(name, outcome.fetched.map(\.version), state: state)
    for version in model.versions where !missing.contains(version.number) {
      try folder.remember(name, "\(version.number)", as: version.record)
    }
    if case .object(let tag) = model.state { try folder.remember(name, "state", as: tag) }
    outcome.hasNewState = state != nil
  }

  private func follow(
    _ outcome: inout ModelOutcome, _ missing: [UInt64], _ connection: borrowing StoreConnection
  ) throws(StoreError) {
    if case .object(let tag) = model.state, folder.state(name) != nil,
      folder.isKnown(name, "state", as: tag)
    { return }
    guard let state = try state(connection), folder.state(name) != state else { return }
    guard missing.isEmpty else {
      throw StoreError(.unusable, "its new state.json waits until all its versions have come")
    }
    outcome.hasNewState = try folder.setState(name, state)
    if case .object(let tag) = model.state { try folder.remember(name, "state", as: tag) }
  }

  /// - Throws: `StoreError` where it cannot be fetched, or is no JSON object.
  private func state(_ connection: borrowing StoreConnection) throws(StoreError) -> [UInt8]? {
    switch model.state {
    case nil: return nil
    case .content(let bytes): return bytes
    case .object:
      let key = "\(name)/state.json"
      guard let object = try connection.object(key, atMost: StoreState.mostBytes) else { return nil }
      let isObject = object.bytes.withUnsafeBytes { bytes in
        var scanner = JSONScanner(bytes)
        do throws(JSONError) {
          try scanner.object { (scanner, _) throws(JSONError) in try scanner.skipValue() }
          try scanner.end()
          return true
        } catch { return false }
      }
      guard isObject else {
        throw StoreError(.unusable, "\(settings.location.url(key).shown) is no JSON object")
      }
      return object.bytes
    }
  }
}
