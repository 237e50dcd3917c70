/// What a call needs: each RPC method belongs to one of these.
package enum Permission: String, CaseIterable, Sendable { case classify, read, admin }

/// A set of permissions.
struct PermissionSet: OptionSet, Sendable {
  let rawValue: UInt8

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init(_ permission: Permission) {
    switch permission {
    case .classify: rawValue = 1
    case .read: rawValue = 2
    case .admin: rawValue = 4
    }
  }

  func contains(_ permission: Permission) -> Bool { contains(PermissionSet(permission)) }

  var names: [String] { Permission.allCases.filter { contains($0) }.map(\.rawValue) }
}

/// What an entry of the policy allows: its methods on its models.
struct Grant: Sendable, Equatable {
  var permissions: PermissionSet = []
  var models: [Glob] = []

  func allows(model: UnsafeRawBufferPointer) -> Bool {
    for glob in models where glob.matches(model) { return true }
    return false
  }
}

/// What one caller may do: the entries of a policy that name it, in their order. It is found once for a
/// connection and asked for every call.
package struct Grants: Sendable {
  private let grants: [Grant]
  /// Of the first entry that names the caller; none without an entry.
  package let limits: CallLimits
  /// The caller's identity that the first entry names: whose usage is counted. Each member of a group has its
  /// own. Empty without an entry.
  package let limitKey: String

  init(_ grants: [Grant], limits: CallLimits, limitKey: String) {
    self.grants = grants
    self.limits = limits
    self.limitKey = limitKey
  }

  /// Whether no entry names the caller.
  package var isEmpty: Bool { grants.isEmpty }

  /// Whether an entry has the method and the model, whose name is given as it was received. Allocates
  /// nothing.
  package func allows(_ permission: Permission, model: UnsafeRawBufferPointer) -> Bool {
    for grant in grants where grant.permissions.contains(permission) && grant.allows(model: model) {
      return true
    }
    return false
  }

  /// Whether an entry has the method, for one that is about no single model. Allocates nothing.
  package func allows(_ permission: Permission) -> Bool {
    for grant in grants where grant.permissions.contains(permission) { return true }
    return false
  }
}
