import ApusBase
package import ApusWire

/// What was refused, to whom, and how often: for a log that no flood of refusals can fill or slow. Reactors
/// add; another thread takes the sums once in a while.
package final class RefusalLog: Sendable {
  package struct Refusal: Hashable, Sendable {
    /// As a policy names it, `token:checkout`.
    package let identity: String
    /// Method and model, for a person.
    package let attempt: String
    package let code: StatusCode
    package let reason: String
  }

  /// Different refusals that are told apart between two looks; further ones are only counted.
  private static let capacity = 256

  private struct State {
    var counts: [Refusal: Int] = [:]
    var others = 0
  }

  private let state = Locked(State())

  /// - Returns: whether it is the first since the last look.
  func add(_ refusal: Refusal) -> Bool {
    state.withLock { state in
      let isFirst = state.counts.isEmpty && state.others == 0
      if state.counts[refusal] != nil || state.counts.count < Self.capacity {
        state.counts[refusal, default: 0] += 1
      } else {
        state.others += 1
      }
      return isFirst
    }
  }

  /// The sums since the last look; `others` were too many to be told apart.
  package func take() -> (counts: [(refusal: Refusal, count: Int)], others: Int) {
    state.withLock { state in
      let taken = state
      state = State()
      return (taken.counts.map { ($0.key, $0.value) }.sorted { $0.count > $1.count }, taken.others)
    }
  }
}
