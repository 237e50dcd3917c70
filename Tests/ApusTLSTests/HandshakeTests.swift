import ApusBase
import ApusTLS
import Testing

@Suite struct HandshakeTests {
  @Test(arguments: TLSVersion.allCases) func goesByteForByte(_ version: TLSVersion) throws {
    let pair = try makePair(version)
    pair.setPieces(1)
    #expect(pair.handshake() == (.done, .done))
    #expect(pair.client.version == "TLSv\(version.rawValue)" && pair.server.version == pair.client.version)
    let cipher = version == .v13 ? "TLS_AES_128_GCM_SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256"
    #expect(pair.client.cipher == cipher && pair.server.cipher == cipher)
    #expect(pair.client.failure == nil && pair.server.failure == nil)
    #expect(!pair.client.isResumed && !pair.server.isResumed)
    #expect(pair.client.handshake() == .done)
    #expect(
      pair.client.peer
        == TLSPeer(
          commonName: "Test Server",
          alternativeNames: ["dns:server.test", "dns:*.wild.test", "ip:127.0.0.1", "ip:::1"]))
    #expect(pair.server.peer == nil)
  }

  /// A wait or a short move at any one place of a conversation changes nothing of what arrives.
  @Test(arguments: TLSVersion.allCases) func survivesAWaitAtEveryPlace(_ version: TLSVersion) throws {
    let whole = try converse(version) { _ in }
    #expect(whole.clientCalls > 6 && whole.serverCalls > 6)
    for call in 0..<whole.clientCalls {
      try converse(version) { $0.client.end.blockedCall = call }
      try converse(version) { $0.client.end.shortCall = call }
    }
    for call in 0..<whole.serverCalls {
      try converse(version) { $0.server.end.blockedCall = call }
      try converse(version) { $0.server.end.shortCall = call }
    }
  }

  @Test(arguments: TLSVersion.allCases, [1, 5, 100, 10_000]) func survivesAStutteringTransport(
    _ version: TLSVersion, _ pieceBytes: Int
  ) throws {
    try converse(version) {
      $0.setPieces(pieceBytes)
      $0.client.end.stutters = true
      $0.server.end.stutters = true
    }
    try converse(version) {
      $0.toClient.capacity = pieceBytes
      $0.toServer.capacity = pieceBytes
    }
  }

  /// A handshake, something each way, and an end.
  @discardableResult
  private func converse(
    _ version: TLSVersion, _ prepare: (Pair) -> Void
  ) throws -> (clientCalls: Int, serverCalls: Int) {
    let pair = try makePair(version)
    prepare(pair)
    #expect(pair.handshake() == (.done, .done))
    let question = pattern(20_000)
    let answer = pattern(30_000, seed: 2)
    var left = (question[...], answer[...])
    var arrived: (question: [UInt8], answer: [UInt8]) = ([], [])
    var rounds = 0
    while arrived.question.count < question.count || arrived.answer.count < answer.count {
      rounds += 1
      try #require(rounds < 200_000, "no end of it")
      if case .failed = pair.client.sendAll(&left.0) { break }
      arrived.question += pair.server.receiveAll().bytes
      if case .failed = pair.server.sendAll(&left.1) { break }
      arrived.answer += pair.client.receiveAll().bytes
    }
    #expect(arrived.question == question && arrived.answer == answer)
    #expect(pair.client.failure == nil && pair.server.failure == nil)
    return (pair.client.end.calls, pair.server.end.calls)
  }

  @Test func theTransportsEndInAHandshakeFailsIt() throws {
    let pair = try makePair()
    #expect(pair.client.handshake() == .wantsRead)
    pair.toClient.isEnded = true
    #expect(pair.client.handshake() == .failed)
    #expect(
      pair.client.failure == "the server closed the connection during the handshake; look at its log")
    #expect(pair.client.handshake() == .failed)
    pair.toServer.bytes = []
    pair.toServer.isEnded = true
    #expect(pair.server.handshake() == .failed)
    #expect(
      pair.server.failure == "the client closed the connection during the handshake; look at its log")
  }

  @Test func theTransportsErrorsInAHandshakeFailIt() throws {
    let pair = try makePair()
    pair.toServer.sendError = 32
    #expect(pair.client.handshake() == .failed)
    #expect(pair.client.failure == "the connection broke: Broken pipe")
    pair.toServer.receiveError = 104
    #expect(pair.server.handshake() == .failed)
    #expect(pair.server.failure == "the connection broke: Connection reset by peer")
  }

  @Test func aFullTransportIsWaitedFor() throws {
    let pair = try makePair()
    pair.toServer.capacity = 10
    #expect(pair.client.handshake() == .wantsWrite)
    #expect(pair.server.handshake() == .wantsRead)
    #expect(pair.handshake() == (.done, .done))
  }

  /// The client's first bytes come with the end of its handshake: the transport has nothing to announce then.
  @Test func bytesThatCameWithTheHandshakeAreBuffered() throws {
    let pair = try makePair()
    #expect(pair.client.handshake() == .wantsRead)
    #expect(pair.server.handshake() == .wantsRead)
    #expect(pair.client.handshake() == .done)
    var bytes = pattern(100)[...]
    #expect(pair.client.sendAll(&bytes) == .bytes(0))
    #expect(pair.server.handshake() == .done)
    #expect(pair.toServer.count == 0)
    #expect(pair.server.hasBuffered)
    let receives = pair.server.end.receives
    #expect(pair.server.receive() == .bytes(100))
    #expect(pair.server.end.receives == receives && !pair.server.hasBuffered)
  }
}
