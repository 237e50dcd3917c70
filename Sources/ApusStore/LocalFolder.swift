import ApusIO
import Glibc

/// A repository on this machine that follows a store: `NAME/VERSION/` is whole or not there, at every moment.
///
/// What is under way lies in `.apus`, which no server reads: `fetch/NAME/VERSION/` holds files that have come
/// and parts of others, `new/NAME/` a model that is about to appear, `known/NAME/VERSION` what the store said
/// of a version when it was compared with what is here, `lock` the lock of the one who works.
package struct LocalFolder: Sendable {
  /// Without a slash at its end.
  package let path: String
  private var own: String { path + "/.apus" }

  /// - Throws: `StoreError` where the folder cannot be made or written.
  package init(_ path: String) throws(StoreError) {
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    try Files.makeFolder(self.path + "/.apus/fetch")
    try Files.makeFolder(self.path + "/.apus/new")
    try Files.makeFolder(self.path + "/.apus/known")
  }

  func model(_ name: String) -> String { "\(path)/\(name)" }
  func version(_ name: String, _ version: UInt64) -> String { "\(path)/\(name)/\(version)" }
  func staged(_ name: String, _ version: UInt64) -> String { "\(own)/fetch/\(name)/\(version)" }

  func has(_ name: String) -> Bool { Files.exists(model(name)) }
  func has(_ name: String, _ version: UInt64) -> Bool { Files.exists(self.version(name, version)) }

  /// Waits until nobody else works here.
  ///
  /// - Returns: what holds the lock while it lives.
  func lock() throws(StoreError) -> Descriptor {
    let number = open(own + "/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard number >= 0 else { throw Files.failure("write \(own)/lock") }
    let file = Descriptor(owning: number)
    while flock(file.number, LOCK_EX) != 0 {
      guard errno == EINTR else { throw Files.failure("lock \(own)/lock") }
    }
    return file
  }

  // MARK: What is known

  private func known(_ name: String, _ entry: String) -> String { "\(own)/known/\(name)/\(entry)" }

  /// Whether the store said the same when this was last compared with what is here.
  func isKnown(_ name: String, _ entry: String, as record: String) -> Bool {
    Files.read(known(name, entry), atMost: 1 << 20).map { $0 == Array(record.utf8) } ?? false
  }

  func remember(_ name: String, _ entry: String, as record: String) throws(StoreError) {
    let path = known(name, entry)
    try Files.makeFolder("\(own)/known/\(name)")
    try Files.replace(path, Array(record.utf8), by: path + ".new")
  }

  /// Whether nothing has to be done for a model.
  func isInStep(_ model: StoreModel) -> Bool {
    for version in model.versions {
      guard has(model.name, version.number),
        isKnown(model.name, "\(version.number)", as: version.record)
      else { return false }
    }
    switch model.state {
    case .content(let bytes): return state(model.name) == bytes
    case .object(let tag): return state(model.name) != nil && isKnown(model.name, "state", as: tag)
    case nil: return true
    }
  }

  func state(_ name: String) -> [UInt8]? {
    Files.read(model(name) + "/state.json", atMost: StoreState.mostBytes)
  }

  // MARK: Appearing

  /// Takes back what an earlier process was about to show.
  func takeBack(_ name: String) throws(StoreError) {
    let folder = "\(own)/new/\(name)"
    for entry in Files.names(folder) {
      guard let version = StoreNames.version(entry), !Files.exists(staged(name, version)) else { continue }
      try Files.makeFolder("\(own)/fetch/\(name)")
      try Files.rename("\(folder)/\(entry)", to: staged(name, version))
    }
    Files.remove(folder)
  }

  /// Removes all from a staged version but these files, and makes it outlive a loss of power.
  func complete(_ name: String, _ version: UInt64, _ files: [StoreFile]) throws(StoreError) {
    let folder = staged(name, version)
    let names = Set(files.map(\.name))
    for entry in Files.names(folder) where !names.contains(entry) { Files.remove("\(folder)/\(entry)") }
    try Files.synchronize(folder)
  }

  /// Shows a staged version of a model that is there.
  func show(_ name: String, _ version: UInt64) throws(StoreError) {
    try Files.rename(staged(name, version), to: self.version(name, version))
    try Files.synchronize(model(name))
  }

  /// Shows a new model with its staged versions and its state, all at once.
  func showModel(_ name: String, _ versions: [UInt64], state: [UInt8]?) throws(StoreError) {
    let folder = "\(own)/new/\(name)"
    try Files.makeFolder(folder)
    for version in versions { try Files.rename(staged(name, version), to: "\(folder)/\(version)") }
    if let state { try Files.replace(folder + "/state.json", state, by: folder + "/.state.json.new") }
    try Files.synchronize(folder)
    try Files.rename(folder, to: model(name))
    try Files.synchronize(path)
  }

  /// - Returns: whether it was another before.
  func setState(_ name: String, _ bytes: [UInt8]) throws(StoreError) -> Bool {
    guard state(name) != bytes else { return false }
    try Files.makeFolder("\(own)/fetch/\(name)")
    try Files.replace(model(name) + "/state.json", bytes, by: "\(own)/fetch/\(name)/.state.json.new")
    try Files.synchronize(model(name))
    return true
  }

  /// Removes what is left of fetching, after all has come.
  func tidy() {
    for name in Files.names(own + "/fetch") { Files.remove("\(own)/fetch/\(name)") }
  }
}
