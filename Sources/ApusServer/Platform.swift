import ApusBase
import ApusEngine
package import ApusLog
package import ApusModels
import ApusWire
import Glibc

/// All models of a repository, every version with its state, and what was decided about them. One thread has
/// it: the one that starts the server, and then the one that administers it.
package struct Platform {
  let repository: ModelRepository
  let loader: ModelLoader
  let log: PlatformLog
  var models: [String: Model] = [:]
  private var slots = SlotPool()
  private var generation: UInt64 = 0
  private let names: ModelNames?

  /// One model.
  struct Model {
    var record = ModelRecord()
    /// Why the record cannot be read: then nothing is decided about the model until it is repaired.
    var recordFailure: String?
    var versions: [UInt64: Version] = [:]
  }

  /// One version of a model.
  struct Version {
    var entry: ModelRepository.Entry
    var state: ModelState
    var failure: String?
    /// Of the files, from before they were read.
    var fingerprint: Int
    var description = ModelDescription()
    var loaded: LoadedModel?
    /// As the last catalog shows it.
    var served: ServedModel?
    /// Where it is counted; -1: nowhere.
    var slot = -1

    init(_ entry: ModelRepository.Entry, state: ModelState) {
      self.entry = entry
      self.state = state
      fingerprint = entry.fingerprint
    }
  }

  /// Loads all versions that are not out of service. One that fails stops nothing.
  ///
  /// - Throws: `ModelError` where the folder cannot be read.
  package init(
    _ repository: ModelRepository, loader: ModelLoader = ModelLoader(), names: ModelNames? = nil,
    log: PlatformLog
  ) throws(ModelError) {
    self.repository = repository
    self.loader = loader
    self.names = names
    self.log = log
    repository.cleanUp()
    for entry in try repository.entries() { add(entry) }
    for name in models.keys.sorted() { loadAll(of: name) }
  }

  /// Adds a version that is on disk.
  mutating func add(_ entry: ModelRepository.Entry) {
    if models[entry.name] == nil { models[entry.name] = readModel(entry.name) }
    guard let model = models[entry.name], model.versions[entry.version] == nil else { return }
    let state: ModelState =
      model.record.withdrawn.contains(entry.version)
      ? .withdrawn : model.record.unloaded.contains(entry.version) ? .unloaded : .loading
    var version = Version(entry, state: state)
    if state != .loading { version.description.take(repository.publication(of: entry)) }
    models[entry.name]?.versions[entry.version] = version
    models[entry.name]?.record.highest = max(model.record.highest, entry.version)
  }

  private func readModel(_ name: String) -> Model {
    var model = Model()
    do { model.record = try repository.record(of: name) } catch {
      model.recordFailure = error.description
      log.write(.error, "\(name): what was decided about its versions is lost: \(error)")
    }
    return model
  }

  private mutating func loadAll(of name: String) {
    for number in models[name].map({ $0.versions.keys.sorted() }) ?? [] {
      guard let version = models[name]?.versions[number], version.state == .loading else { continue }
      take(loader.load(version.entry, from: repository), name, number)
    }
  }

  /// Takes what came of loading a version.
  mutating func take(_ outcome: ModelLoader.Outcome, _ name: String, _ number: UInt64) {
    guard var version = models[name]?.versions[number] else { return }
    version.description = outcome.description
    switch outcome.result {
    case .success(let loaded):
      for note in outcome.notes { log.write(.info, "\(name) \(number): \(note)") }
      log.write(.info, "loaded \(name) version \(number): \(outcome.summary)")
      version.state = .ready
      version.failure = nil
      version.loaded = loaded
    case .failure(let failed):
      log.write(.error, "\(name) version \(number) is not served: \(failed.reason)")
      version.state = .failed
      version.failure = failed.reason
      version.loaded = nil
    }
    models[name]?.versions[number] = version
  }

  /// A version that was draining is on disk alone, or not even there.
  mutating func leftMemory(_ name: String, _ number: UInt64) {
    guard var version = models[name]?.versions[number], version.state == .draining else { return }
    version.slot = -1
    version.state = models[name]?.record.withdrawn.contains(number) == true ? .withdrawn : .unloaded
    models[name]?.versions[number] = version.entry.isThere ? version : nil
  }

  /// Versions that answer, and that were refused.
  package var counts: (ready: Int, failed: Int) {
    let versions = models.values.flatMap { $0.versions.values }
    return (versions.count { $0.state == .ready }, versions.count { $0.state == .failed })
  }
}

/// Where the platform tells what happened.
package struct PlatformLog: Sendable {
  package let write: @Sendable (LogLevel, String) -> Void

  package init(_ write: @escaping @Sendable (LogLevel, String) -> Void) { self.write = write }

  func write(_ level: LogLevel, _ text: String) { write(level, text) }
}

// MARK: - The catalog

extension Platform {
  /// What is served now. Versions that have not changed are the same objects as in the catalog before.
  ///
  /// - Throws: `ModelError` when there are more versions than can be counted.
  package mutating func catalog() throws(ModelError) -> Catalog {
    var served: [ServedModel] = []
    var counted: [ObjectIdentifier: Int] = [:]
    for name in models.keys {
      guard let model = models[name] else { continue }
      let standings = Self.standings(of: model)
      for (number, version) in model.versions {
        let shown = show(version, name, number, standings[number] ?? ModelStanding())
        served.append(shown)
        var slot = version.slot
        if slot < 0, version.isCounted { slot = try slots.take() }
        if slot >= 0 { counted[ObjectIdentifier(shown)] = slot }
        models[name]?.versions[number]?.served = shown
        models[name]?.versions[number]?.slot = slot
      }
    }
    generation += 1
    return Catalog(served, slots: counted, names: names, generation: generation)
  }

  private func show(
    _ version: Version, _ name: String, _ number: UInt64, _ standing: ModelStanding
  ) -> ServedModel {
    if let served = version.served, served.state == version.state, served.failure == version.failure,
      served.loaded === version.loaded, served.standing == standing
    {
      return served
    }
    return ServedModel(
      name: name, version: number, version.description, standing, state: version.state,
      failure: version.failure, loaded: version.state == .ready ? version.loaded : nil)
  }

  private static func standings(of model: Model) -> [UInt64: ModelStanding] {
    var standings: [UInt64: ModelStanding] = [:]
    func change(_ number: UInt64, _ body: (inout ModelStanding) -> Void) {
      body(&standings[number, default: ModelStanding()])
    }
    if let latest = model.latest { change(latest) { $0.aliases.append("latest") } }
    for (alias, number) in model.record.aliases.sorted(by: { $0.key < $1.key }) {
      change(number) { $0.aliases.append(alias) }
    }
    for (number, deprecation) in model.record.deprecated {
      change(number) {
        $0.deprecated = deprecation.text
        $0.deprecatedNanoseconds = deprecation.nanoseconds
      }
    }
    if let canary = model.record.canary { change(canary.version) { $0.weight = canary.weight } }
    if model.record.shadow > 0 { change(model.record.shadow) { $0.isShadow = true } }
    return standings
  }

  /// A slot that nobody uses any more.
  mutating func give(back slot: Int) { slots.give(back: slot) }
}

extension Platform.Model {
  /// The version that calls without version and alias go to; nil: none is ready.
  var latest: UInt64? {
    var highest: UInt64?
    for number in versions.keys where isReady(number) { highest = max(highest ?? 0, number) }
    guard let highest, let pin = record.latest, isReady(pin.version), highest <= pin.seen
    else { return highest }
    return pin.version
  }

  private func isReady(_ number: UInt64) -> Bool { versions[number]?.state == .ready }
}

extension Platform.Version {
  /// Out of service, a version is counted no more.
  var isCounted: Bool { state != .unloaded && state != .withdrawn }
}

/// Slots of recorders.
struct SlotPool {
  private var free: [Int] = []
  private var used = 0

  mutating func take() throws(ModelError) -> Int {
    if let slot = free.popLast() { return slot }
    guard used < Recorder.maximumSlots else {
      throw ModelError("there are more than \(Recorder.maximumSlots) versions in service")
    }
    used += 1
    return used - 1
  }

  mutating func give(back slot: Int) { free.append(slot) }
}
