import ApusBase
import ApusTLS
import Glibc
import TestCertificates
import Testing

/// Who is trusted, by a client and by a server.
@Suite struct VerificationTests {
  // MARK: The server's certificate

  @Test(arguments: ["server.test", "SERVER.test", "server.test.", "a.wild.test", "127.0.0.1", "::1", "[::1]"])
  func aServerIsTakenByItsNames(_ host: String) throws {
    let pair = try Pair(clientContext(), serverContext(), host: host)
    #expect(pair.handshake() == (.done, .done))
  }

  @Test(arguments: [
    "other.test", "test", "wild.test", "a.b.wild.test", "xserver.test", "127.0.0.2", "::2", "Test Server",
  ]) func aServerOfAnotherNameIsRefused(_ host: String) throws {
    let pair = try Pair(clientContext(), serverContext(), host: host)
    let states = pair.handshake()
    #expect(states.client == .failed && states.server == .failed)
    #expect(
      pair.client.failure
        == "the server's certificate is not for \(host); connect by one of its subject alternative names")
    #expect(pair.client.peer == nil)
    #expect(
      pair.server.failure == "the client refuses this side's certificate (bad certificate); have another made"
    )
  }

  @Test(arguments: [
    Naming(commonNames: ["server.test"]),
    Naming(commonNames: ["server.test"], alternativeNames: "DNS:other.test"),
    Naming(commonNames: ["server.test"], alternativeNames: "email:server@server.test"),
    Naming(alternativeNames: "DNS:*"),
    Naming(alternativeNames: "DNS:*.test.*"),
  ]) func otherPlacesOfANameDoNotCount(_ naming: Naming) throws {
    let server = try serverContext(Fixture.authority.issue(naming))
    let pair = try Pair(clientContext(), server)
    #expect(pair.handshake().client == .failed)
    #expect(pair.client.failure?.contains("is not for server.test") == true)
  }

  @Test(arguments: [("*.part.test", true), ("s*.part.test", false), ("*r.part.test", false)])
  func aStarIsAWholeLabel(_ name: String, _ isTaken: Bool) throws {
    let server = try serverContext(Fixture.authority.issue(Naming(alternativeNames: "DNS:\(name)")))
    let pair = try Pair(clientContext(), server, host: "server.part.test")
    #expect(pair.handshake().client == (isTaken ? .done : .failed))
  }

  @Test func anAddressAsADNSNameDoesNotCount() throws {
    let server = try serverContext(
      Fixture.authority.issue(Naming(commonNames: ["10.0.0.1"], alternativeNames: "DNS:10.0.0.1")))
    let pair = try Pair(clientContext(), server, host: "10.0.0.1")
    #expect(pair.handshake().client == .failed)
    #expect(pair.client.failure?.contains("is not for 10.0.0.1") == true)
  }

  @Test func aServerOfAnotherAuthorityIsRefused() throws {
    let pair = try Pair(clientContext(authorities: Fixture.otherAuthority.pem), serverContext())
    #expect(pair.handshake().client == .failed)
    #expect(
      pair.client.failure == "the server's certificate is signed by no trusted authority; "
        + "trust the one that signed it, and let the chain lead to it")
    #expect(
      pair.server.failure == "the client does not trust who signed this side's certificate; "
        + "use one that it trusts")
  }

  @Test func theSystemTrustsNoTestAuthority() throws {
    let pair = try Pair(clientContext(authorities: nil), serverContext())
    #expect(pair.handshake().client == .failed)
    #expect(pair.client.failure?.contains("is signed by no trusted authority") == true)
  }

  @Test func aCertificateHasItsTimeAndPurpose() throws {
    for (naming, failure) in [
      (
        Naming(alternativeNames: "DNS:server.test", notBefore: -7200, notAfter: -10),
        "the server's certificate or one that signed it has expired; have it renewed"
      ),
      (
        Naming(alternativeNames: "DNS:server.test", notBefore: 3000, notAfter: 7200),
        "the server's certificate is not valid yet; look at the clocks of both machines"
      ),
      (
        Naming(alternativeNames: "DNS:server.test", usage: "clientAuth"),
        "the server's certificate is not made for a server; "
          + "have one made whose extended key usage allows it"
      ),
    ] {
      let pair = try Pair(clientContext(), serverContext(Fixture.authority.issue(naming)))
      #expect(pair.handshake().client == .failed)
      #expect(pair.client.failure == failure)
    }
  }

  @Test func aChainLeadsToItsAuthority() throws {
    let root = Authority("Root")
    let between = Authority("Between", signedBy: root)
    let identity = between.issue(Naming(alternativeNames: "DNS:server.test"))
    for trusted in [root.pem, between.pem, Fixture.authority.pem + root.pem + root.pem] {
      let pair = try Pair(clientContext(authorities: trusted), serverContext(identity))
      #expect(pair.handshake() == (.done, .done))
    }
    let own = try #require(split(identity.chain).first)
    let short = try Pair(
      clientContext(authorities: root.pem), serverContext(Identity(chain: own, key: identity.key)))
    #expect(short.handshake().client == .failed)
    #expect(short.client.failure?.contains("is signed by no trusted authority") == true)
  }

  /// What a server trusts of clients is not added to what it shows.
  @Test func onlyTheOwnChainIsShown() throws {
    let root = Authority("Root")
    let between = Authority("Between", signedBy: root)
    let identity = between.issue(Naming(alternativeNames: "DNS:server.test"))
    let own = try #require(split(identity.chain).first)
    let server = try serverContext(
      Identity(chain: own, key: identity.key), clientAuthorities: between.pem + Fixture.authority.pem)
    let pair = try Pair(clientContext(authorities: root.pem, identity: Fixture.client), server)
    #expect(pair.handshake().client == .failed)
    #expect(pair.client.failure?.contains("is signed by no trusted authority") == true)
  }

  /// A certificate that is no authority's signs for nobody.
  @Test func aServersCertificateSignsNoOther() throws {
    let server = selfSigned(Naming(commonNames: ["x"], alternativeNames: "DNS:server.test"))
    let trusted = try Pair(clientContext(authorities: server.chain), serverContext(server))
    #expect(trusted.handshake() == (.done, .done))
    let untrusted = try Pair(clientContext(), serverContext(server))
    #expect(untrusted.handshake().client == .failed)
  }

  @Test func hostsThatNoCertificateNamesAreRefused() throws {
    let context = try clientContext()
    let end = End(Queue(), Queue())
    for host in ["", "a\0b", String(repeating: "a", count: 300)] {
      #expect(throws: TLSError.self) {
        _ = try TLSSession(client: context, transport: end.transport, host: host, resuming: nil)
      }
    }
  }

  @Test func aNameIsToldToTheServerAndAnAddressIsNot() throws {
    for (host, isTold) in [("server.test", true), ("server.test.", true), ("127.0.0.1", false)] {
      let pair = try Pair(clientContext(), serverContext(), host: host)
      #expect(pair.client.handshake() == .wantsRead)
      // SNI (RFC 6066, section 3): a list with one name of kind 0.
      let name: [UInt8] = [0, 14, 0, 0, 11] + Array("server.test".utf8)
      #expect(contains(pair.toServer.bytes, name) == isTold)
      #expect(!contains(pair.toServer.bytes, Array(host.utf8)) == !isTold || host.last == ".")
    }
  }

  private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    bytes.indices.dropLast(part.count - 1).contains { bytes[$0..<($0 + part.count)].elementsEqual(part) }
  }

  // MARK: The client's certificate

  @Test(arguments: TLSVersion.allCases) func aClientIsKnownByItsCertificate(_ version: TLSVersion) throws {
    let pair = try establishedPair(version, mutual: true)
    #expect(
      pair.server.peer
        == TLSPeer(
          commonName: "Test Client", alternativeNames: ["uri:spiffe://test/client", "dns:client.test"]))
    #expect(pair.client.peer?.commonName == "Test Server")
    #expect(pair.client.send([1, 2]) == .bytes(2) && pair.server.receiveAll().bytes == [1, 2])
  }

  @Test(arguments: TLSVersion.allCases) func aClientThatIsNotTrustedIsRefused(_ version: TLSVersion) throws {
    for (identity, failure, told) in [
      (
        nil, "the client showed no certificate, which this server requires; give it one",
        version == .v13
          ? "the server requires a certificate; give a certificate chain and its private key"
          : "the server finds no cipher in common; allow the same on both sides"
      ),
      (
        Fixture.otherAuthority.issue(Naming(commonNames: ["Test Client"])),
        "the client's certificate is signed by no trusted authority; "
          + "trust the one that signed it, and let the chain lead to it",
        "the server does not trust who signed this side's certificate; use one that it trusts"
      ),
      (
        Fixture.authority.issue(Naming(commonNames: ["Test Client"], notAfter: -10)),
        "the client's certificate or one that signed it has expired; have it renewed",
        "the server refuses this side's certificate (certificate expired); have another made"
      ),
      (
        Fixture.server,
        "the client's certificate is not made for a client; "
          + "have one made whose extended key usage allows it",
        "the server refuses this side's certificate (unsupported certificate); have another made"
      ),
    ] as [(Identity?, String, String)] {
      let server = try serverContext(clientAuthorities: Fixture.authority.pem, minimumVersion: .v12)
      let client = try clientContext(identity: identity)
      limit(client, to: version)
      let pair = try Pair(client, server)
      let states = pair.handshake()
      #expect(states.server == .failed && pair.server.failure == failure)
      #expect(pair.server.peer == nil)
      // With TLS 1.3 a client is done before the server has seen its certificate.
      #expect(states.client == (version == .v13 ? .done : .failed))
      if version == .v13 { #expect(pair.client.receiveAll().last == .failed(EPROTO)) }
      #expect(pair.client.failure == told)
    }
  }

  // MARK: What a certificate names

  @Test func namesAreReadAsTheyAre() throws {
    for (naming, peer) in [
      (Naming(), TLSPeer(commonName: nil, alternativeNames: [])),
      (Naming(commonNames: ["Zoë"]), TLSPeer(commonName: "Zoë", alternativeNames: [])),
      (Naming(commonNames: ["a", "b"]), TLSPeer(commonName: nil, alternativeNames: [])),
      (Naming(commonNames: ["a\nb"]), TLSPeer(commonName: nil, alternativeNames: [])),
      (Naming(commonNames: ["a\0b"]), TLSPeer(commonName: nil, alternativeNames: [])),
      (
        Naming(
          commonNames: ["c"],
          alternativeNames: "DNS:a.test,email:b@a.test,URI:urn:x,IP:10.1.2.3,IP:fe80::1,RID:1.2.3,DNS:b c"),
        TLSPeer(
          commonName: "c",
          alternativeNames: ["dns:a.test", "email:b@a.test", "uri:urn:x", "ip:10.1.2.3", "ip:fe80::1"])
      ),
    ] {
      let server = try serverContext(clientAuthorities: Fixture.authority.pem)
      let pair = try Pair(clientContext(identity: Fixture.authority.issue(naming)), server)
      #expect(pair.handshake() == (.done, .done))
      #expect(pair.server.peer == peer)
    }
  }
}
