import ApusBase
import Glibc
import TestCertificates
import Testing

@testable import ApusTLS

@Suite struct ResumptionTests {
  @Test(arguments: TLSVersion.allCases, [false, true]) func aTicketSparesTheCertificates(
    _ version: TLSVersion, _ mutual: Bool
  ) throws {
    let server = try serverContext(
      clientAuthorities: mutual ? Fixture.authority.pem : nil, minimumVersion: .v12)
    let client = try clientContext(identity: mutual ? Fixture.client : nil)
    limit(client, to: version)
    var (ticket, fullBytes) = try connect(client, server, nil, isResumed: false, mutual)
    for _ in 0..<3 {
      let bytes: Int
      (ticket, bytes) = try connect(client, server, ticket, isResumed: true, mutual)
      #expect(bytes < fullBytes)
    }
  }

  /// - Returns: the new ticket, and the bytes that the handshake took.
  private func connect(
    _ client: TLSContext, _ server: TLSContext, _ ticket: TLSTicket?, isResumed: Bool, _ mutual: Bool
  ) throws -> (TLSTicket, Int) {
    let pair = try Pair(client, server, ticket: ticket)
    #expect(pair.handshake() == (.done, .done))
    let moved = pair.toServer.movedBytes + pair.toClient.movedBytes
    #expect(pair.client.isResumed == isResumed && pair.server.isResumed == isResumed)
    #expect(pair.client.peer?.commonName == "Test Server")
    #expect(pair.server.peer?.commonName == (mutual ? "Test Client" : nil))
    #expect(pair.server.send([1]) == .bytes(1))
    #expect(pair.client.receiveAll().bytes == [1])
    #expect(pair.server.ticket == nil)
    return (try #require(pair.client.ticket), moved)
  }

  @Test func thereIsNoTicketBeforeOneHasCome() throws {
    let pair = try makePair()
    #expect(pair.client.ticket == nil)
    #expect(pair.handshake() == (.done, .done))
    #expect(pair.client.ticket == nil)
    #expect(pair.client.receive() == .wouldBlock)
    #expect(pair.client.ticket != nil)
  }

  @Test func aTicketOfAnotherHostOrContextGoesUnused() throws {
    let server = try serverContext()
    let client = try clientContext()
    let ticket = try connect(client, server, nil, isResumed: false, false).0
    #expect(try ticketWorks(ticket, client, server, host: "server.test"))
    #expect(try !ticketWorks(ticket, client, server, host: "a.wild.test"))
    #expect(try !ticketWorks(ticket, clientContext(), server, host: "server.test"))
    // A server that was started anew, or has a new certificate, goes through the whole handshake.
    #expect(try !ticketWorks(ticket, client, serverContext(), host: "server.test"))
  }

  private func ticketWorks(
    _ ticket: TLSTicket, _ client: TLSContext, _ server: TLSContext, host: String
  ) throws -> Bool {
    let pair = try Pair(client, server, host: host, ticket: ticket)
    #expect(pair.handshake() == (.done, .done))
    #expect(pair.client.isResumed == pair.server.isResumed)
    return pair.client.isResumed
  }

  /// A session's end, in order or not, leaves its ticket good; a broken protocol does not.
  @Test func aTicketOutlivesItsSession() throws {
    let server = try serverContext()
    let client = try clientContext()
    func ticket(_ end: (Pair) -> Void) throws -> TLSTicket {
      let pair = try Pair(client, server)
      #expect(pair.handshake() == (.done, .done))
      #expect(pair.client.receive() == .wouldBlock)
      let ticket = try #require(pair.client.ticket)
      end(pair)
      return ticket
    }
    #expect(try ticketWorks(ticket { _ in }, client, server, host: "server.test"))
    #expect(try ticketWorks(ticket { $0.client.endSending() }, client, server, host: "server.test"))
    let torn = try ticket {
      $0.toClient.receiveError = ECONNRESET
      #expect($0.client.receive() == .failed(ECONNRESET))
    }
    #expect(try ticketWorks(torn, client, server, host: "server.test"))
    let broken = try ticket {
      $0.toClient.bytes = [1, 2, 3, 4, 5, 6]
      #expect($0.client.receive() == .failed(EPROTO))
    }
    #expect(try !ticketWorks(broken, client, server, host: "server.test"))
  }

  /// The certificate of a client expires while its ticket is still good.
  @Test(arguments: TLSVersion.allCases) func aTicketIsNoWayAroundAnExpiredCertificate(
    _ version: TLSVersion
  ) throws {
    let server = try serverContext(clientAuthorities: Fixture.authority.pem, minimumVersion: .v12)
    let identity = Fixture.authority.issue(Naming(commonNames: ["Short"], notAfter: 4))
    let client = try clientContext(identity: identity)
    limit(client, to: version)
    let pair = try Pair(client, server)
    try #require(pair.handshake() == (.done, .done))
    #expect(pair.client.receive() == .wouldBlock)
    let ticket = try #require(pair.client.ticket)
    #expect(try ticketWorks(ticket, client, server, host: "server.test"))
    while time(nil) <= client.notAfter { usleep(50_000) }
    let late = try Pair(client, server, ticket: ticket)
    #expect(late.handshake().server == .failed)
    #expect(late.server.failure == "the client's certificate has expired; have it renewed")
    #expect(late.server.peer == nil)
  }
}
