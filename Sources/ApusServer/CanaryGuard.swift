import ApusBase
import ApusModels
import ApusWire

/// Compares a canary with the version that gets the other calls, over windows one after the other.
struct CanaryGuard {
  /// What one version has answered.
  struct Counts {
    var calls: UInt64 = 0
    var errors: UInt64 = 0
    var durations = DurationBuckets()

    init(_ fleet: Fleet, slot: Int) {
      guard slot >= 0 else { return }
      var summary = DurationSummary()
      for recorder in fleet.recorders {
        calls += recorder.requests(model: slot)
        errors += StatusCode.allCases.filter { $0 != .ok }.reduce(0) {
          $0 + recorder.answers(model: slot, $1)
        }
        summary.add(recorder.histogram(slot, .total))
      }
      durations = summary.buckets
    }

    private init() {}

    func since(_ earlier: Counts) -> Counts {
      var difference = Counts()
      difference.calls = calls >= earlier.calls ? calls - earlier.calls : calls
      difference.errors = errors >= earlier.errors ? errors - earlier.errors : errors
      difference.durations = durations.since(earlier.durations)
      return difference
    }

    /// Share of calls that failed, in 1/10,000.
    var errorShare: Double { calls == 0 ? 0 : Double(errors) * 10_000 / Double(calls) }
  }

  let other: UInt64
  private var canaryBefore: Counts
  private var otherBefore: Counts
  private var begun: Instant

  init(other: UInt64, canary: Counts, otherCounts: Counts) {
    self.other = other
    canaryBefore = canary
    otherBefore = otherCounts
    begun = .now
  }

  /// - Returns: why the canary is over; nil: it goes on.
  mutating func judge(
    _ bounds: ModelRecord.Canary, canary: Counts, other: Counts, at now: Instant
  ) -> String? {
    let (new, old) = (canary.since(canaryBefore), other.since(otherBefore))
    if new.calls >= UInt64(bounds.minimumCalls), let reason = Self.breach(bounds, new, old) { return reason }
    if now.since(begun) >= bounds.windowNanoseconds {
      (canaryBefore, otherBefore, begun) = (canary, other, now)
    }
    return nil
  }

  private static func breach(_ bounds: ModelRecord.Canary, _ new: Counts, _ old: Counts) -> String? {
    if bounds.maximumErrors > 0, new.errorShare > old.errorShare + Double(bounds.maximumErrors) {
      return "\(new.errors) of its \(new.calls) calls failed, of the other version's \(old.calls) "
        + "\(old.errors)"
    }
    let (newest, oldest) = (
      new.durations.nanoseconds(atQuantile: 0.99), old.durations.nanoseconds(atQuantile: 0.99)
    )
    guard bounds.maximumLatencyRatio > 0, old.calls >= UInt64(bounds.minimumCalls), oldest > 0,
      Double(newest) > Double(oldest) * bounds.maximumLatencyRatio
    else { return nil }
    return "the 99th percentile of its calls is \(newest / 1000) us, "
      + "of the other version's \(oldest / 1000) us"
  }
}

extension PlatformAdministrator {
  private func counts(_ name: String, _ number: UInt64) -> CanaryGuard.Counts {
    CanaryGuard.Counts(fleet, slot: platform.models[name]?.versions[number]?.slot ?? -1)
  }

  /// Begins to compare a model's canary, where it has one with bounds.
  mutating func watchCanary(of name: String) {
    guard let model = platform.models[name], let canary = model.record.canary, let latest = model.latest,
      canary.maximumErrors > 0 || canary.maximumLatencyRatio > 0
    else {
      guards[name] = nil
      return
    }
    guards[name] = CanaryGuard(
      other: latest, canary: counts(name, canary.version), otherCounts: counts(name, latest))
  }

  /// Ends the canaries that have passed a bound.
  mutating func judgeCanaries() {
    for (name, var watch) in guards {
      guard let model = platform.models[name], let canary = model.record.canary else {
        guards[name] = nil
        continue
      }
      guard model.latest == watch.other else {
        watchCanary(of: name)
        continue
      }
      let reason = watch.judge(
        canary, canary: counts(name, canary.version), other: counts(name, watch.other), at: .now)
      guards[name] = watch
      if let reason { endCanary(of: name, canary, reason) }
    }
  }

  private mutating func endCanary(of name: String, _ canary: ModelRecord.Canary, _ reason: String) {
    guards[name] = nil
    let server = Administrator(name: "server", from: "server", grants: nil)
    let act = PendingAct(
      act: "return", model: name, version: canary.version, administrator: server, reply: nil)
    do throws(Status) {
      try decide(name) { $0.canary = nil }
      done(act, version: canary.version, "its share of the calls is taken back: \(reason)")
    } catch { failed(act, error) }
  }
}
