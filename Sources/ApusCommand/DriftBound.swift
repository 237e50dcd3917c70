import ApusWire
import ArgumentParser

/// How far what is asked and answered may move from a version's samples before the model is trained anew.
struct DriftBound: Equatable {
  /// A population stability index.
  let index: Double
  /// Inputs that must have been looked at before it says anything.
  let minimumRows: UInt64

  /// With as many, chance adds less than 0.01 to the index of ten bins.
  static let standardMinimumRows: UInt64 = 1000

  init(index: Double, minimumRows: UInt64?) throws(ValidationError) {
    guard index > 0, index <= 1e6 else {
      throw ValidationError("--if-drift takes a population stability index above 0, for example 0.25")
    }
    guard minimumRows != 0 else { throw ValidationError("--min-rows takes a number from 1 on") }
    self.index = index
    self.minimumRows = minimumRows ?? Self.standardMinimumRows
  }

  /// What a version's drift says, and why, for a person.
  enum Verdict: Equatable {
    case train(String)
    case stay(String)
    /// There is nothing to compare with.
    case unknown(String)
  }

  /// - Parameter drift: nil for a version that has none.
  func verdict(_ drift: Drift?) -> Verdict {
    guard let drift else {
      return .unknown(
        "it has no samples to compare calls with; publish a version with at least 10 of them, as "
          + "docs/models.md describes")
    }
    guard drift.rowsTotal >= minimumRows else {
      return .stay("\(drift.rowsTotal) inputs were looked at, and \(minimumRows) are needed")
    }
    let isOfInput = drift.largestInput > drift.classes
    let largest = isOfInput ? drift.largestInput : drift.classes
    let which = isOfInput ? "number \(drift.largestInputIndex) of the inputs" : "the classes"
    let text = "the drift of \(which) is \(formatted(largest, "%.3g"))"
    let bound = formatted(index, "%g")
    return largest >= index ? .train("\(text), at least \(bound)") : .stay("\(text), below \(bound)")
  }
}
