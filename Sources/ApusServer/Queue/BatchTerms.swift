import ApusBase
import ApusEngine
import ApusModels

/// How a version's calls are put together: what its files say and what its plan measured.
struct BatchTerms {
  /// Most rows of a batch: as the version allows, and no more than gain by it.
  let mostRows: Int
  /// The longest that a call waits for others.
  let mostDelayNanoseconds: UInt64
  /// Batches that are computed at one time.
  let concurrency: Int
}

extension ServedModel {
  /// - Parameter loaded: what this version has loaded.
  func batchTerms(_ loaded: LoadedModel, _ limits: Limits) -> BatchTerms {
    let most = min(batchMaximum, limits.batchRows, loaded.plan.blockRows)
    return BatchTerms(
      mostRows: loaded.cost.gainsFromBatches ? max(1, most) : 1,
      mostDelayNanoseconds: description.schedule.maximumDelayNanoseconds,
      concurrency: description.schedule.concurrency ?? .max)
  }
}
