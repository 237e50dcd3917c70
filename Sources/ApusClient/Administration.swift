import ApusWire

/// What came of an administrator's act on a version.
public struct VersionOutcome: Equatable, Sendable {
  /// The version as it is now, without its input's shape and its labels.
  public let model: ModelDescription
  /// What was done, for a person.
  public let detail: String

  init(_ response: VersionResponse) {
    model = ModelDescription(response.model)
    detail = response.detail
  }
}

/// A line of the server's audit log: who did what, and how it went.
public struct AdministrationAct: Equatable, Sendable {
  /// 1 for the log's first line.
  public let sequence: UInt64
  /// When, in nanoseconds since 1970.
  public let timeNanoseconds: UInt64
  /// The identity, as a policy names it, or `server`.
  public let who: String
  /// The transport: `unix`, `tcp`, `tls`, or `server`.
  public let from: String
  /// For example `publish`.
  public let act: String
  /// Name of the model.
  public let model: String
  /// 0: the act is of no version.
  public let version: UInt64
  /// For a person.
  public let detail: String
  /// `ok`, or the name of the status code that refused it.
  public let result: String

  init(_ act: Act) {
    sequence = act.sequence
    timeNanoseconds = act.timeNanoseconds
    who = act.who
    from = act.from
    self.act = act.act
    model = act.model
    version = act.version
    detail = act.detail
    result = act.result
  }
}

/// What an administrator does with the versions of a model, while the server answers calls. Over a Unix
/// socket root and the server's own user may do it, otherwise whom the policy gives `admin`.
///
/// `timeout` bounds the wait for an answer; nil: as long as it takes. The server ends an act that it has
/// begun all the same.
extension SynchronousClient {
  /// Publishes the files of a folder as a version of a model, and returns when it serves. What fails is taken
  /// back, and the version before goes on serving.
  ///
  /// - Parameters:
  ///   - folder: its regular files without hidden ones, `manifest.json` and `model.plan`, which the server
  ///     makes.
  ///   - model: name of the model, which may be new.
  ///   - version: nil: the highest there has been, plus one.
  ///   - aliases: names that mean the version as soon as it serves.
  ///   - source: what it comes from, for a person.
  ///   - keepsLatest: calls without version stay where they are.
  ///   - timeout: for each answer; the steps of loading are waited for without limit after the first.
  @discardableResult
  public func publish(
    folder: String, as model: String, version: UInt64? = nil, aliases: [String] = [], source: String = "",
    keepsLatest: Bool = false, timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    var request = BeginPublishRequest(model: model)
    request.version = version ?? 0
    request.aliases = aliases
    request.source = source
    request.keepLatest = keepsLatest
    return VersionOutcome(
      try publish(folder: folder, request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// Brings a version that is on disk alone, or was withdrawn, into memory; returns when it is ready.
  ///
  /// - Parameters:
  ///   - model: name of the model.
  ///   - version: the version.
  ///   - timeout: for the first answer; the steps after it are waited for without limit.
  @discardableResult
  public func load(
    _ model: String, version: UInt64, timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    let request = VersionRequest(model: model, version: version)
    return VersionOutcome(try load(request, timeoutNanoseconds: nanoseconds(timeout)) { _ in })
  }

  /// Takes a version out of memory; it stays on disk.
  @discardableResult
  public func unload(
    _ model: String, version: UInt64, timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    let request = VersionRequest(model: model, version: version)
    return VersionOutcome(try unload(request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// Takes a version out of service: calls that began on it end on it.
  ///
  /// - Parameters:
  ///   - model: name of the model.
  ///   - version: the version.
  ///   - note: why, for the history.
  ///   - deletingFiles: off the disk as well.
  ///   - timeout: for the answer.
  @discardableResult
  public func withdraw(
    _ model: String, version: UInt64, note: String = "", deletingFiles: Bool = false,
    timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    let request = VersionRequest(model: model, version: version, note: note, deleteFiles: deletingFiles)
    return VersionOutcome(try withdraw(request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// Lets a version answer that did before; nil: the last one that did.
  @discardableResult
  public func rollback(
    _ model: String, to version: UInt64? = nil, timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    let request = VersionRequest(model: model, version: version ?? 0)
    return VersionOutcome(try rollback(request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// Hashes a version's files on disk again.
  ///
  /// - Throws: `status` with DATA_LOSS where they are not those that were loaded.
  @discardableResult
  public func verify(
    _ model: String, version: UInt64, timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    let request = VersionRequest(model: model, version: version)
    return VersionOutcome(try verify(request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// Tells every caller of a version to leave it, as ``ClassifyResult/deprecated``.
  ///
  /// - Parameters:
  ///   - model: name of the model.
  ///   - version: the version.
  ///   - note: what callers read, at most 256 bytes; empty: the version is current again.
  ///   - timeout: for the answer.
  @discardableResult
  public func deprecate(
    _ model: String, version: UInt64, note: String, timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    let request = VersionRequest(model: model, version: version, note: note)
    return VersionOutcome(try deprecate(request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// Makes an alias mean a version that is ready; nil removes it. `latest` is what calls without version go
  /// to.
  @discardableResult
  public func setAlias(
    _ alias: String, of model: String, to version: UInt64?, timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    let request = SetAliasRequest(model: model, alias: alias, version: version ?? 0)
    return VersionOutcome(try setAlias(request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// Sends a share of a model's calls without version and alias to one version, a canary.
  ///
  /// - Parameters:
  ///   - percent: 0 to 100, in steps of 0.01; 0 ends it.
  ///   - model: name of the model.
  ///   - version: a version that is ready.
  ///   - bounds: nil: the share stays until it is changed.
  ///   - timeout: for the answer.
  @discardableResult
  public func setWeight(
    _ percent: Double, of model: String, version: UInt64, bounds: CanaryBounds? = nil,
    timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    var request = SetTrafficRequest(
      model: model, version: version, weight: try tenThousandths(percent, "a weight"))
    if let bounds { request.bounds = try bounds.message() }
    return VersionOutcome(try setTraffic(request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// Lets a version compute a model's calls without version and alias as well, which the others answer; false
  /// ends it. ``ModelStatistics/shadow`` counts where it disagrees.
  @discardableResult
  public func setShadow(
    _ isOn: Bool, of model: String, version: UInt64, timeout: Duration? = nil
  ) throws(ClientError) -> VersionOutcome {
    let request = SetTrafficRequest(
      model: model, version: version, weight: isOn ? SetTrafficRequest.wholeWeight : 0, shadow: true)
    return VersionOutcome(try setTraffic(request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// The newest acts on a model, or on all that this caller administers, the newest first.
  public func history(
    of model: String = "", limit: Int = 100, timeout: Duration? = nil
  ) throws(ClientError) -> [AdministrationAct] {
    guard limit > 0 else { throw .invalidInput("\(limit) is no number of acts") }
    let request = HistoryRequest(model: model, limit: UInt32(clamping: limit))
    return try history(request, timeoutNanoseconds: nanoseconds(timeout)).map { AdministrationAct($0) }
  }
}
