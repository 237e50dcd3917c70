import ApusDigest
package import ApusYAML

/// Who may do what: the entries of a policy file, and its tokens. Who is not named may do nothing.
package struct Policy: Sendable {
  /// `identities` first, then `groups`, each in the order of the file.
  let rules: [Rule]
  /// In the order of the file.
  let tokens: [StoredToken]

  /// Reads the text of the policy file `source`, which is named in errors.
  ///
  /// - Throws: `YAMLError` with the line, and for an unknown key the nearest known one.
  package init(yaml: String, source: String) throws(YAMLError) {
    (rules, tokens) = try PolicyReader.read(yaml, source)
  }

  /// The entries that name a caller who has proved these identities, for example `["token:checkout"]`,
  /// `["uid:1000", "gid:1000", "gid:100"]` or `["anonymous"]`.
  package func entries(for identities: [String]) -> Grants {
    let matches = matches(identities)
    return Grants(
      matches.map(\.rule.grant), limits: matches.first?.rule.limits ?? .none,
      limitKey: matches.first?.identity ?? "")
  }

  /// The rules that name the caller, each with the first of its identities that the rule names.
  func matches(_ identities: [String]) -> [(rule: Rule, identity: String)] {
    let parsed = identities.compactMap { text in Identity(text).map { (text, $0) } }
    return rules.compactMap { rule in
      let named = parsed.first { _, identity in rule.subjects.contains { $0.matches(identity) } }
      return named.map { (rule, $0.0) }
    }
  }
}

/// An entry of `identities` or `groups`.
struct Rule: Sendable {
  /// Of its key, counted from 1.
  var line: Int
  /// Nil: an entry of `identities`.
  var group: String?
  /// Whom it names: one, or the members of a group.
  var subjects: [IdentityPattern]
  var grant = Grant()
  var limits = CallLimits.none

  /// The same entry, wherever it stands in the file.
  func isSame(as other: Rule) -> Bool {
    group == other.group && subjects == other.subjects && grant == other.grant && limits == other.limits
  }
}

// MARK: Tokens

/// An entry of `tokens`.
struct StoredToken: Sendable, Equatable {
  let name: String
  /// SHA-256 of the token, 32 bytes.
  let hash: [UInt8]
  /// The first second in which it is no longer valid, since 1970; `.max`: never.
  let expires: Int64
}

extension Policy {
  package enum TokenCheck: Equatable, Sendable {
    /// - Parameter expires: the first second in which it is no longer valid, since 1970; `.max`: never.
    case valid(name: String, expires: Int64)
    case expired(name: String)
    case unknown
  }

  /// Looks a caller's token up. The time it takes tells nothing about any stored hash: every one is compared,
  /// each in constant time.
  package func check(token: UnsafeRawBufferPointer, at unixSeconds: Int64) -> TokenCheck {
    let hash = sha256(token)
    var found: StoredToken?
    for stored in tokens where isSameHash(stored.hash, hash) { found = stored }
    guard let found else { return .unknown }
    return unixSeconds < found.expires
      ? .valid(name: found.name, expires: found.expires) : .expired(name: found.name)
  }

  /// Whether a token that was valid when its connection opened still is, under this policy.
  ///
  /// - Parameter hash: of the caller's token, by `hash(ofToken:)`.
  package func isCurrent(token name: String, hash: [UInt8], at unixSeconds: Int64) -> Bool {
    guard let stored = tokens.first(where: { $0.name == name }) else { return false }
    return isSameHash(stored.hash, hash) && unixSeconds < stored.expires
  }

  /// The first second in which a token is no longer valid, since 1970; `.max`: never, or there is none.
  package func expiry(ofToken name: String) -> Int64 {
    tokens.first { $0.name == name }?.expires ?? .max
  }

  /// SHA-256 of a token, 32 bytes.
  package static func hash(ofToken token: UnsafeRawBufferPointer) -> [UInt8] { sha256(token) }
}

// MARK: For the operator

extension Policy {
  /// What an operator may see of a token.
  package struct TokenListing: Equatable, Sendable {
    package let name: String
    /// The first second in which it is no longer valid, since 1970; nil: never.
    package let expires: Int64?
    package let isExpired: Bool
    /// Whether an entry names it: a token that none names may do nothing.
    package let isNamed: Bool
  }

  /// The tokens in the order of the file.
  package func listing(at unixSeconds: Int64) -> [TokenListing] {
    tokens.map { token in
      TokenListing(
        name: token.name, expires: token.expires == .max ? nil : token.expires,
        isExpired: unixSeconds >= token.expires, isNamed: !entries(for: ["token:\(token.name)"]).isEmpty)
    }
  }
}
