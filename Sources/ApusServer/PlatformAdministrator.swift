import ApusBase
import ApusEngine
import ApusIO
import ApusLog
import ApusModels
import ApusWire

/// Does what administration asks for, on one thread.
struct PlatformAdministrator: ~Copyable {
  var platform: Platform
  let fleet: Fleet
  let administration: Administration
  /// Publications under way, and acts that wait for the loading thread, by id.
  var uploads: [UInt64: Upload] = [:]
  var loading: [UInt64: LoadingAct] = [:]
  var verifying: [UInt64: PendingAct] = [:]
  /// Out of service, in memory until the last call on them has ended.
  var retired: [Retired] = []
  /// Kept until every reactor has a later one, so that no reactor frees what it held.
  private var replaced: [Catalog] = []
  var guards: [String: CanaryGuard] = [:]
  var superseded: [Superseded] = []
  private var lastUpkeep = Instant.now
  /// How often is looked for what nobody announces: publishers that have given up, canaries that do worse,
  /// versions that nobody calls any more.
  private static let upkeepMilliseconds: Int32 = 1000
  /// Opened by the first act.
  var auditLog: AuditLog?
  private let arena = MetadataArena(byteCount: 256 << 10)
  private let output = AlignedBuffer(byteCount: 64 << 10)

  /// An act that is answered later.
  struct PendingAct {
    let act: String
    let model: String
    let version: UInt64
    let administrator: Administrator
    /// nil: nobody asked.
    let reply: Reply?
  }

  /// A version that is out of service and still in memory.
  struct Retired {
    struct Facts {
      let model: String
      let version: UInt64
      let slot: Int
      let weightsBytes: Int
      let residentBefore: UInt64
      /// What waits for it, and what is told then beside the memory.
      let act: PendingAct?
      let note: String
    }

    let facts: Facts
    var loaded: LoadedModel
  }

  init(_ platform: consuming Platform, _ fleet: Fleet, _ administration: Administration) {
    self.platform = platform
    self.fleet = fleet
    self.administration = administration
    for (name, model) in self.platform.models where model.record.canary != nil { watchCanary(of: name) }
  }

  // MARK: Events

  mutating func handle(_ event: Administration.Event) {
    switch event {
    case .call(let call): answer(call)
    case .loaded(let id, let outcome): loaded(id, outcome)
    case .step(let id, let step): told(id, step)
    case .verified(let id, let result): verified(id, result)
    case .rescan: rescan()
    case .stop: break
    }
  }

  private mutating func answer(_ call: AdministrationCall) {
    do throws(Status) {
      try call.metadata.withBytes { metadata throws(Status) in
        try answer(call, Method(rawValue: call.method), metadata)
      }
    } catch {
      call.reply.send(.failure(error))
    }
  }

  private mutating func answer(
    _ call: AdministrationCall, _ method: Method?, _ metadata: UnsafeRawBufferPointer
  ) throws(Status) {
    switch method {
    case .beginPublish: try beginPublish(BeginPublishRequest(decoding: metadata, arena: arena), call)
    case .upload: try upload(UploadRequest(decoding: metadata, arena: arena), call)
    case .commitPublish: try commitPublish(PublicationRequest(decoding: metadata, arena: arena), call)
    case .abortPublish: try abortPublish(PublicationRequest(decoding: metadata, arena: arena), call)
    case .setAlias:
      let request = try SetAliasRequest(decoding: metadata, arena: arena)
      try act("alias", request.model, request.version, call) { (self, act) throws(Status) in
        try self.setAlias(request, act)
      }
    case .setTraffic:
      let request = try SetTrafficRequest(decoding: metadata, arena: arena)
      try act(request.shadow ? "shadow" : "weight", request.model, request.version, call) {
        (self, act) throws(Status) in try self.setTraffic(request, act)
      }
    case .history: try history(HistoryRequest(decoding: metadata, arena: arena), call)
    default:
      let request = try VersionRequest(decoding: metadata, arena: arena)
      try act(method.map { "\($0)" } ?? "unknown", request.model, request.version, call) {
        (self, act) throws(Status) in try self.change(method, request, act)
      }
    }
  }

  private mutating func change(
    _ method: Method?, _ request: VersionRequest, _ act: PendingAct
  ) throws(Status) {
    switch method {
    case .withdraw: try withdraw(request, act)
    case .rollback: try rollback(request, act)
    case .load: try load(request, act)
    case .unload: try unload(request, act)
    case .verify: try verify(request, act)
    case .deprecate: try deprecate(request, act)
    default:
      throw Status(.unimplemented, "METHOD_UNKNOWN", "this is not known to the administration service")
    }
  }

  /// Does an act on a model that is there, and keeps in the audit log that it was refused.
  private mutating func act(
    _ name: String, _ model: String, _ version: UInt64, _ call: AdministrationCall,
    _ body: (inout Self, PendingAct) throws(Status) -> Void
  ) throws(Status) {
    let act = PendingAct(
      act: name, model: model, version: version, administrator: call.administrator, reply: call.reply)
    do throws(Status) {
      try call.administrator.require(model: model)
      guard let known = platform.models[model] else {
        throw Status(.notFound, "MODEL_NOT_FOUND", "there is no model '\(LogOutput.singleLine(model))' here")
      }
      if let failure = known.recordFailure {
        throw Status(
          .failedPrecondition, "STATE_BROKEN", "nothing can be decided about '\(model)': \(failure)")
      }
      try body(&self, act)
    } catch {
      failed(act, error)
    }
  }

  // MARK: Results

  /// Tells that an act is done.
  ///
  /// - Parameter version: as which version it is told.
  mutating func done(_ act: PendingAct, version: UInt64, _ detail: String) {
    audit(act, version: version, detail: detail, result: "ok")
    platform.log.write(
      .notice, "\(act.act) \(act.model) \(version) by \(act.administrator.name): \(detail)")
    act.reply?.send(.success(response(act.model, version, detail)))
  }

  mutating func failed(_ act: PendingAct, _ status: Status) {
    audit(act, version: act.version, detail: status.message, result: status.code.name)
    platform.log.write(
      .warning,
      "\(act.act) \(LogOutput.singleLine(act.model)) \(act.version) by \(act.administrator.name) "
        + "was refused: \(status.message)")
    act.reply?.send(.failure(status))
  }

  /// A step of an act that takes time.
  func tell(_ act: PendingAct, _ state: ModelState, _ detail: String) {
    guard let reply = act.reply else { return }
    var info = platform.models[act.model]?.versions[act.version]?.served?.info ?? ModelInfo()
    info.name = act.model
    info.version = act.version
    info.state = state
    reply.send(.success(encoded(VersionResponse(model: info, detail: detail))), isLast: false)
  }

  private func response(_ model: String, _ version: UInt64, _ detail: String) -> [UInt8] {
    var info = ModelInfo()
    info.name = model
    info.version = version
    if let served = platform.models[model]?.versions[version]?.served { info = served.info }
    return encoded(VersionResponse(model: info, detail: detail))
  }

  private func encoded(_ response: VersionResponse) -> [UInt8] {
    encoded { output, arena in response.encode(into: output, arena: arena) }
  }

  func encoded(_ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int) -> [UInt8] {
    let count = encode(output.bytes, arena)
    return Array(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(output.bytes)[..<count]))
  }

  /// - Throws: INTERNAL with the reason, for what the disk refuses.
  func save(_ record: ModelRecord, of name: String) throws(Status) {
    do throws(ModelError) { try platform.repository.save(record, of: name) } catch {
      throw Status(.internal, "REPOSITORY_FAILED", error.description)
    }
  }

  // MARK: What is served

  /// Serves what the platform holds now.
  mutating func install() {
    let old = fleet.catalog
    do throws(ModelError) { fleet.install(try platform.catalog()) } catch {
      return platform.log.write(.error, "the models stay as they were: \(error)")
    }
    replaced.append(old)
  }

  /// Decides something about a model, keeps it and serves it; what cannot be kept is not done.
  mutating func decide(
    _ name: String, _ change: (inout ModelRecord) throws(Status) -> Void
  ) throws(Status) {
    guard var record = platform.models[name]?.record else { return }
    try change(&record)
    try save(record, of: name)
    platform.models[name]?.record = record
    install()
  }

  /// Takes a version out of service; its memory goes back when the last call on it has ended.
  mutating func retire(
    _ name: String, _ number: UInt64, as state: ModelState, _ act: PendingAct?, note: String = ""
  ) {
    guard var version = platform.models[name]?.versions[number] else { return }
    let (loaded, slot) = (version.loaded, version.slot)
    version.loaded = nil
    version.state = loaded == nil ? state : .draining
    if loaded == nil, slot >= 0 {
      version.slot = -1
      platform.give(back: slot)
    }
    platform.models[name]?.versions[number] = version
    if let loaded {
      let facts = Retired.Facts(
        model: name, version: number, slot: slot, weightsBytes: loaded.plan.weightsBytes,
        residentBefore: ProcessFacts.now().residentBytes, act: act, note: note)
      retired.append(Retired(facts: facts, loaded: loaded))
    }
    install()
    if loaded == nil, let act { done(act, version: number, note + "it was not loaded") }
  }

  // MARK: Time

  /// When something is to be looked at next; -1: nothing is.
  var timeoutMilliseconds: Int32 {
    if !retired.isEmpty || !replaced.isEmpty { return 2 }
    return uploads.isEmpty && guards.isEmpty && superseded.isEmpty ? -1 : Self.upkeepMilliseconds
  }

  mutating func tick() {
    let current = fleet.catalog.generation
    if !replaced.isEmpty, fleet.isAdopted(current) { replaced = [] }
    if replaced.isEmpty { freeRetired() }
    let now = Instant.now
    guard now.since(lastUpkeep) >= UInt64(Self.upkeepMilliseconds) * 1_000_000 else { return }
    lastUpkeep = now
    dropStaleUploads()
    judgeCanaries()
    unloadSuperseded()
  }

  /// Frees what nobody computes with any more, and only then says so.
  private mutating func freeRetired() {
    var freed: [Retired.Facts] = []
    for index in retired.indices.reversed() where isKnownUniquelyReferenced(&retired[index].loaded) {
      freed.append(retired[index].facts)
      retired.remove(at: index)
    }
    guard !freed.isEmpty else { return }
    releaseMemory()
    for version in freed {
      if version.slot >= 0 {
        for recorder in fleet.recorders { recorder.clear(slot: version.slot) }
        platform.give(back: version.slot)
      }
      platform.leftMemory(version.model, version.version)
    }
    install()
    let resident = ProcessFacts.now().residentBytes
    for version in freed {
      let detail =
        "unloaded; \(version.weightsBytes >> 10) KiB of weights returned, resident memory "
        + "\(version.residentBefore >> 10) KiB before and \(resident >> 10) KiB now"
      platform.log.write(.info, "\(version.model) version \(version.version) \(detail)")
      if let act = version.act { done(act, version: act.version, version.note + detail) }
    }
  }

  /// When the server ends: acts that wait for the loading thread are not done.
  mutating func end() {
    for act in loading.values { act.pending.reply?.send(.failure(.serverEnds)) }
    for act in verifying.values { act.reply?.send(.failure(.serverEnds)) }
    for version in retired { version.facts.act?.reply?.send(.failure(.serverEnds)) }
    for upload in uploads.values { upload.staged.discard() }
  }
}
