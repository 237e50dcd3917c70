/// Whose turn it is where calls wait to be computed: interactive ones go first.
package enum CallPriority: UInt8, Sendable, CaseIterable {
  case interactive = 0
  case batch = 1

  /// As policies, commands and HTTP write it.
  package var name: String {
    switch self {
    case .interactive: "interactive"
    case .batch: "batch"
    }
  }

  package init?(name: String) {
    guard let priority = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = priority
  }

  /// All names, for messages.
  package static var names: String { allCases.map(\.name).joined(separator: ", ") }
}
