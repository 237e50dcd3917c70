import ApusBase
import ApusWire

/// Whether a server, or one of its models, answers calls.
public struct ServerHealth: Equatable, Sendable {
  public let isServing: Bool
  /// The state as gRPC's health checking names it: `SERVING`, `NOT_SERVING`, `SERVICE_UNKNOWN` or `UNKNOWN`.
  public let status: String
  /// For a person; may be empty.
  public let detail: String

  init(_ response: HealthResponse) {
    isServing = response.status == .serving
    status = response.status.name
    detail = response.detail
  }
}

/// One version of a model.
public struct ModelDescription: Equatable, Sendable {
  public let name: String
  public let version: UInt64
  /// `loading`, `warming`, `ready`, `draining`, `unloaded`, `withdrawn` or `failed`.
  public let state: String
  /// Why it failed, for a person; otherwise empty.
  public let reason: String
  /// For example `pytorch` or `safetensors`.
  public let format: String
  /// SHA-256 of the version's files, 32 bytes.
  public let digest: [UInt8]
  /// Names that point to it.
  public let aliases: [String]
  /// For a person, for example `64 -> 128 relu -> 10 softmax`.
  public let architecture: String
  /// Numbers that training set.
  public let parameters: UInt64
  /// Dimensions of one input, without the batch; empty where only a list was asked for, and for texts.
  public let inputShape: [Int]
  /// Whether it classifies texts; false where only a list was asked for.
  public let takesTexts: Bool
  /// The classes' names, in index order; empty where only a list was asked for, or when the model has none.
  public let labels: [String]
  /// Why callers should leave it, and for which; empty: it is current.
  public let deprecated: String
  /// Share of the model's calls without version that it gets as a canary, in per cent.
  public let weightPercent: Double
  /// Whether the model's calls without version are mirrored to it.
  public let isShadow: Bool
  /// The identity that published it, as a policy names it; empty: its folder was placed by hand.
  public let publishedBy: String
  /// When, in nanoseconds since 1970; 0: its folder was placed by hand.
  public let publishedNanoseconds: UInt64
  /// What it was published from, as the publisher said.
  public let source: String
  /// The trusted key that signed it; empty: none.
  public let signedBy: String
  /// Of its weights, while it is loaded.
  public let memoryBytes: UInt64

  init(_ info: ModelInfo) {
    name = info.name
    version = info.version
    state = info.state.name
    reason = info.reason
    format = info.format
    digest = info.digest
    aliases = info.aliases
    architecture = info.architecture
    parameters = info.parameters
    inputShape = info.inputs.first?.shape.dropFirst().map { Int($0) } ?? []
    takesTexts = info.inputs.first?.dtype == .utf8
    labels = info.labels
    deprecated = info.deprecated
    weightPercent = Double(info.weight) / 100
    isShadow = info.isShadow
    publishedBy = info.publishedBy
    publishedNanoseconds = info.publishedNanoseconds
    source = info.source
    signedBy = info.signedBy
    memoryBytes = info.memoryBytes
  }
}

/// A server's counters since its start.
public struct ServerStatistics: Equatable, Sendable {
  /// Name and version of the server.
  public let version: String
  public let uptime: Duration
  /// Connections open now.
  public let connectionsOpen: UInt64
  /// Requests of every method.
  public let requests: UInt64
  /// Answers of every method that were errors.
  public let errors: UInt64
  /// Of these, how many had each reason, for example `OVERLOADED`.
  public let refusals: [String: UInt64]
  /// Calls that wait to be computed, now.
  public let queuedCalls: UInt64
  /// Of the work that may wait for workers, how much does: 0 idle, 1 saturated.
  public let load: Float
  /// A version of a model each.
  public let models: [ModelStatistics]

  init(_ response: StatsResponse) {
    let server = response.server ?? ServerStats()
    version = server.version
    uptime = .nanoseconds(Int64(clamping: server.uptimeNanoseconds))
    connectionsOpen = server.connectionsOpen
    requests = server.requestsTotal
    errors = countErrors(server.codes)
    refusals = Dictionary(server.refusals.map { ($0.reason, $0.count) }) { $0 &+ $1 }
    queuedCalls = server.queuedCalls
    load = server.load
    models = response.models.map { ModelStatistics($0) }
  }
}

/// The counters of one version of a model since the server's start.
public struct ModelStatistics: Equatable, Sendable {
  public let name: String
  public let version: UInt64
  /// Classify calls, and those of them that were answered with an error.
  public let calls, errors: UInt64
  /// Inputs classified.
  public let rows: UInt64
  /// From a request's first byte to just before its answer is written.
  public let total: LatencyQuantiles
  /// From the whole request to the start of its batch.
  public let queue: LatencyQuantiles
  /// The batch's arithmetic.
  public let compute: LatencyQuantiles
  /// Nil for a version without samples.
  public let drift: DriftStatistics?
  /// Nil where no other version's calls are mirrored to it.
  public let shadow: ShadowStatistics?

  init(_ stats: ModelStats) {
    name = stats.model
    version = stats.version
    calls = stats.requestsTotal
    errors = countErrors(stats.codes)
    rows = stats.rowsTotal
    total = LatencyQuantiles(stats.total)
    queue = LatencyQuantiles(stats.queue)
    compute = LatencyQuantiles(stats.compute)
    drift = stats.drift.map { DriftStatistics($0) }
    shadow = stats.shadow.map { ShadowStatistics($0) }
  }
}

/// Quantiles of a duration, each at most 1/32 above the true value.
public struct LatencyQuantiles: Equatable, Sendable {
  /// Durations seen.
  public let count: UInt64
  public let p50, p90, p99, p999, maximum: Duration

  init(_ summary: LatencySummary) {
    count = summary.count
    p50 = .nanoseconds(Int64(clamping: summary.p50Nanoseconds))
    p90 = .nanoseconds(Int64(clamping: summary.p90Nanoseconds))
    p99 = .nanoseconds(Int64(clamping: summary.p99Nanoseconds))
    p999 = .nanoseconds(Int64(clamping: summary.p999Nanoseconds))
    maximum = .nanoseconds(Int64(clamping: summary.maximumNanoseconds))
  }
}

private func countErrors(_ codes: [CodeCount]) -> UInt64 {
  codes.filter { $0.code != 0 }.reduce(0) { $0 &+ $1.count }
}

extension SynchronousClient {
  /// The state of the server or of one model.
  ///
  /// - Parameters:
  ///   - model: name; empty: the whole server.
  ///   - timeout: nil: as long as it takes.
  public func health(_ model: String = "", timeout: Duration? = nil) throws(ClientError) -> ServerHealth {
    ServerHealth(try health(model, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// The counters of the server and its models, or of one model.
  ///
  /// - Parameters:
  ///   - model: name; empty: all.
  ///   - timeout: nil: as long as it takes.
  public func stats(_ model: String = "", timeout: Duration? = nil) throws(ClientError) -> ServerStatistics {
    ServerStatistics(try stats(model, timeoutNanoseconds: nanoseconds(timeout)))
  }

  /// Every version of every model.
  public func models(timeout: Duration? = nil) throws(ClientError) -> [ModelDescription] {
    try models(timeoutNanoseconds: nanoseconds(timeout)).map { ModelDescription($0) }
  }

  /// One version of a model, with its input's shape and its labels.
  ///
  /// - Parameters:
  ///   - name: the model's.
  ///   - version: 0: what the alias, or the default, points to.
  ///   - alias: a name for a version; not together with `version`.
  ///   - timeout: nil: as long as it takes.
  public func model(
    _ name: String, version: UInt64 = 0, alias: String = "", timeout: Duration? = nil
  ) throws(ClientError) -> ModelDescription {
    let request = GetModelRequest(model: name, version: version, alias: alias)
    return ModelDescription(try getModel(request, timeoutNanoseconds: nanoseconds(timeout)))
  }

  func nanoseconds(_ timeout: Duration?) -> UInt64 { timeout?.wholeNanoseconds ?? 0 }
}
