import ApusBase
import ApusEngine
import ApusLog
import ApusMetrics
import ApusWire
import Synchronization

/// The server's own metrics: sums of all reactors' counters, read while they count.
extension Fleet {
  func writeServer(to writer: inout MetricsWriter) {
    writer.begin(Metric.build.row.family)
    let version = serverVersion.split(separator: "/").last.map { String($0) } ?? serverVersion
    writer.sample(
      MetricLabels("version", version).with("blas_core", blasCoreName)
        .with("architecture", architectureName), 1)
    writer.one(.reactors, UInt64(mailboxes.count))
    writer.one(.draining, isDraining ? 1 : 0)
    writer.one(.requests, sum(.requests))
    writer.begin(Metric.answers.row.family)
    for code in StatusCode.allCases {
      let count = recorders.reduce(0) { $0 + $1.answers(code) }
      if count > 0 || code == .ok { writer.sample(MetricLabels("code", code.name), count) }
    }
    writer.begin(Metric.refusals.row.family)
    for (index, reason) in RefusalReason.all.enumerated() {
      writer.sample(MetricLabels("reason", reason), refusals(index))
    }
    writer.one(.inFlight, sum(.inFlight))
    writer.one(.queuedCalls, queuedCalls)
    writer.begin(Metric.load.row.family)
    writer.sample(nanoseconds: UInt64(Double(pool.load) * 1e9))
    writer.begin(Metric.authenticationFailures.row.family)
    for reason in ["CREDENTIALS_REQUIRED", "TOKEN_EXPIRED", "TOKEN_INVALID"] {
      let count = refusals(RefusalReason.index(of: reason))
      writer.sample(MetricLabels("kind", reason.lowercased()), count)
    }
    writer.sample(
      MetricLabels("kind", "certificate_refused"), handshakes.untrusted.load(ordering: .relaxed))
    writer.begin(Metric.accessLogLines.row.family)
    writer.sample(MetricLabels("result", "written"), accessLog?.written ?? 0)
    writer.sample(MetricLabels("result", "dropped"), accessLog?.dropped ?? 0)
  }

  func writeConnections(to writer: inout MetricsWriter) {
    let counters: [(Metric, TransportCounter)] = [
      (.openConnections, .open), (.connections, .total), (.receivedBytes, .receivedBytes),
      (.sentBytes, .sentBytes),
    ]
    for (metric, counter) in counters {
      writer.begin(metric.row.family)
      for transport in TransportKind.allCases {
        writer.sample(MetricLabels("transport", "\(transport)"), sum(counter, transport))
      }
    }
    writer.one(.connectionLimit, UInt64(limits.connections))
    writer.one(.protocolErrors, sum(.protocolErrors))
    writer.begin(Metric.handshakes.row.family)
    let resumed = handshakes.resumed.load(ordering: .relaxed)
    let completed = handshakes.completed.load(ordering: .relaxed)
    writer.sample(MetricLabels("result", "full"), completed > resumed ? completed - resumed : 0)
    writer.sample(MetricLabels("result", "resumed"), resumed)
    writer.sample(MetricLabels("result", "failed"), handshakes.failed.load(ordering: .relaxed))
  }

  func writeReactors(to writer: inout MetricsWriter) {
    writer.one(.tensorCopies, sum(.tensorCopies))
    writer.one(.tensorCopiedBytes, sum(.tensorCopiedBytes))
    writer.one(.systemCalls, sum(.systemCalls))
    writer.one(.polls, sum(.polls))
    writer.begin(Metric.pollingSeconds.row.family)
    writer.sample(nanoseconds: sum(.pollingNanoseconds))
    writer.one(.wakeUpsSaved, sum(.wakeUpsSaved))
    writer.one(.laneBells, sum(.laneBells))
    writer.one(.sleeps, sum(.sleeps))
    writer.one(.asleep, sum(.asleep))
    writer.begin(Metric.memory.row.family)
    let pools: [(String, UInt64)] = [
      ("answers", sum(.answerBytes)),
      ("arenas", sum(.arenaBytes)),
      ("backlogs", sum(.backlogBytes)),
      ("counters", UInt64(recorders.reduce(0) { $0 + $1.byteCount })),
      ("lanes", sum(.open, .lane) * 2 * UInt64(limits.laneRingBytes)),
      ("large_frames", sum(.largeFrameBytes)),
      ("receive_rings", sum(.connectionsOpen) * UInt64(limits.receiveRingBytes)),
      ("workspaces", sum(.workspaceBytes)),
    ]
    for (pool, bytes) in pools { writer.sample(MetricLabels("pool", pool), bytes) }
  }
}

#if arch(x86_64)
  private let architectureName = "x86_64"
#elseif arch(arm64)
  private let architectureName = "arm64"
#else
  private let architectureName = "other"
#endif
