package import ApusBase

/// How much one identity may ask for, and whose turn its calls are; nil: as much as it likes.
package struct CallLimits: Sendable, Equatable {
  package var callsPerSecond: Double?
  /// Rows of all calls together.
  package var rowsPerSecond: Double?
  /// Calls at once after a pause; nil: as many as in one second, at least 1.
  package var burst: Double?
  /// Calls that wait for their answer, on all connections of the identity together.
  package var maximumInFlight: Int?
  package var maximumBodyBytes: Int?
  /// Where calls wait: of those that say nothing of it; and none can be above batch.
  package var priority: CallPriority?

  package init(
    callsPerSecond: Double? = nil, rowsPerSecond: Double? = nil, burst: Double? = nil,
    maximumInFlight: Int? = nil, maximumBodyBytes: Int? = nil, priority: CallPriority? = nil
  ) {
    self.callsPerSecond = callsPerSecond
    self.rowsPerSecond = rowsPerSecond
    self.burst = burst
    self.maximumInFlight = maximumInFlight
    self.maximumBodyBytes = maximumBodyBytes
    self.priority = priority
  }

  package static let none = CallLimits()

  /// The priority of a call.
  ///
  /// - Parameter asked: what the call says; nil: nothing.
  package func priority(asked: CallPriority?) -> CallPriority {
    priority == .batch ? .batch : asked ?? .interactive
  }
}
