import ApusWire

/// How far what is asked and answered has moved from the samples that came with a version, as population
/// stability indices: below 0.1 nothing has changed, above 0.25 much has.
public struct DriftStatistics: Equatable, Sendable {
  /// Of the most probable class.
  public let classes: Double
  /// Of each number of an input, in order; empty where they are over 256, and for texts.
  public let inputs: [Double]
  /// The largest of all inputs; 0 where none has moved.
  public let largestInput: Double
  /// The place of that number in an input.
  public let largestInputIndex: Int
  /// Inputs that were looked at; without any, all indices are 0.
  public let rows: UInt64

  init(_ drift: Drift) {
    classes = drift.classes
    inputs = drift.inputs
    largestInput = drift.largestInput
    largestInputIndex = Int(drift.largestInputIndex)
    rows = drift.rowsTotal
  }
}

/// Calls that another version answered and this one, a shadow, computed as well.
public struct ShadowStatistics: Equatable, Sendable {
  /// Inputs whose answers were compared.
  public let rows: UInt64
  /// Of these, those with another most probable class.
  public let disagreements: UInt64
  /// Calls that were not mirrored because too many were waiting.
  public let dropped: UInt64

  init(_ shadow: Shadow) {
    rows = shadow.rowsTotal
    disagreements = shadow.disagreementsTotal
    dropped = shadow.droppedTotal
  }
}
