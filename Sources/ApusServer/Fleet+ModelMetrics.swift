import ApusBase
import ApusEngine
import ApusMetrics
import ApusWire
import Synchronization

/// Metrics of models. A version that was never called has no histograms, so that the text grows with what is
/// used, and names come from the models' folder alone, never from a peer.
extension Fleet {
  /// 1, 2.5 and 5 in each power of ten, from a microsecond to ten seconds.
  private static let durations: [UInt64] =
    [1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000]
    .flatMap { [$0, $0 * 5 / 2, $0 * 5] } + [10_000_000_000]
  private static let durationBounds = HistogramBounds(nanoseconds: durations)
  private static let rowBounds = HistogramBounds(
    numbers: (0..<Recorder.batchSizes).map { 1 << UInt64($0) })

  private struct Version {
    let model: ServedModel
    /// Where it is counted.
    let index: Int
    let labels: MetricLabels
    let isCalled: Bool
  }

  func writeModels(to writer: inout MetricsWriter) {
    let catalog = catalog
    let versions = zip(catalog.models, catalog.slots).filter { $0.1 >= 0 }.map { model, index in
      Version(
        model: model, index: index,
        labels: MetricLabels("model", model.name).with("version", model.version),
        isCalled: recorders.contains { $0.requests(model: index) > 0 })
    }
    writer.begin(Metric.modelReady.row.family)
    for version in versions {
      writer.sample(version.labels, version.model.plan == nil ? 0 : 1)
    }
    writer.begin(Metric.modelWeights.row.family)
    for version in versions {
      guard let plan = version.model.plan else { continue }
      writer.sample(version.labels, UInt64(plan.weightsBytes))
    }
    writeVersions(catalog, to: &writer)
    writeRequests(versions, to: &writer)
    let called = versions.filter(\.isCalled)
    guard !called.isEmpty else { return }
    writeDurations(called, to: &writer)
    writeBatches(called, to: &writer)
  }

  /// What was decided about versions.
  private func writeVersions(_ catalog: Catalog, to writer: inout MetricsWriter) {
    writer.begin(Metric.modelState.row.family)
    var first = 0
    while first < catalog.models.count {
      let name = catalog.models[first].name
      let versions = catalog.models[first...].prefix { $0.name == name }
      for state in ModelState.allCases where state != .unspecified {
        let count = versions.count { $0.state == state }
        if count > 0 || state == .ready {
          writer.sample(MetricLabels("model", name).with("state", state.name), UInt64(count))
        }
      }
      first += versions.count
    }
    let deprecated = catalog.models.filter { !$0.standing.deprecated.isEmpty }
    writer.begin(Metric.modelDeprecated.row.family)
    for model in deprecated {
      writer.sample(MetricLabels("model", model.name).with("version", model.version), 1)
    }
    let canaries = catalog.models.filter { $0.standing.weight > 0 }
    writer.begin(Metric.modelTraffic.row.family)
    for model in canaries {
      writer.sample(
        MetricLabels("model", model.name).with("version", model.version),
        nanoseconds: UInt64(model.standing.weight) * 100_000)
    }
    let shadows = catalog.models.filter { $0.standing.isShadow && $0.loaded != nil }
    write(.shadowRows, shadows, to: &writer) { $0.observed.shadowRows.load(ordering: .relaxed) }
    write(.shadowDisagreements, shadows, to: &writer) { $0.observed.disagreements.load(ordering: .relaxed) }
    write(.shadowDropped, shadows, to: &writer) { $0.observed.dropped.load(ordering: .relaxed) }
    writeDrift(catalog, to: &writer)
  }

  private func writeDrift(_ catalog: Catalog, to writer: inout MetricsWriter) {
    let drifts = catalog.models.compactMap { model in
      model.loaded?.drift.map {
        (labels: MetricLabels("model", model.name).with("version", model.version), drift: $0.drift)
      }
    }
    writer.begin(Metric.driftClasses.row.family)
    for (labels, drift) in drifts { writer.sample(labels, nanoseconds: UInt64(drift.classes * 1e9)) }
    writer.begin(Metric.driftLargestInput.row.family)
    for (labels, drift) in drifts { writer.sample(labels, nanoseconds: UInt64(drift.largestInput * 1e9)) }
    writer.begin(Metric.driftRows.row.family)
    for (labels, drift) in drifts { writer.sample(labels, drift.rowsTotal) }
  }

  private func write(
    _ metric: Metric, _ models: [ServedModel], to writer: inout MetricsWriter,
    _ value: (LoadedModel) -> UInt64
  ) {
    writer.begin(metric.row.family)
    for model in models {
      let labels = MetricLabels("model", model.name).with("version", model.version)
      writer.sample(labels, model.loaded.map(value) ?? 0)
    }
  }

  /// OK is told from the start, so that the first call shows as an increase.
  private func writeRequests(_ versions: [Version], to writer: inout MetricsWriter) {
    writer.begin(Metric.modelRequests.row.family)
    for version in versions {
      for code in version.isCalled ? StatusCode.allCases : [.ok] {
        let count = recorders.reduce(0) { $0 + $1.answers(model: version.index, code) }
        if count > 0 || code == .ok { writer.sample(version.labels.with("code", code.name), count) }
      }
    }
  }

  private func writeDurations(_ versions: [Version], to writer: inout MetricsWriter) {
    writer.begin(Metric.duration.row.family)
    var buckets = CoarseBuckets(bounds: Self.durations)
    for version in versions {
      for stage in Stage.allCases {
        buckets.clear()
        for recorder in recorders where recorder.requests(model: version.index) > 0 {
          buckets.add(recorder.histogram(version.index, stage))
        }
        writer.histogram(
          version.labels.with("stage", "\(stage)"), Self.durationBounds, counts: buckets.counts,
          sum: .nanoseconds(buckets.sumNanoseconds))
      }
    }
  }

  /// The last bucket also holds what is larger, of which there is none: a call has at most that many rows.
  private func writeBatches(_ versions: [Version], to writer: inout MetricsWriter) {
    writer.begin(Metric.batchRows.row.family)
    for version in versions {
      let counts = (0..<Recorder.batchSizes).map { bucket in
        recorders.reduce(0) { $0 + $1.batches(model: version.index, bucket) }
      }
      let rows = recorders.reduce(0) { $0 + $1.rows(model: version.index) }
      writer.histogram(version.labels, Self.rowBounds, counts: counts + [0], sum: .number(rows))
    }
  }
}
