package import ApusAccess
import ApusBase
import ApusWire
import Glibc
import Synchronization

/// What one caller may do under the policy in force. Immutable: a new policy makes new ones.
final class Standing: Sendable {
  /// Of the policy that it was made under.
  let generation: UInt64
  /// The identity that is counted and logged.
  let name: String
  let grants: Grants
  let usage: Usage
  /// When the token ends that it rests on.
  let expires: Instant
  /// The caller has shown nothing that says who it is, or what it showed is no longer good.
  let isAnonymous: Bool

  init(
    generation: UInt64, name: String, grants: Grants, usage: Usage, expires: Instant, isAnonymous: Bool
  ) {
    self.generation = generation
    self.name = name
    self.grants = grants
    self.usage = usage
    self.expires = expires
    self.isAnonymous = isAnonymous
  }
}

/// The policy in force and how much each identity has used. Reactors ask it when a connection comes, shows a
/// token, or the policy has changed; a call reads the generation alone.
package final class AccessControl: Sendable {
  private struct State {
    var policy: Policy?
    /// Kept when the policy changes, so that a reload gives nobody a fresh allowance, unless the limits that
    /// it was counted under are others.
    var usages: [String: (usage: Usage, limits: CallLimits)] = [:]
    var whenReplaced: (@Sendable () -> Void)?
  }

  private let state: Locked<State>
  private let current = Atomic<UInt64>(0)
  /// Whether there is a policy; without one everyone may do everything.
  let isEnforced: Bool

  package init(_ policy: Policy?) {
    isEnforced = policy != nil
    state = Locked(State(policy: policy))
  }

  var generation: UInt64 { current.load(ordering: .acquiring) }

  /// Puts a new policy in force: from their next call on, for every connection.
  package func replace(_ policy: Policy) {
    let tell = state.withLock { state in
      state.policy = policy
      current.add(1, ordering: .releasing)
      return state.whenReplaced
    }
    tell?()
  }

  /// Calls `body`, from the thread that replaces the policy, each time after a new one is in force.
  func whenReplaced(_ body: @escaping @Sendable () -> Void) {
    state.withLock { $0.whenReplaced = body }
  }

  /// The token that a caller shows.
  ///
  /// - Throws: UNAUTHENTICATED when it is unknown or has expired.
  func valid(_ token: [UInt8]) throws(Status) -> Caller.Token {
    let check = token.withUnsafeBytes { bytes in
      state.withLock { $0.policy?.check(token: bytes, at: Self.unixSeconds) ?? .unknown }
    }
    switch check {
    case .valid(let name, _):
      return Caller.Token(name: name, hash: token.withUnsafeBytes { Policy.hash(ofToken: $0) })
    case .expired: throw .tokenExpired
    case .unknown: throw .tokenInvalid
    }
  }

  /// - Returns: nil where there is no policy.
  func standing(of caller: Caller) -> Standing? {
    let now = Instant.now
    return state.withLock { state in
      guard let policy = state.policy else { return nil }
      var identities = caller.identities
      var expires = Instant.never
      var isRefused = false
      if let token = caller.token {
        let seconds = Self.unixSeconds
        isRefused = !policy.isCurrent(token: token.name, hash: token.hash, at: seconds)
        identities = isRefused ? [] : ["token:\(token.name)"] + identities
        if !isRefused { expires = policy.expiry(ofToken: token.name, from: seconds, now) }
      }
      let isAnonymous = identities.isEmpty
      // A token that is no longer good is no way to what anyone may do.
      let grants = policy.entries(for: isAnonymous && !isRefused ? ["anonymous"] : identities)
      let name = isRefused ? "token:\(caller.token?.name ?? "")" : identities.first ?? "anonymous"
      let usage = grants.isEmpty ? Usage() : Self.usage(of: grants, &state)
      return Standing(
        generation: current.load(ordering: .relaxed), name: name, grants: grants, usage: usage,
        expires: expires, isAnonymous: isAnonymous)
    }
  }

  private static func usage(of grants: Grants, _ state: inout State) -> Usage {
    if let known = state.usages[grants.limitKey], known.limits == grants.limits { return known.usage }
    let usage = Usage()
    state.usages[grants.limitKey] = (usage, grants.limits)
    return usage
  }

  private static var unixSeconds: Int64 { Int64(time(nil)) }
}

extension Policy {
  /// A token's end on the monotonic clock.
  fileprivate func expiry(ofToken name: String, from seconds: Int64, _ now: Instant) -> Instant {
    let end = expiry(ofToken: name)
    guard end != .max else { return .never }
    return now.advanced(by: UInt64(max(0, end - seconds)) * 1_000_000_000)
  }
}
