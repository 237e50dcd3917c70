import ApusBase
import COpenSSL
import TestCertificates

@testable import ApusTLS

/// What most tests use, made once.
enum Fixture {
  static let authority = Authority("Test Authority")
  static let otherAuthority = Authority("Other Authority")
  static let server = authority.issue(
    Naming(
      commonNames: ["Test Server"], alternativeNames: "DNS:server.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1",
      usage: "serverAuth"))
  static let client = authority.issue(
    Naming(
      commonNames: ["Test Client"], alternativeNames: "URI:spiffe://test/client,DNS:client.test",
      usage: "clientAuth"))
}

/// A server's context that shows the test server's certificate.
func serverContext(
  _ identity: Identity = Fixture.server, clientAuthorities: [UInt8]? = nil,
  minimumVersion: TLSVersion = .v13
) throws -> TLSContext {
  try TLSContext(
    server: TLSServerConfiguration(
      certificateChain: identity.chain, privateKey: identity.key, clientAuthorities: clientAuthorities,
      minimumVersion: minimumVersion))
}

/// A client's context that trusts the test authority.
func clientContext(
  authorities: [UInt8]? = Fixture.authority.pem, identity: Identity? = nil
) throws -> TLSContext {
  try TLSContext(
    client: TLSClientConfiguration(
      authorities: authorities, certificateChain: identity?.chain, privateKey: identity?.key))
}

/// A client and a server that speak this version and trust each other; with certificates on both sides on
/// wish.
func makePair(_ version: TLSVersion = .v13, mutual: Bool = false) throws -> Pair {
  let server = try serverContext(
    clientAuthorities: mutual ? Fixture.authority.pem : nil, minimumVersion: .v12)
  let client = try clientContext(identity: mutual ? Fixture.client : nil)
  limit(client, to: version)
  return try Pair(client, server)
}

/// Both sides of a pair after their handshake.
func establishedPair(_ version: TLSVersion = .v13, mutual: Bool = false) throws -> Pair {
  let pair = try makePair(version, mutual: mutual)
  let states = pair.handshake()
  precondition(states == (.done, .done), "a handshake between sides that trust each other")
  return pair
}

/// The highest version that a context speaks, which is 1.3 in all that Apus makes.
func limit(_ context: TLSContext, to version: TLSVersion) {
  setMaximumVersion(context.pointer, version == .v12 ? TLS1_2_VERSION : TLS1_3_VERSION)
}

/// Bytes that differ from place to place, the same in every run.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  var state = seed
  return (0..<count).map { _ in
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return UInt8(truncatingIfNeeded: state >> 56)
  }
}

/// The certificates of a PEM text, each as a text.
func split(_ chain: [UInt8]) -> [[UInt8]] {
  let end = "-----END CERTIFICATE-----\n"
  let text = String(decoding: chain, as: UTF8.self)
  return text.split(separator: end).map { Array(($0 + end).utf8) }
}
