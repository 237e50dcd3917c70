import ApusBase
import ApusLog
import ApusModels
import ApusWire

/// What others change in the folder: versions that come and go, and what `state.json` says of them.
extension PlatformAdministrator {
  /// Takes up versions that were placed in the folder, lets go of those that were taken away, and follows the
  /// records that others have written.
  mutating func rescan() {
    let entries: [ModelRepository.Entry]
    do throws(ModelError) { entries = try platform.repository.entries() } catch {
      return platform.log.write(.error, "the models stay as they are: \(error)")
    }
    var hasChanged = false
    var seen: [String: Set<UInt64>] = [:]
    for entry in entries {
      seen[entry.name, default: []].insert(entry.version)
      if let known = platform.models[entry.name]?.versions[entry.version] {
        retry(known, entry)
        continue
      }
      platform.add(entry)
      hasChanged = true
      if platform.models[entry.name]?.versions[entry.version]?.state == .loading { loadFound(entry) }
    }
    if removeAbsent(seen) { hasChanged = true }
    for name in platform.models.keys.sorted() where takeRecord(of: name) { hasChanged = true }
    if hasChanged { install() }
  }

  /// Loads a version again that failed and whose files are others now: it may have been looked at amid a
  /// copy.
  private mutating func retry(_ known: Platform.Version, _ entry: ModelRepository.Entry) {
    guard known.state == .failed, entry.version > 0 else { return }
    let fingerprint = entry.fingerprint
    guard fingerprint != known.fingerprint else { return }
    platform.models[entry.name]?.versions[entry.version]?.entry = entry
    platform.models[entry.name]?.versions[entry.version]?.fingerprint = fingerprint
    loadFound(entry)
  }

  /// Lets the loading thread load a version that nobody asked for.
  private mutating func loadFound(_ entry: ModelRepository.Entry) {
    platform.models[entry.name]?.versions[entry.version]?.state = .loading
    let id = UInt64.random(in: 1...UInt64.max)
    let nobody = Administrator(name: "server", from: "server", grants: nil)
    loading[id] = LoadingAct(
      pending: PendingAct(
        act: "load", model: entry.name, version: entry.version, administrator: nobody, reply: nil),
      purpose: .found)
    administration.loads.add(id, .load(entry, platform.repository, platform.loader, files: []))
  }

  /// Ends what `loadFound` began. Nothing was decided, so the record is not written: the one on disk may be
  /// somebody else's newer one, and is looked at now.
  mutating func foundLoaded(_ act: PendingAct, _ outcome: ModelLoader.Outcome) {
    platform.take(outcome, act.model, act.version)
    _ = takeRecord(of: act.model)
    install()
    switch outcome.result {
    case .success: done(act, version: act.version, outcome.summary)
    case .failure(let reason): failed(act, Status(.failedPrecondition, "MODEL_FAILED", reason.reason))
    }
  }

  private mutating func removeAbsent(_ seen: [String: Set<UInt64>]) -> Bool {
    var hasChanged = false
    for (name, model) in platform.models {
      for (number, version) in model.versions where seen[name]?.contains(number) != true {
        guard version.state == .ready || version.loaded == nil else { continue }
        platform.log.write(.notice, "\(name) version \(number) is no longer in the folder")
        if version.loaded == nil { forget(name, number) } else { retire(name, number, as: .withdrawn, nil) }
        hasChanged = true
      }
    }
    return hasChanged
  }

  // MARK: Records

  /// Follows a record that is another on disk than here. What it sends calls to is loaded first, so that no
  /// call is lost: until then the old one holds, and the end of loading, or the next look, comes back here.
  ///
  /// - Returns: whether anything has changed.
  private mutating func takeRecord(of name: String) -> Bool {
    guard let known = platform.models[name], let record = newRecord(of: name, known) else { return false }
    let isOut = { record.withdrawn.contains($0) || record.unloaded.contains($0) }
    var mustWait = false
    for (number, version) in known.versions where !isOut(number) {
      switch version.state {
      case .loading, .warming, .draining: mustWait = true
      case .unloaded, .withdrawn:
        mustWait = true
        loadFound(version.entry)
      default: break
      }
    }
    if mustWait { return true }
    platform.models[name]?.record = record
    platform.models[name]?.recordFailure = nil
    guards[name] = nil
    if record.canary != nil { watchCanary(of: name) }
    for number in known.versions.keys.sorted() where isOut(number) {
      putOut(name, number, as: record.withdrawn.contains(number) ? .withdrawn : .unloaded)
    }
    platform.log.write(.notice, "\(name): its state.json was changed, and is followed")
    return true
  }

  /// - Returns: nil where the record is the same, or cannot be read.
  private mutating func newRecord(of name: String, _ known: Platform.Model) -> ModelRecord? {
    do throws(ModelError) {
      var record = try platform.repository.record(of: name)
      // Higher versions may have been found since it was written.
      record.highest = max(record.highest, known.record.highest)
      return record == known.record && known.recordFailure == nil ? nil : record
    } catch {
      guard known.recordFailure == nil else { return nil }
      platform.models[name]?.recordFailure = error.description
      platform.log.write(.error, "\(name): what was decided about its versions stays as it was: \(error)")
      return nil
    }
  }

  private mutating func putOut(_ name: String, _ number: UInt64, as state: ModelState) {
    switch platform.models[name]?.versions[number]?.state {
    case .ready, .failed: retire(name, number, as: state, nil)
    case .unloaded, .withdrawn: platform.models[name]?.versions[number]?.state = state
    default: break
    }
  }
}
