import ApusBase

/// Names of models by a number that fits into a record, for as long as the process runs. As many as there
/// have been names in the folder of models.
package final class ModelNames: Sendable {
  private struct State {
    var numbers: [String: Int32] = [:]
    /// As JSON strings.
    var quoted: [[UInt8]] = []
  }

  private let state = Locked(State())

  package init(_ names: [String] = []) { for name in names { _ = number(of: name) } }

  /// The number of a name, which it keeps.
  package func number(of name: String) -> Int32 {
    state.withLock { state in
      if let number = state.numbers[name] { return number }
      let number = Int32(truncatingIfNeeded: state.quoted.count)
      state.numbers[name] = number
      var bytes: [UInt8] = []
      LogLine.appendQuoted(name, to: &bytes)
      state.quoted.append(bytes)
      return number
    }
  }

  /// The names behind the first `count`, as JSON strings.
  func quoted(behind count: Int) -> ArraySlice<[UInt8]> { state.withLock { $0.quoted.dropFirst(count) } }
}
