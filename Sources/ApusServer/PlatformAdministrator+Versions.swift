import ApusBase
import ApusLog
import ApusModels
import ApusWire

/// Acts on one version: into memory and out of it, out of service, and back to an earlier one.
extension PlatformAdministrator {
  /// - Throws: NOT_FOUND.
  private func version(_ name: String, _ number: UInt64) throws(Status) -> Platform.Version {
    guard let version = platform.models[name]?.versions[number] else {
      throw Status(.notFound, "VERSION_NOT_FOUND", "'\(name)' has no version \(number) here")
    }
    return version
  }

  // MARK: In and out of memory

  mutating func load(_ request: VersionRequest, _ act: PendingAct) throws(Status) {
    let version = try version(request.model, request.version)
    guard version.state != .ready else { return done(act, version: request.version, "it was loaded") }
    try begin(.load, version, act)
  }

  /// Lets the loading thread load a version.
  private mutating func begin(
    _ purpose: LoadingAct.Purpose, _ version: Platform.Version, _ act: PendingAct
  ) throws(Status) {
    switch version.state {
    case .loading, .warming, .draining:
      throw Status(
        .failedPrecondition, "VERSION_BUSY", "the version is \(version.state.name); try again",
        retryAfterNanoseconds: 100_000_000)
    case .failed where version.entry.version == 0, .ready, .unspecified:
      throw Status(.failedPrecondition, "VERSION_BUSY", "there is nothing to load")
    case .failed, .unloaded, .withdrawn: break
    }
    platform.models[act.model]?.versions[act.version]?.state = .loading
    install()
    let id = UInt64.random(in: 1...UInt64.max)
    loading[id] = LoadingAct(pending: act, purpose: purpose)
    tell(act, .loading, "loading")
    administration.loads.add(
      id, .load(version.entry, platform.repository, platform.loader, files: []))
  }

  mutating func told(_ id: UInt64, _ step: ModelLoader.Step) {
    guard let act = loading[id] else { return }
    let state: ModelState = step == .loading ? .loading : .warming
    if case .publish = act.purpose {
    } else {
      platform.models[act.pending.model]?.versions[act.pending.version]?.state = state
      install()
    }
    if step != .loading { tell(act.pending, state, step.rawValue) }
  }

  mutating func loaded(_ id: UInt64, _ outcome: ModelLoader.Outcome) {
    guard let act = loading.removeValue(forKey: id) else { return }
    if case .publish(let upload) = act.purpose { return finishPublish(upload, act.pending, outcome) }
    if case .found = act.purpose { return foundLoaded(act.pending, outcome) }
    let (name, number) = (act.pending.model, act.pending.version)
    platform.take(outcome, name, number)
    do throws(Status) {
      if case .failure(let failed) = outcome.result {
        throw Status(.failedPrecondition, "MODEL_FAILED", failed.reason)
      }
      try decide(name) { record in
        record.unloaded.remove(number)
        record.withdrawn.remove(number)
        record.highest = max(record.highest, number)
      }
      switch act.purpose {
      case .rollback: try goBack(act.pending)
      default: done(act.pending, version: number, outcome.summary)
      }
    } catch {
      install()
      failed(act.pending, error)
    }
  }

  mutating func unload(_ request: VersionRequest, _ act: PendingAct) throws(Status) {
    let version = try version(request.model, request.version)
    guard version.state == .ready || version.state == .failed else {
      throw Status(
        .failedPrecondition, "VERSION_BUSY", "version \(request.version) is \(version.state.name)")
    }
    try decide(request.model) { record in
      record.unloaded.insert(request.version)
      record.release(request.version)
    }
    retire(request.model, request.version, as: .unloaded, act)
  }

  // MARK: Out of service

  mutating func withdraw(_ request: VersionRequest, _ act: PendingAct) throws(Status) {
    let version = try version(request.model, request.version)
    switch version.state {
    case .loading, .warming, .draining:
      throw Status(
        .failedPrecondition, "VERSION_BUSY", "version \(request.version) is \(version.state.name); try again",
        retryAfterNanoseconds: 100_000_000)
    default: break
    }
    try decide(request.model) { record in
      record.withdrawn.insert(request.version)
      record.unloaded.remove(request.version)
      record.release(request.version)
    }
    if request.deleteFiles {
      do throws(ModelError) {
        try platform.repository.delete(request.model, version: request.version)
      } catch { throw Status(.internal, "REPOSITORY_FAILED", error.description) }
    }
    let note = request.note.isEmpty ? "withdrawn; " : "withdrawn: \(request.note); "
    let files = request.deleteFiles ? "its files are deleted; " : ""
    retire(request.model, request.version, as: .withdrawn, act, note: note + files)
    if request.deleteFiles, version.loaded == nil { forget(request.model, request.version) }
  }

  /// A version whose files are gone is not listed any more.
  mutating func forget(_ name: String, _ number: UInt64) {
    platform.models[name]?.versions[number] = nil
    platform.models[name]?.record.withdrawn.remove(number)
    install()
  }

  // MARK: Back

  mutating func rollback(_ request: VersionRequest, _ act: PendingAct) throws(Status) {
    let target = try rollbackTarget(request)
    let version = try version(request.model, target)
    let act = PendingAct(
      act: act.act, model: act.model, version: target, administrator: act.administrator, reply: act.reply)
    guard version.state != .ready else { return try goBack(act) }
    guard version.state != .withdrawn else {
      throw Status(
        .failedPrecondition, "VERSION_WITHDRAWN", "version \(target) was withdrawn; load it first")
    }
    try begin(.rollback, version, act)
  }

  private func rollbackTarget(_ request: VersionRequest) throws(Status) -> UInt64 {
    guard request.version == 0 else { return request.version }
    guard let model = platform.models[request.model], let latest = model.latest else {
      throw Status(.failedPrecondition, "NOTHING_READY", "no version of '\(request.model)' is ready")
    }
    if model.record.previous > 0, model.versions[model.record.previous] != nil {
      return model.record.previous
    }
    let usable = model.versions.filter { $0.value.state == .ready || $0.value.state == .unloaded }.keys
    guard let before = usable.filter({ $0 < latest }).max() else {
      throw Status(
        .failedPrecondition, "NOTHING_BEFORE", "'\(request.model)' has no version before \(latest)")
    }
    return before
  }

  /// Sends calls to a version that is ready.
  private mutating func goBack(_ act: PendingAct) throws(Status) {
    let before = platform.models[act.model]?.latest
    try decide(act.model) { record in
      record.latest = ModelRecord.Latest(version: act.version, seen: max(record.highest, act.version))
      record.previous = 0
      if record.canary?.version == act.version { record.canary = nil }
    }
    done(
      act, version: act.version,
      "calls go to version \(act.version)" + (before.map { ", before to \($0)" } ?? ""))
  }

  // MARK: Files and notes

  mutating func verify(_ request: VersionRequest, _ act: PendingAct) throws(Status) {
    let version = try version(request.model, request.version)
    let id = UInt64.random(in: 1...UInt64.max)
    verifying[id] = act
    administration.loads.add(id, .verify(version.entry, platform.repository))
  }

  mutating func verified(_ id: UInt64, _ result: Result<[UInt8], ModelError>) {
    guard let act = verifying.removeValue(forKey: id) else { return }
    do throws(Status) {
      let found: [UInt8]
      switch result {
      case .success(let digest): found = digest
      case .failure(let error): throw Status(.dataLoss, "FILES_CHANGED", error.description)
      }
      let known = try version(act.model, act.version).description.digest
      guard known.isEmpty || found == known else {
        throw Status(
          .dataLoss, "FILES_CHANGED",
          "the files' digest is \(hexadecimal(found)), and \(hexadecimal(known)) was loaded")
      }
      done(act, version: act.version, "the files are as they were: sha256:\(hexadecimal(found))")
    } catch { failed(act, error) }
  }

  mutating func deprecate(_ request: VersionRequest, _ act: PendingAct) throws(Status) {
    _ = try version(request.model, request.version)
    guard request.note.utf8.count <= 256 else {
      throw Status(.invalidArgument, "NOTE_TOO_LONG", "what callers are told has at most 256 bytes")
    }
    try decide(request.model) { record in
      // Another note does not begin it anew.
      let since = record.deprecated[request.version]?.nanoseconds ?? UTCTime.now
      record.deprecated[request.version] =
        request.note.isEmpty ? nil : ModelRecord.Deprecation(text: request.note, nanoseconds: since)
    }
    done(
      act, version: request.version,
      request.note.isEmpty ? "it is current again" : "callers are told: \(request.note)")
  }
}
