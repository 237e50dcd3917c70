import ApusBase
import ApusEngine
import ApusWire
import Synchronization

/// Sums of all reactors' counters, read while they count.
extension Fleet {
  func sum(_ counter: Counter) -> UInt64 { recorders.reduce(0) { $0 &+ $1.value(counter) } }

  func sum(_ counter: TransportCounter) -> UInt64 {
    TransportKind.allCases.reduce(0) { $0 &+ sum(counter, $1) }
  }

  func sum(_ counter: TransportCounter, _ transport: TransportKind) -> UInt64 {
    recorders.reduce(0) { $0 &+ $1.value(counter, transport) }
  }

  /// Calls that wait for workers or for a reactor.
  var queuedCalls: UInt64 { sum(.callsWaiting) + UInt64(pool.waiting) }

  /// By `RefusalReason.index`.
  func refusals(_ index: Int) -> UInt64 {
    recorders.reduce(0) { $0 + $1.refusals(reason: index) }
  }

  func serverStats() -> ServerStats {
    var stats = ServerStats()
    stats.version = serverVersion
    stats.uptimeNanoseconds = Instant.now.since(started)
    stats.reactors = UInt32(mailboxes.count)
    stats.connectionsOpen = sum(.open)
    stats.connectionsTotal = sum(.total)
    stats.requestsTotal = sum(.requests)
    stats.receivedBytesTotal = sum(.receivedBytes)
    stats.sentBytesTotal = sum(.sentBytes)
    stats.systemCallsTotal = sum(.systemCalls)
    stats.tensorCopiesTotal = sum(.tensorCopies)
    stats.tensorCopiedBytesTotal = sum(.tensorCopiedBytes)
    stats.pollsTotal = sum(.polls)
    stats.sleepsTotal = sum(.sleeps)
    stats.protocolErrorsTotal = sum(.protocolErrors)
    stats.codes = codeCounts { recorder, code in recorder.answers(code) }
    stats.blasCore = blasCoreName
    stats.handshakesTotal = handshakes.completed.load(ordering: .relaxed)
    stats.handshakesResumedTotal = handshakes.resumed.load(ordering: .relaxed)
    stats.handshakeFailuresTotal = handshakes.failed.load(ordering: .relaxed)
    stats.lanesOpen = sum(.open, .lane)
    stats.laneBellsTotal = sum(.laneBells)
    stats.pollingNanosecondsTotal = sum(.pollingNanoseconds)
    stats.wakeUpsSavedTotal = sum(.wakeUpsSaved)
    stats.queuedCalls = queuedCalls
    stats.refusals = RefusalReason.all.enumerated().compactMap { index, reason in
      let count = refusals(index)
      return count > 0 ? RefusalCount(reason: reason, count: count) : nil
    }
    stats.load = pool.load
    return stats
  }

  func modelStats(of catalog: Catalog, _ place: Int, wantBuckets: Bool = false) -> ModelStats {
    var stats = ModelStats()
    stats.model = catalog.models[place].name
    stats.version = catalog.models[place].version
    let index = catalog.slots[place]
    guard index >= 0 else { return stats }
    stats.requestsTotal = recorders.reduce(0) { $0 + $1.requests(model: index) }
    stats.rowsTotal = recorders.reduce(0) { $0 + $1.rows(model: index) }
    stats.codes = codeCounts { recorder, code in recorder.answers(model: index, code) }
    stats.total = latency(index, .total, wantBuckets)
    stats.queue = latency(index, .queue, wantBuckets)
    stats.compute = latency(index, .compute, wantBuckets)
    if let served = catalog.models[place].loaded?.observed, catalog.models[place].standing.isShadow {
      var shadow = Shadow()
      shadow.rowsTotal = served.shadowRows.load(ordering: .relaxed)
      shadow.disagreementsTotal = served.disagreements.load(ordering: .relaxed)
      shadow.droppedTotal = served.dropped.load(ordering: .relaxed)
      stats.shadow = shadow
    }
    stats.drift = catalog.models[place].loaded?.drift?.drift
    for bucket in 0..<Recorder.batchSizes {
      let count = recorders.reduce(0) { $0 + $1.batches(model: index, bucket) }
      if count > 0 { stats.batches.append(BatchCount(rows: 1 << UInt32(bucket), count: count)) }
    }
    return stats
  }

  private func codeCounts(_ read: (Recorder, StatusCode) -> UInt64) -> [CodeCount] {
    StatusCode.allCases.compactMap { code in
      let count = recorders.reduce(0) { $0 + read($1, code) }
      return count > 0 ? CodeCount(code: code.rawValue, count: count) : nil
    }
  }

  private func latency(_ index: Int, _ stage: Stage, _ wantBuckets: Bool) -> LatencySummary {
    var sum = DurationSummary()
    for recorder in recorders { sum.add(recorder.histogram(index, stage)) }
    var latency = LatencySummary()
    latency.count = sum.count
    latency.p50Nanoseconds = sum.nanoseconds(atQuantile: 0.5)
    latency.p90Nanoseconds = sum.nanoseconds(atQuantile: 0.9)
    latency.p99Nanoseconds = sum.nanoseconds(atQuantile: 0.99)
    latency.p999Nanoseconds = sum.nanoseconds(atQuantile: 0.999)
    latency.maximumNanoseconds = sum.maximumNanoseconds
    if wantBuckets { latency.bucketCounts = sum.buckets.pairs }
    return latency
  }
}
