import CApusProto

/// How many answers had a status code; 0 is OK.
package struct CodeCount: Equatable, Sendable {
  package var code: UInt32
  package var count: UInt64

  package init(code: UInt32, count: UInt64) {
    self.code = code
    self.count = count
  }
}

/// How many answers were a status with this reason.
package struct RefusalCount: Equatable, Sendable {
  package var reason: String
  package var count: UInt64

  package init(reason: String, count: UInt64) {
    self.reason = reason
    self.count = count
  }
}

/// How many batches had at most so many rows, and more than the size before.
package struct BatchCount: Equatable, Sendable {
  package var rows: UInt32
  package var count: UInt64

  package init(rows: UInt32, count: UInt64) {
    self.rows = rows
    self.count = count
  }
}

/// Quantiles of a duration, each at most 1/32 above the true value.
package struct LatencySummary: Equatable, Sendable {
  package var count: UInt64 = 0
  package var p50Nanoseconds: UInt64 = 0
  package var p90Nanoseconds: UInt64 = 0
  package var p99Nanoseconds: UInt64 = 0
  package var p999Nanoseconds: UInt64 = 0
  package var maximumNanoseconds: UInt64 = 0
  /// Pairs of numbers, as `DurationBuckets` reads and writes them; empty where they were not asked for.
  package var bucketCounts: [UInt64] = []

  package init() {}
}

/// What to count up: everything, or one model.
package struct StatsRequest: Equatable, Sendable {
  /// Empty: all.
  package var model: String
  /// `LatencySummary.bucketCounts` as well.
  package var wantBuckets: Bool

  package init(model: String, wantBuckets: Bool = false) {
    self.model = model
    self.wantBuckets = wantBuckets
  }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__StatsRequest()
    apus__v1__stats_request__init(&message)
    message.model = arena.string(model)
    message.want_buckets = wantBuckets ? 1 : 0
    return pack(
      &message, into: output, arena, size: apus__v1__stats_request__get_packed_size,
      pack: apus__v1__stats_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__StatsRequest> = try unpack(
      metadata, arena, apus__v1__stats_request__unpack)
    try checkStrings(metadata, .field(1))
    model = text(message.pointee.model)
    wantBuckets = message.pointee.want_buckets != 0
  }
}

/// Counters of the process and its connections since it started.
package struct ServerStats: Equatable, Sendable {
  package var version = ""
  package var uptimeNanoseconds: UInt64 = 0
  package var reactors: UInt32 = 0
  package var connectionsOpen: UInt64 = 0
  package var connectionsTotal: UInt64 = 0
  package var requestsTotal: UInt64 = 0
  package var codes: [CodeCount] = []
  package var receivedBytesTotal: UInt64 = 0
  package var sentBytesTotal: UInt64 = 0
  package var systemCallsTotal: UInt64 = 0
  package var tensorCopiesTotal: UInt64 = 0
  package var tensorCopiedBytesTotal: UInt64 = 0
  package var pollsTotal: UInt64 = 0
  package var sleepsTotal: UInt64 = 0
  package var protocolErrorsTotal: UInt64 = 0
  package var blasCore = ""
  package var handshakesTotal: UInt64 = 0
  package var handshakesResumedTotal: UInt64 = 0
  package var handshakeFailuresTotal: UInt64 = 0
  package var lanesOpen: UInt64 = 0
  package var laneBellsTotal: UInt64 = 0
  package var pollingNanosecondsTotal: UInt64 = 0
  package var wakeUpsSavedTotal: UInt64 = 0
  /// Calls that wait to be computed, now.
  package var queuedCalls: UInt64 = 0
  package var refusals: [RefusalCount] = []
  /// Of the work that may wait for workers, how much does: 0 idle, 1 saturated.
  package var load: Float = 0

  package init() {}
}

/// Counters of one version of a model since the server started.
package struct ModelStats: Equatable, Sendable {
  package var model = ""
  package var version: UInt64 = 0
  package var requestsTotal: UInt64 = 0
  package var rowsTotal: UInt64 = 0
  package var codes: [CodeCount] = []
  package var total = LatencySummary()
  package var queue = LatencySummary()
  package var compute = LatencySummary()
  package var batches: [BatchCount] = []
  /// Nil without published samples.
  package var drift: Drift?
  /// Nil where no other version's calls are mirrored to this one.
  package var shadow: Shadow?

  package init() {}
}

/// One frame of the answer to Stats.
package struct StatsResponse: Equatable, Sendable {
  /// In the first frame only.
  package var server: ServerStats?
  package var models: [ModelStats]

  package init(server: ServerStats?, models: [ModelStats]) {
    self.server = server
    self.models = models
  }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__StatsResponse()
    apus__v1__stats_response__init(&message)
    if let server { message.server = server.message(arena) }
    message.models = repeated(models, arena, { apus__v1__model_stats__init($0) }) { $0.fill($1, $2) }
    message.n_models = models.count
    return pack(
      &message, into: output, arena, size: apus__v1__stats_response__get_packed_size,
      pack: apus__v1__stats_response__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__StatsResponse> = try unpack(
      metadata, arena, apus__v1__stats_response__unpack)
    server = message.pointee.server.map { ServerStats($0.pointee) }
    models = values(message.pointee.models, message.pointee.n_models) { ModelStats($0) }
  }
}

extension CodeCount {
  fileprivate static func list(
    _ counts: [CodeCount], _ arena: borrowing MetadataArena
  ) -> UnsafeMutablePointer<UnsafeMutablePointer<Apus__V1__CodeCount>?>? {
    repeated(counts, arena, { apus__v1__code_count__init($0) }) { count, message, _ in
      message.pointee.code = count.code
      message.pointee.count = count.count
    }
  }

  fileprivate init(_ message: Apus__V1__CodeCount) { self.init(code: message.code, count: message.count) }
}

extension LatencySummary {
  fileprivate func message(_ arena: borrowing MetadataArena) -> UnsafeMutablePointer<
    Apus__V1__LatencySummary
  >? {
    let message: UnsafeMutablePointer<Apus__V1__LatencySummary>? = arena.make {
      apus__v1__latency_summary__init($0)
    }
    message?.pointee.count = count
    message?.pointee.p50_ns = p50Nanoseconds
    message?.pointee.p90_ns = p90Nanoseconds
    message?.pointee.p99_ns = p99Nanoseconds
    message?.pointee.p999_ns = p999Nanoseconds
    message?.pointee.max_ns = maximumNanoseconds
    if !bucketCounts.isEmpty, let counts = arena.numbers(bucketCounts) {
      message?.pointee.bucket_counts = counts
      message?.pointee.n_bucket_counts = bucketCounts.count
    }
    return message
  }

  fileprivate init(_ message: UnsafeMutablePointer<Apus__V1__LatencySummary>?) {
    guard let message else { return }
    count = message.pointee.count
    p50Nanoseconds = message.pointee.p50_ns
    p90Nanoseconds = message.pointee.p90_ns
    p99Nanoseconds = message.pointee.p99_ns
    p999Nanoseconds = message.pointee.p999_ns
    maximumNanoseconds = message.pointee.max_ns
    bucketCounts = Array(
      UnsafeBufferPointer(
        start: message.pointee.bucket_counts, count: message.pointee.n_bucket_counts))
  }
}

extension ServerStats {
  fileprivate func message(_ arena: borrowing MetadataArena) -> UnsafeMutablePointer<Apus__V1__ServerStats>? {
    let place: UnsafeMutablePointer<Apus__V1__ServerStats>? = arena.make { apus__v1__server_stats__init($0) }
    guard let place else { return nil }
    place.pointee.version = arena.string(version)
    place.pointee.uptime_ns = uptimeNanoseconds
    place.pointee.reactors = reactors
    place.pointee.connections_open = connectionsOpen
    place.pointee.connections_total = connectionsTotal
    place.pointee.requests_total = requestsTotal
    place.pointee.codes = CodeCount.list(codes, arena)
    place.pointee.n_codes = codes.count
    place.pointee.received_bytes_total = receivedBytesTotal
    place.pointee.sent_bytes_total = sentBytesTotal
    place.pointee.system_calls_total = systemCallsTotal
    place.pointee.tensor_copies_total = tensorCopiesTotal
    place.pointee.tensor_copied_bytes_total = tensorCopiedBytesTotal
    place.pointee.polls_total = pollsTotal
    place.pointee.sleeps_total = sleepsTotal
    place.pointee.protocol_errors_total = protocolErrorsTotal
    place.pointee.blas_core = arena.string(blasCore)
    place.pointee.tls_handshakes_total = handshakesTotal
    place.pointee.tls_handshakes_resumed_total = handshakesResumedTotal
    place.pointee.tls_handshake_failures_total = handshakeFailuresTotal
    place.pointee.lanes_open = lanesOpen
    place.pointee.lane_bells_total = laneBellsTotal
    place.pointee.polling_ns_total = pollingNanosecondsTotal
    place.pointee.wakeups_saved_total = wakeUpsSavedTotal
    place.pointee.queued_calls = queuedCalls
    place.pointee.refusals = repeated(refusals, arena, { apus__v1__refusal_count__init($0) }) {
      refusal, message, arena in
      message.pointee.reason = arena.string(refusal.reason)
      message.pointee.count = refusal.count
    }
    place.pointee.n_refusals = refusals.count
    place.pointee.load = load
    return place
  }

  fileprivate init(_ message: Apus__V1__ServerStats) {
    version = text(message.version)
    uptimeNanoseconds = message.uptime_ns
    reactors = message.reactors
    connectionsOpen = message.connections_open
    connectionsTotal = message.connections_total
    requestsTotal = message.requests_total
    codes = values(message.codes, message.n_codes) { CodeCount($0) }
    receivedBytesTotal = message.received_bytes_total
    sentBytesTotal = message.sent_bytes_total
    systemCallsTotal = message.system_calls_total
    tensorCopiesTotal = message.tensor_copies_total
    tensorCopiedBytesTotal = message.tensor_copied_bytes_total
    pollsTotal = message.polls_total
    sleepsTotal = message.sleeps_total
    protocolErrorsTotal = message.protocol_errors_total
    blasCore = text(message.blas_core)
    handshakesTotal = message.tls_handshakes_total
    handshakesResumedTotal = message.tls_handshakes_resumed_total
    handshakeFailuresTotal = message.tls_handshake_failures_total
    lanesOpen = message.lanes_open
    laneBellsTotal = message.lane_bells_total
    pollingNanosecondsTotal = message.polling_ns_total
    wakeUpsSavedTotal = message.wakeups_saved_total
    queuedCalls = message.queued_calls
    refusals = values(message.refusals, message.n_refusals) {
      RefusalCount(reason: text($0.reason), count: $0.count)
    }
    load = message.load
  }
}

extension ModelStats {
  fileprivate func fill(
    _ message: UnsafeMutablePointer<Apus__V1__ModelStats>, _ arena: borrowing MetadataArena
  ) {
    message.pointee.model = arena.string(model)
    message.pointee.version = version
    message.pointee.requests_total = requestsTotal
    message.pointee.rows_total = rowsTotal
    message.pointee.codes = CodeCount.list(codes, arena)
    message.pointee.n_codes = codes.count
    message.pointee.total = total.message(arena)
    message.pointee.queue = queue.message(arena)
    message.pointee.compute = compute.message(arena)
    message.pointee.batches = repeated(batches, arena, { apus__v1__batch_count__init($0) }) {
      batch, place, _ in
      place.pointee.rows = batch.rows
      place.pointee.count = batch.count
    }
    message.pointee.n_batches = batches.count
    if let drift { message.pointee.drift = drift.message(arena) }
    if let shadow { message.pointee.shadow = shadow.message(arena) }
  }

  fileprivate init(_ message: Apus__V1__ModelStats) {
    model = text(message.model)
    version = message.version
    requestsTotal = message.requests_total
    rowsTotal = message.rows_total
    codes = values(message.codes, message.n_codes) { CodeCount($0) }
    total = LatencySummary(message.total)
    queue = LatencySummary(message.queue)
    compute = LatencySummary(message.compute)
    batches = values(message.batches, message.n_batches) { BatchCount(rows: $0.rows, count: $0.count) }
    drift = message.drift.map { Drift($0.pointee) }
    shadow = message.shadow.map { Shadow($0.pointee) }
  }
}
