/// What kind of evidence names a caller. A pattern is compared with identities of its own kind only, so that
/// `cert:*.internal` is about common names and no alternative name slips into it.
enum IdentityKind: Sendable, CaseIterable {
  case token, dnsName, uri, commonName, uid, gid, anonymous

  /// What an identity of this kind begins with. `cert:` is also the beginning of two longer ones, which come
  /// before it in `allCases`.
  var prefix: String {
    switch self {
    case .token: "token:"
    case .dnsName: "cert:dns:"
    case .uri: "cert:uri:"
    case .commonName: "cert:"
    case .uid: "uid:"
    case .gid: "gid:"
    case .anonymous: "anonymous"
    }
  }
}

/// An identity that a caller has proved, taken apart.
package struct Identity: Sendable {
  let kind: IdentityKind
  /// What follows the prefix; DNS names in lower case, as their case does not count (RFC 4343).
  let name: String

  /// Nil for a text that is no identity.
  package init?(_ text: String) {
    guard let kind = IdentityKind.allCases.first(where: { text.utf8.starts(with: $0.prefix.utf8) }) else {
      return nil
    }
    let name = String(decoding: text.utf8.dropFirst(kind.prefix.utf8.count), as: UTF8.self)
    guard name.isEmpty == (kind == .anonymous) else { return nil }
    self.kind = kind
    self.name = kind == .dnsName ? name.lowercased() : name
  }

  /// The identity of a certificate's common name; nil for one that is empty or would read like an alternative
  /// name (`dns:…`, `uri:…`).
  package static func certificate(commonName: String) -> String? {
    let text = IdentityKind.commonName.prefix + commonName
    return Identity(text)?.kind == .commonName ? text : nil
  }

  package static let forms = "token:NAME, cert:NAME, cert:dns:NAME, cert:uri:URI, uid:N, gid:N or anonymous"
}

/// A key of `identities` or a member of a group.
struct IdentityPattern: Sendable, Equatable {
  /// Nil: of every kind, for the pattern `*`.
  private let kind: IdentityKind?
  private let name: Glob

  /// What is wrong with a text that is no pattern.
  struct Problem: Error { let description: String }

  init(_ text: String) throws(Problem) {
    if text == "*" {
      (kind, name) = (nil, Glob(text))
      return
    }
    guard let identity = Identity(text) else {
      throw Problem(description: "\(text) is no identity; write \(Identity.forms)")
    }
    try Self.check(identity, text)
    (kind, name) = (identity.kind, Glob(identity.name))
  }

  private static func check(_ identity: Identity, _ text: String) throws(Problem) {
    switch identity.kind {
    case .token:
      guard identity.name.utf8.allSatisfy({ Token.isNameByte($0) || $0 == UInt8(ascii: "*") }) else {
        throw Problem(description: "\(text): the name of a token holds \(Token.nameCharacters)")
      }
    case .uid, .gid:
      guard isNumber(identity.name) || isNumberPattern(identity.name) else {
        throw Problem(description: "\(text): write the number, for example \(identity.kind.prefix)1000")
      }
    case .dnsName, .uri, .commonName, .anonymous: break
    }
  }

  /// A number as a caller's is written: without leading zeros.
  private static func isNumber(_ text: String) -> Bool { UInt32(text).map { String($0) == text } ?? false }

  private static func isNumberPattern(_ text: String) -> Bool {
    text.contains("*") && text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == UInt8(ascii: "*") }
  }

  func matches(_ identity: Identity) -> Bool {
    guard kind == nil || kind == identity.kind else { return false }
    var text = identity.name
    return text.withUTF8 { name.matches(UnsafeRawBufferPointer($0)) }
  }
}
