import ApusBase
import ApusEngine
import ApusModels

/// How a version's calls are put together: what its files say and what its plan measured.
struct BatchTerms {
  /// Most rows of a batch: as the version allows, and no more than gain by it.
  var mostRows = 1
  /// The longest that a call waits for others.
  var mostDelayNanoseconds: UInt64 = 0
  /// Batches that are computed at one time.
  var concurrency = Int.max

  /// Most rows of a batch that a call of so many may be in: its own where it fills one.
  func mostRows(with rows: Int) -> Int { max(rows, mostRows) }
}

extension ServedModel {
  /// - Parameter loaded: what this version has loaded.
  func batchTerms(_ loaded: LoadedModel, _ limits: Limits) -> BatchTerms {
    let most = min(batchMaximum, limits.batchRows, loaded.plan.blockRows)
    return BatchTerms(
      mostRows: loaded.cost.gainsFromBatches && !loaded.plan.couplesRows ? max(1, most) : 1,
      mostDelayNanoseconds: description.schedule.maximumDelayNanoseconds,
      concurrency: description.schedule.concurrency ?? .max)
  }
}
