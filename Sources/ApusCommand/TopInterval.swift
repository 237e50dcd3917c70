import ApusBase
import ApusJSON
import ApusWire

/// What a server did between two answers of Stats with buckets, in rates a second.
struct TopInterval {
  /// p50 and p99, in nanoseconds; nil without durations.
  struct Quantiles: Equatable {
    let p50, p99: UInt64

    init?(_ buckets: DurationBuckets) {
      guard buckets.total > 0 else { return nil }
      p50 = buckets.nanoseconds(atQuantile: 0.5)
      p99 = buckets.nanoseconds(atQuantile: 0.99)
    }
  }

  /// One version of a model.
  struct Model {
    let name: String
    let version: UInt64
    let calls, errors, rows: Double
    let total, queue, compute: Quantiles?
    /// Batches by size.
    let batches: [BatchCount]
    /// Rows computed together, on average; 0 without batches.
    let rowsPerBatch: Double
  }

  let seconds: Double
  /// The counters run from the server's start: there was no earlier answer.
  let isSinceStart: Bool
  let version: String
  let uptimeNanoseconds: UInt64
  let reactors: UInt32
  let connectionsOpen: UInt64
  /// Calls that wait now, and of the work that may wait how much does, 0 to 1.
  let queuedCalls: UInt64
  let load: Float
  let calls, errors, connections, receivedBytes, sentBytes, polls, sleeps: Double
  /// Of all models together.
  let total, queue, compute: Quantiles?
  /// The busiest first.
  let models: [Model]

  /// - Parameter earlier: nil, or an answer of a server that has been started again since: the counters are
  ///   taken from the start.
  init(_ now: StatsResponse, since earlier: StatsResponse?) {
    let server = now.server ?? ServerStats()
    var before = earlier?.server ?? ServerStats()
    isSinceStart = earlier == nil || before.uptimeNanoseconds > server.uptimeNanoseconds
    if isSinceStart { before = ServerStats() }
    let seconds = max(Double(server.uptimeNanoseconds &- before.uptimeNanoseconds) / 1e9, 1e-6)
    self.seconds = seconds
    func rate(_ now: UInt64, _ before: UInt64) -> Double {
      Double(now >= before ? now - before : now) / seconds
    }
    version = server.version
    uptimeNanoseconds = server.uptimeNanoseconds
    reactors = server.reactors
    connectionsOpen = server.connectionsOpen
    queuedCalls = server.queuedCalls
    load = server.load
    errors = rate(errorCount(server.codes), errorCount(before.codes))
    connections = rate(server.connectionsTotal, before.connectionsTotal)
    receivedBytes = rate(server.receivedBytesTotal, before.receivedBytesTotal)
    sentBytes = rate(server.sentBytesTotal, before.sentBytesTotal)
    polls = rate(server.pollsTotal, before.pollsTotal)
    sleeps = rate(server.sleepsTotal, before.sleepsTotal)

    let known = isSinceStart ? [] : earlier?.models ?? []
    var sums = (total: DurationBuckets(), queue: DurationBuckets(), compute: DurationBuckets())
    models = now.models.map { model in
      let old =
        known.first { $0.model == model.model && $0.version == model.version } ?? ModelStats()
      let total = difference(model.total, old.total)
      let queue = difference(model.queue, old.queue)
      let compute = difference(model.compute, old.compute)
      sums.total.add(total)
      sums.queue.add(queue)
      sums.compute.add(compute)
      let batches = difference(model.batches, old.batches)
      let batchCount = batches.reduce(0) { $0 + $1.count }
      let rows = rate(model.rowsTotal, old.rowsTotal)
      return Model(
        name: model.model, version: model.version, calls: rate(model.requestsTotal, old.requestsTotal),
        errors: rate(errorCount(model.codes), errorCount(old.codes)), rows: rows,
        total: Quantiles(total), queue: Quantiles(queue), compute: Quantiles(compute), batches: batches,
        rowsPerBatch: batchCount > 0 ? rows * seconds / Double(batchCount) : 0)
    }.sorted { ($1.calls, $0.name, $0.version) < ($0.calls, $1.name, $1.version) }
    calls = models.reduce(0) { $0 + $1.calls }
    total = Quantiles(sums.total)
    queue = Quantiles(sums.queue)
    compute = Quantiles(sums.compute)
  }
}

private func errorCount(_ codes: [CodeCount]) -> UInt64 {
  codes.filter { $0.code != 0 }.reduce(0) { $0 &+ $1.count }
}

private func difference(_ now: LatencySummary, _ before: LatencySummary) -> DurationBuckets {
  DurationBuckets(pairs: now.bucketCounts).since(DurationBuckets(pairs: before.bucketCounts))
}

private func difference(_ now: [BatchCount], _ before: [BatchCount]) -> [BatchCount] {
  now.compactMap { batch in
    let old = before.first { $0.rows == batch.rows }?.count ?? 0
    let count = batch.count >= old ? batch.count - old : batch.count
    return count > 0 ? BatchCount(rows: batch.rows, count: count) : nil
  }
}

// MARK: JSON

extension TopInterval {
  var json: JSON {
    [
      "seconds": .number(seconds), "version": .string(version), "uptime_ns": .integer(uptimeNanoseconds),
      "reactors": .integer(reactors), "connections_open": .integer(connectionsOpen),
      "queued_calls": .integer(queuedCalls), "load": .number(Double(load)),
      "calls_per_second": .number(calls), "errors_per_second": .number(errors),
      "connections_per_second": .number(connections),
      "received_bytes_per_second": .number(receivedBytes), "sent_bytes_per_second": .number(sentBytes),
      "polls_per_second": .number(polls), "sleeps_per_second": .number(sleeps),
      "total_ns": total.json, "queue_ns": queue.json, "compute_ns": compute.json,
      "models": .array(models.map(\.json)),
    ]
  }
}

extension TopInterval.Model {
  fileprivate var json: JSON {
    [
      "model": .string(name), "version": .integer(version), "calls_per_second": .number(calls),
      "errors_per_second": .number(errors), "rows_per_second": .number(rows), "total_ns": total.json,
      "queue_ns": queue.json, "compute_ns": compute.json, "rows_per_batch": .number(rowsPerBatch),
      "batches": .array(batches.map { ["rows": .integer($0.rows), "count": .integer($0.count)] }),
    ]
  }
}

extension TopInterval.Quantiles? {
  fileprivate var json: JSON {
    map { ["p50": .integer($0.p50), "p99": .integer($0.p99)] } ?? .null
  }
}
