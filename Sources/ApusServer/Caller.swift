import ApusAccess
import ApusIO
package import ApusTLS
import Glibc

/// Who a connection is from: what its transport vouches for, and the token that it showed.
package struct Caller: Sendable {
  /// As a policy names them, `uid:1000` or `cert:checkout.internal`; the most particular first.
  var identities: [String] = []
  var token: Token?

  struct Token: Sendable {
    let name: String
    /// SHA-256.
    let hash: [UInt8]
  }

  /// Root or the server's own user, who may administer the server whatever a policy says.
  var isAdministrator = false

  init() {}

  static func isAdministrator(user: UInt32) -> Bool { user == 0 || user == geteuid() }

  init(_ credentials: PeerCredentials?) {
    guard let credentials else { return }
    isAdministrator = Self.isAdministrator(user: credentials.user)
    identities = ["uid:\(credentials.user)"] + credentials.groups.map { "gid:\($0)" }
  }

  package init(_ peer: TLSPeer?) {
    guard let peer else { return }
    let name = peer.commonName.flatMap { Identity.certificate(commonName: $0) }
    identities = (name.map { [$0] } ?? []) + peer.alternativeNames.map { "cert:\($0)" }
  }
}
