package import ApusBase

/// Whether a caller may do something, and which entry of the policy says so.
package struct Decision: Sendable, Equatable {
  package let isAllowed: Bool
  /// Of the entry that decided, in the policy file; nil where none names the caller.
  package let line: Int?
  /// For the operator, for example `line 3: token:checkout may classify digits`.
  package let explanation: String
  /// That the policy gives to the caller's calls; nil: none, or no call is asked about.
  package var priority: CallPriority?
}

extension Policy {
  /// Decides as the `entries(for:)` of the caller do, and says why.
  ///
  /// - Parameter model: nil for a method that is about no single model; it is allowed when any entry has it.
  package func decide(_ identities: [String], _ permission: Permission, model: String?) -> Decision {
    let matches = matches(identities)
    guard let first = matches.first else {
      return Decision(
        isAllowed: false, line: nil, explanation: "no entry names \(Self.list(identities, "or"))")
    }
    let withMethod = matches.filter { $0.rule.grant.permissions.contains(permission) }
    guard let nearest = withMethod.first else {
      let methods = first.rule.grant.permissions.names
      return Self.refusal(first, "only method\(methods.count == 1 ? "" : "s") \(Self.list(methods, "and"))")
    }
    if let match = withMethod.first(where: { $0.rule.grant.allows(model) }) {
      let object = model.map { " \($0)" } ?? ""
      // Limits are the first entry's, whichever entry allows it.
      let priority = permission == .classify ? first.rule.limits.priority : nil
      let by = match.rule.line == first.rule.line ? "" : " by \(first.rule.place)"
      let standing = priority.map { ", with priority \($0.name)\(by)" } ?? ""
      return Decision(
        isAllowed: true, line: match.rule.line,
        explanation: "\(match.rule.place): \(match.identity) may \(permission.rawValue)\(object)\(standing)",
        priority: priority)
    }
    let models = nearest.rule.grant.models.map(\.text)
    guard !models.isEmpty else { return Self.refusal(nearest, "no model") }
    return Self.refusal(nearest, "only model\(models.count == 1 ? "" : "s") \(Self.list(models, "and"))")
  }

  private static func refusal(_ match: (rule: Rule, identity: String), _ allowed: String) -> Decision {
    Decision(
      isAllowed: false, line: match.rule.line,
      explanation: "\(match.rule.place) names \(match.identity) but allows \(allowed)")
  }

  /// For example `a, b or c`; for no identity at all, what an operator would look for.
  private static func list(_ texts: [String], _ conjunction: String) -> String {
    guard let last = texts.last else { return "a caller without any identity" }
    let others = texts.dropLast().joined(separator: ", ")
    return others.isEmpty ? last : "\(others) \(conjunction) \(last)"
  }
}

extension Rule {
  fileprivate var place: String { "line \(line)" + (group.map { " (group \($0))" } ?? "") }
}

extension Grant {
  fileprivate func allows(_ model: String?) -> Bool {
    guard var model else { return true }
    return model.withUTF8 { allows(model: UnsafeRawBufferPointer($0)) }
  }
}
