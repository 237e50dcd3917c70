import ApusBase
import ApusLog
import ApusModels
import ApusWire

/// A version that a newer one has replaced, and how many calls it had when it was looked at last.
struct Superseded {
  let model: String
  let version: UInt64
  var calls: UInt64
  var since: Instant
}

/// Where calls go that name no version.
extension PlatformAdministrator {
  /// A replaced version that nobody has called for so long is unloaded.
  private static let idleNanoseconds: UInt64 = 10_000_000_000

  mutating func setAlias(_ request: SetAliasRequest, _ act: PendingAct) throws(Status) {
    guard ModelRecord.isAlias(request.alias) else { throw .aliasRefused }
    guard request.version != 0 else { return try removeAlias(request, act) }
    try requireReady(request.model, request.version)
    let before = platform.models[request.model]?.latest
    try decide(request.model) { record in
      if request.alias == "latest" {
        record.latest = ModelRecord.Latest(
          version: request.version, seen: max(record.highest, request.version))
        if let before, before != request.version { record.previous = before }
      } else {
        record.aliases[request.alias] = request.version
      }
    }
    supersede(request.model)
    done(act, version: request.version, "\(request.alias) means version \(request.version)")
  }

  private mutating func removeAlias(_ request: SetAliasRequest, _ act: PendingAct) throws(Status) {
    let record = platform.models[request.model]?.record
    let isThere = request.alias == "latest" ? record?.latest != nil : record?.aliases[request.alias] != nil
    guard isThere else {
      throw Status(
        .notFound, "ALIAS_NOT_FOUND", "'\(request.model)' has no alias '\(request.alias)' that was set")
    }
    try decide(request.model) { record in
      if request.alias == "latest" { record.latest = nil } else { record.aliases[request.alias] = nil }
    }
    supersede(request.model)
    done(act, version: 0, "\(request.alias) is removed")
  }

  private func requireReady(_ name: String, _ number: UInt64) throws(Status) {
    guard let version = platform.models[name]?.versions[number] else {
      throw Status(.notFound, "VERSION_NOT_FOUND", "'\(name)' has no version \(number) here")
    }
    guard version.state == .ready else {
      throw Status(
        .failedPrecondition, "VERSION_NOT_READY",
        "version \(number) is \(version.state.name); calls are only sent to a version that is ready")
    }
  }

  mutating func setTraffic(_ request: SetTrafficRequest, _ act: PendingAct) throws(Status) {
    guard request.weight <= SetTrafficRequest.wholeWeight else {
      throw Status(.invalidArgument, "WEIGHT_REFUSED", "a weight is at most 100 %")
    }
    if request.weight > 0 {
      try requireReady(request.model, request.version)
      guard platform.models[request.model]?.latest != request.version else {
        throw Status(
          .failedPrecondition, "VERSION_IS_LATEST", "version \(request.version) gets these calls already")
      }
    }
    try decide(request.model) { record in
      if request.shadow {
        record.shadow = request.weight > 0 ? request.version : 0
      } else {
        record.canary = request.weight > 0 ? ModelRecord.Canary(request) : nil
      }
    }
    guards[request.model] = nil
    if !request.shadow { watchCanary(of: request.model) }
    supersede(request.model)
    done(act, version: request.version, Self.told(request))
  }

  private static func told(_ request: SetTrafficRequest) -> String {
    if request.shadow {
      return request.weight > 0 ? "calls are mirrored to it" : "calls are mirrored no more"
    }
    guard request.weight > 0 else { return "it gets no share of the calls any more" }
    return "it gets \(Double(request.weight) / 100) % of the calls without version"
  }

  // MARK: What newer versions have replaced

  /// Notes the versions of a model that nothing sends calls to: they are unloaded once nobody names them.
  /// Versions placed by hand stay.
  mutating func supersede(_ name: String) {
    guard let model = platform.models[name] else { return }
    superseded.removeAll { $0.model == name }
    let latest = model.latest
    for (number, version) in model.versions
    where version.state == .ready && version.description.publishedNanoseconds > 0
      && number != latest && !model.record.needs(number)
    {
      superseded.append(
        Superseded(model: name, version: number, calls: calls(version.slot), since: .now))
    }
  }

  private func calls(_ slot: Int) -> UInt64 {
    slot < 0 ? 0 : fleet.recorders.reduce(0) { $0 + $1.requests(model: slot) }
  }

  mutating func unloadSuperseded() {
    let now = Instant.now
    var idle: [Superseded] = []
    for index in superseded.indices {
      let slot = platform.models[superseded[index].model]?.versions[superseded[index].version]?.slot ?? -1
      let calls = calls(slot)
      if calls != superseded[index].calls {
        superseded[index].calls = calls
        superseded[index].since = now
      } else if now.since(superseded[index].since) >= Self.idleNanoseconds {
        idle.append(superseded[index])
      }
    }
    for version in idle {
      superseded.removeAll { $0.model == version.model && $0.version == version.version }
      do throws(Status) {
        try decide(version.model) { $0.unloaded.insert(version.version) }
        retire(version.model, version.version, as: .unloaded, nil)
      } catch { platform.log.write(.error, "\(version.model) \(version.version) stays: \(error.message)") }
    }
  }
}

extension ModelRecord.Canary {
  init(_ request: SetTrafficRequest) {
    self.init(version: request.version, weight: request.weight)
    guard let bounds = request.bounds else { return }
    maximumErrors = bounds.maximumErrors
    maximumLatencyRatio = bounds.maximumLatencyRatio
    if bounds.windowNanoseconds > 0 { windowNanoseconds = bounds.windowNanoseconds }
    if bounds.minimumCalls > 0 { minimumCalls = bounds.minimumCalls }
  }
}
