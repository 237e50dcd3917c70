import Glibc
import TestCertificates
import Testing

@testable import ApusTLS

/// What contexts are made of, and what they refuse.
@Suite struct ContextTests {
  @Test func theChainsFirstExpiryIsTold() throws {
    let now = Int64(time(nil))
    let identity = Fixture.authority.issue(Naming(notAfter: 1000))
    #expect(try (900...1100).contains(serverContext(identity).notAfter - now))
    // The one that signed it expires after an hour.
    let between = Authority("Between", signedBy: Fixture.authority)
    let long = between.issue(Naming(notAfter: 100_000))
    #expect(try (3500...3700).contains(serverContext(long).notAfter - now))
    #expect(try clientContext().notAfter == .max)
    // An expired one is told, not refused.
    #expect(try serverContext(Fixture.authority.issue(Naming(notAfter: -1000))).notAfter < now)
  }

  @Test func keysOfEveryKindServe() throws {
    for key in [Key(), Key(group: "P-384"), Key(rsaBits: 2048)] {
      let identity = Fixture.authority.issue(Naming(alternativeNames: "DNS:server.test"), key: key)
      for version in TLSVersion.allCases {
        let client = try clientContext()
        limit(client, to: version)
        let pair = try Pair(client, serverContext(identity, minimumVersion: .v12))
        #expect(pair.handshake() == (.done, .done))
      }
    }
  }

  @Test func aKeyOfAnotherCertificateIsRefused() {
    for key in [Key(), Key(rsaBits: 2048)] {
      expectRefused(
        Identity(chain: Fixture.server.chain, key: key.pem),
        "the private key does not belong to the first certificate of the chain; "
          + "give its own key, and the chain with the own certificate first")
    }
  }

  @Test func aChainInAnotherOrderIsRefused() {
    let between = Authority("Between", signedBy: Fixture.authority)
    var identity = between.issue(Naming())
    let parts = split(identity.chain)
    #expect(parts.count == 2)
    identity.chain = parts[1] + parts[0]
    expectRefused(
      identity,
      "the private key does not belong to the first certificate of the chain; "
        + "give its own key, and the chain with the own certificate first")
  }

  @Test func textsThatAreNoPEMAreRefused() {
    let good = Fixture.server
    let noCertificate =
      "certificate chain: there is no certificate in it; give PEM text with BEGIN CERTIFICATE"
    let noKey = "private key: there is no private key in it; give PEM text with BEGIN PRIVATE KEY"
    expectRefused(Identity(chain: [], key: good.key), noCertificate)
    expectRefused(Identity(chain: Array("nothing".utf8), key: good.key), noCertificate)
    expectRefused(Identity(chain: good.key, key: good.key), noCertificate)
    expectRefused(Identity(chain: good.chain, key: []), noKey)
    expectRefused(Identity(chain: good.chain, key: good.chain), noKey)
    expectRefused(
      Identity(chain: good.chain, key: Key().pem(password: "secret")),
      "private key: the private key is encrypted; decrypt it, for example by openssl pkey")
  }

  /// A chain is read whole or not at all.
  @Test func damagedTextsAreRefused() throws {
    let good = Fixture.server
    let chain = good.chain + Fixture.client.chain
    let lines = String(decoding: chain, as: UTF8.self).split(separator: "\n")
    for index in lines.indices where !lines[index].hasPrefix("-----") {
      var bad = lines
      bad[index] = "!" + lines[index].dropFirst()
      let text = Array(bad.joined(separator: "\n").utf8)
      #expect(
        refusal(Identity(chain: text, key: good.key))?.contains("cannot be read (") == true, "line \(index)")
    }
    let cut = Array(chain[..<(chain.count - 40)])
    #expect(
      refusal(Identity(chain: cut, key: good.key))?.hasPrefix(
        "certificate chain: certificate 2 cannot be read (") == true)
    let cutKey = Array(good.key[..<(good.key.count - 40)])
    #expect(
      refusal(Identity(chain: good.chain, key: cutKey))?.hasPrefix(
        "private key: the private key cannot be read (") == true)
  }

  @Test func weakKeysAreRefused() {
    let weak = Fixture.authority.issue(Naming(), key: Key(rsaBits: 1024))
    expectRefused(
      weak, "the certificate chain is refused (ee key too small); have a stronger one made")
  }

  @Test func authoritiesAreLookedAt() {
    #expect(
      throws: TLSError("authorities: there is no certificate in it; give PEM text with BEGIN CERTIFICATE")
    ) { try clientContext(authorities: []) }
    #expect(
      throws: TLSError(
        "client authorities: there is no certificate in it; give PEM text with BEGIN CERTIFICATE")
    ) { try serverContext(clientAuthorities: Fixture.server.key) }
  }

  @Test func aChainAndItsKeyGoTogether() {
    let refusal = TLSError("a certificate chain and a private key go together; give both or neither")
    #expect(throws: refusal) {
      try TLSContext(client: TLSClientConfiguration(certificateChain: Fixture.client.chain))
    }
    #expect(throws: refusal) {
      try TLSContext(client: TLSClientConfiguration(privateKey: Fixture.client.key))
    }
  }

  @Test func keysAreWiped() {
    var server = TLSServerConfiguration(certificateChain: [], privateKey: Array("secret".utf8))
    server.wipePrivateKey()
    #expect(server.privateKey == [0, 0, 0, 0, 0, 0])
    var client = TLSClientConfiguration(certificateChain: [], privateKey: Array("secret".utf8))
    client.wipePrivateKey()
    #expect(client.privateKey == [0, 0, 0, 0, 0, 0])
  }

  private func refusal(_ identity: Identity) -> String? {
    do throws(TLSError) {
      _ = try TLSContext(
        server: TLSServerConfiguration(certificateChain: identity.chain, privateKey: identity.key))
      return nil
    } catch { return error.description }
  }

  private func expectRefused(
    _ identity: Identity, _ text: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(refusal(identity) == text, sourceLocation: sourceLocation)
  }
}
