package import ApusMetrics
import ApusTLS
import Synchronization

extension Server {
  /// All metrics as one text, for any thread: nothing is locked that a reactor locks, and none waits or does
  /// anything for it.
  package func metrics(_ format: MetricsFormat) -> [UInt8] {
    var writer = MetricsWriter(format, reserving: metricsBytes.load(ordering: .relaxed) + 4096)
    writeMetrics(to: &writer)
    let text = writer.finish()
    metricsBytes.store(text.count, ordering: .relaxed)
    return text
  }

  /// The same for a text that holds further families, before or behind these.
  package func writeMetrics(to writer: inout MetricsWriter) {
    fleet.writeServer(to: &writer)
    fleet.writeConnections(to: &writer)
    if let credentials {
      let expiry = credentials.current.notAfter
      writer.begin(Metric.certificateExpiry.row.family)
      writer.sample(UInt64(max(0, expiry)))
    }
    fleet.writeReactors(to: &writer)
    fleet.writeModels(to: &writer)
    writeProcess(to: &writer)
  }

  private func writeProcess(to writer: inout MetricsWriter) {
    let facts = ProcessFacts.now()
    writer.begin(Metric.cpuSeconds.row.family)
    writer.sample(nanoseconds: facts.cpuNanoseconds)
    writer.begin(Metric.startTime.row.family)
    writer.sample(nanoseconds: ProcessFacts.startNanoseconds)
    writer.one(.residentBytes, facts.residentBytes)
    writer.one(.virtualBytes, facts.virtualBytes)
    writer.one(.openDescriptors, facts.openDescriptors)
    writer.one(.descriptorLimit, facts.descriptorLimit)
    writer.one(.threads, facts.threads)
  }
}

extension MetricsWriter {
  /// A family of one sample.
  mutating func one(_ metric: Metric, _ value: UInt64) {
    begin(metric.row.family)
    sample(value)
  }
}
