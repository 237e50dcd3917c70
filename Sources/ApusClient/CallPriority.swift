import ApusBase

/// Whose turn it is where calls wait in the server to be computed.
public enum CallPriority: String, Sendable, CaseIterable {
  /// Somebody waits for the answer: before all batch calls.
  case interactive
  /// Nobody waits: when no interactive call does.
  case batch

  init(_ priority: ApusBase.CallPriority) {
    self = priority == .batch ? .batch : .interactive
  }

  var wire: ApusBase.CallPriority { self == .batch ? .batch : .interactive }
}
