import ApusBase
import ApusTLS
import Glibc
import Testing

@Suite struct BytesTests {
  private static let sizes = [1, 2, 100, 16_383, 16_384, 16_385, 65_536, 1 << 20]

  @Test(arguments: TLSVersion.allCases, sizes) func goBothWays(_ version: TLSVersion, _ count: Int) throws {
    for (pieceBytes, capacity) in [(Int.max, Int.max), (1000, 40_000), (70_000, 5000)] {
      let pair = try establishedPair(version)
      pair.setPieces(pieceBytes)
      pair.toServer.capacity = capacity
      pair.toClient.capacity = capacity
      let sent = (pattern(count), pattern(count, seed: 2))
      var left = (sent.0[...], sent.1[...])
      var arrived: ([UInt8], [UInt8]) = ([], [])
      while !left.0.isEmpty || !left.1.isEmpty || pair.toServer.count + pair.toClient.count > 0 {
        #expect(!isFailure(pair.client.sendAll(&left.0)))
        #expect(!isFailure(pair.server.sendAll(&left.1)))
        arrived.0 += pair.server.receiveAll(10_000).bytes
        arrived.1 += pair.client.receiveAll(100_000).bytes
      }
      #expect(arrived.0 == sent.0 && arrived.1 == sent.1)
    }
  }

  @Test func oneSendIsOneRecord() throws {
    let pair = try establishedPair()
    let bytes = pattern(40_000)
    #expect(pair.client.send(bytes) == .bytes(16_384))
    #expect(pair.client.send([]) == .bytes(0))
    #expect(pair.server.receiveAll().bytes == Array(bytes[..<16_384]))
  }

  /// A record that could not go out whole is finished by the next call, with longer bytes elsewhere.
  @Test func aBlockedSendGoesOnWithMoreBytesInAnotherPlace() throws {
    let pair = try establishedPair()
    pair.toServer.capacity = 20
    let bytes = pattern(5000)
    let part = Array(bytes[..<3000])
    #expect(pair.client.send(part) == .wouldBlock)
    #expect(pair.client.send(part) == .wouldBlock)
    let early = pair.server.receiveAll()
    #expect(early.bytes.isEmpty && early.last == .wouldBlock)
    pair.toServer.capacity = .max
    #expect(pair.client.send(bytes) == .bytes(5000))
    #expect(pair.server.receiveAll().bytes == bytes)
  }

  // MARK: What one receive does

  @Test func aBurstIsOneReceiveOfTheTransport() throws {
    let pair = try establishedPair()
    let bytes = try sendRecords(pair, [100, 200, 300])
    let before = pair.server.end.receives
    #expect(pair.server.receive() == .bytes(600))
    #expect(pair.server.arrived == bytes)
    #expect(pair.server.end.receives == before + 1)
    #expect(!pair.server.hasBuffered)
    #expect(pair.server.receive() == .wouldBlock)
    #expect(pair.server.end.receives == before + 2)
    #expect(!pair.server.hasBuffered)
  }

  @Test func aPartOfARecordIsNotWaitedForOnceBytesHaveCome() throws {
    let pair = try establishedPair()
    let bytes = try sendRecords(pair, [100, 200])
    let all = pair.toServer.bytes
    pair.toServer.bytes = Array(all[..<(all.count - 1)])
    let before = pair.server.end.receives
    #expect(pair.server.receive() == .bytes(100))
    #expect(pair.server.end.receives == before + 1)
    #expect(!pair.server.hasBuffered)
    #expect(pair.server.receive() == .wouldBlock)
    #expect(!pair.server.hasBuffered)
    pair.toServer.bytes = [all[all.count - 1]]
    #expect(pair.server.receive() == .bytes(200))
    #expect(pair.server.arrived == Array(bytes[100...]))
  }

  @Test func whatDoesNotFitStaysBuffered() throws {
    let pair = try establishedPair()
    #expect(pair.server.receive() == .wouldBlock && !pair.server.hasBuffered)
    let bytes = try sendRecords(pair, [100, 200, 300])
    let before = pair.server.end.receives
    var arrived: [UInt8] = []
    for round in 1...4 {
      #expect(pair.server.receive(150) == .bytes(150))
      arrived += pair.server.arrived
      #expect(pair.server.hasBuffered == (round < 4))
    }
    #expect(arrived == bytes && pair.server.end.receives == before + 1)
    #expect(pair.server.receive(0) == .bytes(0))
  }

  /// More than OpenSSL's buffer: every receive brings what one call of the transport gave.
  @Test func aLongBurstTakesFewReceives() throws {
    let pair = try establishedPair()
    let bytes = try sendRecords(pair, [Int](repeating: 1000, count: 300))
    let before = pair.server.end.receives
    #expect(pair.server.receiveAll(1 << 20).bytes == bytes)
    // 300 × 1022 bytes in pieces of 64 KiB, where a record that was cut is completed by a call of its own,
    // and three calls that find nothing.
    #expect(pair.server.end.receives - before < 15)
  }

  private func sendRecords(_ pair: Pair, _ counts: [Int]) throws -> [UInt8] {
    var all: [UInt8] = []
    for (index, count) in counts.enumerated() {
      let bytes = pattern(count, seed: UInt64(index))
      try #require(pair.client.send(bytes) == .bytes(count))
      all += bytes
    }
    return all
  }

  // MARK: Ends

  @Test(arguments: TLSVersion.allCases) func aCloseNotifyIsAnEndAfterTheBytes(_ version: TLSVersion) throws {
    let pair = try establishedPair(version)
    let bytes = try sendRecords(pair, [100])
    pair.client.endSending()
    #expect(pair.server.receive() == .bytes(100))
    #expect(pair.server.arrived == bytes)
    #expect(pair.server.hasBuffered)
    #expect(pair.server.receive() == .end)
    #expect(!pair.server.hasBuffered)
    #expect(pair.server.receive() == .end)
    // The other direction goes on.
    #expect(pair.server.send(bytes) == .bytes(100))
    #expect(pair.client.receiveAll().bytes == bytes)
    #expect(pair.client.send(bytes) == .failed(EPROTO))
    #expect(pair.server.failure == nil)
  }

  @Test(arguments: TLSVersion.allCases) func theTransportsEndIsAnEnd(_ version: TLSVersion) throws {
    let pair = try establishedPair(version)
    let bytes = try sendRecords(pair, [100])
    pair.toServer.isEnded = true
    let arrived = pair.server.receiveAll()
    #expect(arrived.bytes == bytes && arrived.last == .end)
    #expect(pair.server.send(bytes) == .bytes(100))
    #expect(pair.client.receiveAll().bytes == bytes)
    #expect(pair.server.failure == nil)
  }

  @Test func anEndInsideARecordIsAnEndWithoutItsBytes() throws {
    let pair = try establishedPair()
    _ = try sendRecords(pair, [100, 200])
    let all = pair.toServer.bytes
    for cut in [1, 4, 5, 6, 121, 122, 123, 200, all.count - 1] {
      let other = try establishedPair()
      let bytes = try sendRecords(other, [100, 200])
      other.toServer.bytes = Array(other.toServer.bytes[..<cut])
      other.toServer.isEnded = true
      let arrived = other.server.receiveAll()
      #expect(arrived.bytes == (cut < 122 ? [] : Array(bytes[..<100])), "cut at \(cut)")
      #expect(arrived.last == .end && !other.server.hasBuffered)
    }
  }

  @Test func theTransportsErrorsAreGivenOn() throws {
    let pair = try establishedPair()
    let bytes = try sendRecords(pair, [10])
    pair.toServer.receiveError = ECONNRESET
    let arrived = pair.server.receiveAll()
    #expect(arrived.bytes.isEmpty && arrived.last == .failed(ECONNRESET))
    #expect(pair.server.failure == "the connection broke: Connection reset by peer")
    pair.toServer.sendError = EPIPE
    #expect(pair.client.send(bytes) == .failed(EPIPE))
    #expect(pair.client.failure == "the connection broke: Broken pipe")
    // What the server sent before it broke still arrives.
    #expect(pair.client.receiveAll().last == .wouldBlock)
  }

  @Test func aChangedRecordBreaksTheSessionAfterTheGoodOnes() throws {
    for version in TLSVersion.allCases {
      let pair = try establishedPair(version)
      let bytes = try sendRecords(pair, [100, 200])
      pair.toServer.bytes[pair.toServer.count - 20] ^= 1
      #expect(pair.server.receive() == .bytes(100))
      #expect(pair.server.arrived == Array(bytes[..<100]))
      #expect(pair.server.hasBuffered)
      #expect(pair.server.receive() == .failed(EPROTO))
      #expect(!pair.server.hasBuffered)
      #expect(
        pair.server.failure == "a record was changed on its way; look at what lies between the two sides")
      #expect(pair.server.send(bytes) == .failed(EPROTO))
      #expect(pair.client.receiveAll().last == .failed(EPROTO))
      #expect(pair.client.failure?.contains("bad record mac") == true)
    }
  }

  @Test func anEndThatFindsNoRoomIsLeftOut() throws {
    let pair = try establishedPair()
    pair.toServer.capacity = 0
    pair.client.endSending()
    pair.client.endSending()
    #expect(pair.toServer.count == 0 && pair.client.failure == nil)
  }

  private func isFailure(_ transfer: Transfer) -> Bool {
    if case .failed = transfer { return true }
    return false
  }
}
