import ApusBase
import ApusEngine
import ApusIO
import ApusWire
import Testing

@testable import ApusServer

/// Bodies of calls that wait are received where they are computed, when most of them is still to come: the
/// answers are the same, little is copied, and no rows are lost whatever a client does in mid-body.
@Suite(.timeLimit(.minutes(15))) struct RowReceptionTests {
  /// 16 KiB. A ring has 4096 such rows, and half of them for bodies under way.
  private static let rows = 1024
  private let gate = Gate()
  private let server: MetricsServer

  init() throws {
    server = try Self.server(gate)
    gate.open()
  }

  private static func server(
    _ gate: Gate, _ change: (inout Server.Configuration) throws -> Void = { _ in }
  ) throws -> MetricsServer {
    try GatedModel.server([GatedModel.model("gated", gate, batchMaximum: 4096)], change)
  }

  private static func input(_ id: UInt64, rows: Int) -> [Float] {
    (0..<rows).flatMap { GatedModel.row(Float(id) * 5000 + Float($0)) }
  }

  private func frame(_ id: UInt64, rows: Int = Self.rows) -> [UInt8] {
    classifyFrame(id, "gated", Self.input(id, rows: rows), rows: rows)
  }

  /// Where the body of a frame begins.
  private func bodyOffset(_ frame: [UInt8]) -> Int {
    frame.withUnsafeBytes {
      FrameLayout(metadataBytes: Int(FrameHeader(reading: $0.baseAddress!).metadataBytes), bodyBytes: 0)
        .bodyOffset
    }
  }

  private func expectAnswer(
    _ connection: RawConnection, _ id: UInt64, rows: Int = Self.rows, _ what: String = ""
  ) throws {
    let answer = try #require(try connection.answer(within: 60))
    #expect(
      answer.id == id && answer.status == nil && answer.probabilities == Self.input(id, rows: rows), "\(what)"
    )
  }

  /// A connection whose last call was such a one.
  private func connected(
    to server: MetricsServer? = nil, rows: Int = Self.rows, _ address: String? = nil
  ) throws -> RawConnection {
    let connection = try RawConnection(address ?? (server ?? self.server).address)
    connection.send(frame(1, rows: rows))
    try expectAnswer(connection, 1, rows: rows)
    return connection
  }

  private func fleet(_ server: MetricsServer?) -> Fleet { (server ?? self.server).server.fleet }

  private func copied(_ server: MetricsServer? = nil) -> Int { Int(fleet(server).sum(.tensorCopiedBytes)) }

  /// Sends, and waits until the server has it.
  private func deliver(
    _ bytes: ArraySlice<UInt8>, _ connection: RawConnection, to server: MetricsServer? = nil
  ) throws {
    let fleet = fleet(server)
    let before = fleet.sum(.receivedBytes, .unix)
    connection.send(Array(bytes))
    try #require(
      waitUntil(seconds: 60) { fleet.sum(.receivedBytes, .unix) >= before + UInt64(bytes.count) })
  }

  /// Whether a call is received straight into its rows, as it is where less than half of them are in use.
  private func expectStraightReception(of server: MetricsServer? = nil, _ what: String) throws {
    let connection = try connected(to: server)
    let frame = frame(2)
    let cut = bodyOffset(frame) + 640
    let before = copied(server)
    try deliver(frame[..<cut], connection, to: server)
    try deliver(frame[cut...], connection, to: server)
    try expectAnswer(connection, 2, what)
    #expect(copied(server) - before == 640, "\(what)")
  }

  private func expectNoConnections(_ server: MetricsServer? = nil, over kind: TransportKind = .unix) {
    #expect(waitUntil(seconds: 60) { fleet(server).sum(.open, kind) == 0 })
  }

  // MARK: Answers

  /// While the worker is busy, so that it waits with what came before.
  @Test func aBodyInTwoPartsIsCopiedAsFarAsItCameWithTheHead() throws {
    let connection = try connected()
    gate.close()
    connection.send(frame(2))
    #expect(gate.holds(1))
    let before = (copied(), fleet(nil).sum(.tensorCopies))
    let frame = frame(3)
    let cut = bodyOffset(frame) + 1000
    try deliver(frame[..<cut], connection)
    #expect(waitUntil(seconds: 60) { copied() == before.0 + 1000 })
    connection.send(Array(frame[cut...]))
    #expect(try server.hasQueued(1))
    #expect(copied() == before.0 + 1000)
    #expect(fleet(nil).sum(.tensorCopies) == before.1 + 1)
    gate.open()
    try expectAnswer(connection, 2)
    try expectAnswer(connection, 3)
  }

  /// The last row is not a whole block of 64 bytes, and another call follows.
  @Test(arguments: [512, 513]) func aFrameMayBeCutAnywhere(rows: Int) throws {
    let whole = frame(2, rows: rows)
    let body = bodyOffset(whole)
    let end = body + 16 * rows
    let cuts = [
      1, 4, 31, 32, 40, body - 1, body, body + 1, body + 63, body + 64, (body + end) / 2, end - 4097,
      end - 4096, end - 4095, end - 65, end - 16, end - 1, end, whole.count - 1, whole.count,
    ]
    for cut in cuts {
      for isFollowed in [false, true] {
        let connection = try connected(rows: rows)
        let before = copied()
        let bytes = whole + (isFollowed ? GatedModel.call(3, "gated", 3) : [])
        try deliver(bytes[..<cut], connection)
        connection.send(Array(bytes[cut...]))
        try expectAnswer(connection, 2, rows: rows, "cut at \(cut)")
        if isFollowed {
          #expect(try connection.answer(within: 60)?.probabilities == GatedModel.row(3), "cut at \(cut)")
        }
        let found = copied() - before - (isFollowed ? 16 : 0)
        if cut >= body, cut <= end - 4096 {
          #expect(found == cut - body + (end - body) % 64, "cut at \(cut)")
        } else if cut > body {
          #expect(found == end - body, "cut at \(cut)")
        } else {
          #expect(found >= 0 && found <= end - body, "cut at \(cut)")
        }
      }
    }
  }

  @Test func aBodyMayComeByteByByte() throws {
    let connection = try connected(rows: 513)
    let frame = frame(2, rows: 513)
    for byte in frame { try #require(connection.send([byte]) == 1) }
    try expectAnswer(connection, 2, rows: 513)
    connection.send(self.frame(3, rows: 513))
    try expectAnswer(connection, 3, rows: 513)
  }

  /// A further call waits in its rows until an answer makes room for it, and so does the end of its body that
  /// is no whole block of 64 bytes.
  @Test(arguments: [512, 513]) func aBodyThatIsWholeWaitsForItsTurn(rows: Int) throws {
    let gate = Gate()
    let server = try Self.server(gate) { $0.limits.callsInFlight = 2 }
    gate.open()
    let connection = try connected(to: server, rows: rows)
    gate.close()
    connection.send(frame(2, rows: rows))
    #expect(gate.holds(1))
    connection.send(frame(3, rows: rows))
    #expect(try server.hasQueued(1))
    let whole = frame(4, rows: rows)
    let before = copied(server)
    let body = bodyOffset(whole)
    try deliver(whole[..<body], connection, to: server)
    try deliver(whole[body...], connection, to: server)
    let tail = 16 * rows % 64
    #expect(try server.queued() == 1 && waitUntil(seconds: 60) { copied(server) == before + tail })
    connection.send(frame(5, rows: rows))
    gate.open()
    for id in 2...5 as ClosedRange<UInt64> { try expectAnswer(connection, id, rows: rows) }
    #expect(copied(server) - before <= tail + 16 * rows, "of the last one at most")
  }

  // MARK: Ends

  @Test func connectionsThatEndInMidBodyLeaveNothing() throws {
    let whole = frame(2)
    let body = bodyOffset(whole)
    for step in 0..<200 {
      let connection = try connected()
      let sent = whole[..<(body + step * 61 % 12_000)]
      if step % 4 == 0 { try deliver(sent, connection) } else { connection.send(Array(sent)) }
      if step % 3 == 0 { connection.endSending() }
      connection.close()
    }
    expectNoConnections()
    try expectStraightReception("after 200 that ended")
  }

  @Test func connectionsThatAreResetInMidBodyLeaveNothing() throws {
    let gate = Gate()
    let server = try Self.server(gate) { $0.listen.append(try Address("tcp://127.0.0.1:0")) }
    gate.open()
    let address = try #require(server.server.addresses.last).description
    let whole = frame(2)
    for step in 0..<200 {
      let connection = try connected(to: server, address)
      connection.send(Array(whole[..<(bodyOffset(whole) + step * 61 % 12_000)]))
      connection.reset()
    }
    expectNoConnections(server, over: .tcp)
    try expectStraightReception(of: server, "after 200 resets")
  }

  /// Answers of calls that wait are owed to a client that has ended its sending side in mid-body.
  @Test func aClientThatEndsInMidBodyGetsTheAnswersBefore() throws {
    let connection = try connected()
    gate.close()
    connection.send(frame(2))
    #expect(gate.holds(1))
    try deliver(frame(3)[..<4096], connection)
    connection.endSending()
    gate.open()
    try expectAnswer(connection, 2)
    #expect(try connection.answer(within: 60) == nil)
    expectNoConnections()
    try expectStraightReception("after an end")
  }

  @Test func aBodyThatDoesNotGoOnTimesOut() throws {
    let gate = Gate()
    let server = try Self.server(gate) { $0.limits.frameTimeoutNanoseconds = 3_000_000_000 }
    gate.open()
    let connections = try (0..<3).map { _ in
      let connection = try connected(to: server)
      try deliver(frame(2)[..<4096], connection, to: server)
      return connection
    }
    for connection in connections {
      #expect(try connection.answer(within: 60)?.status?.reason == "FRAME_TIMEOUT")
      #expect(try connection.answer(within: 60) == nil)
    }
    expectNoConnections(server)
    try expectStraightReception(of: server, "after three time-outs")
  }

  /// Rows are given back in their order: one that is never whole would keep all of them.
  @Test func aBodyThatDoesNotGoOnKeepsNoRowsFromOthers() throws {
    let stalled = try connected()
    let whole = frame(9)
    try deliver(whole[..<4096], stalled)
    let busy = try connected()
    for id in 2...12 as ClosedRange<UInt64> {
      busy.send(frame(id))
      try expectAnswer(busy, id)
    }
    try expectStraightReception("behind a body that stays")
    stalled.send(Array(whole[4096...]))
    try expectAnswer(stalled, 9, "the body that stayed")
  }

  // MARK: Refusals

  /// - Parameter place: in the padding of the frame: behind the metadata, or behind the body.
  @Test(arguments: [true, false], [true, false])
  func paddingBehindSuchABodyMustBeZero(isAtEnd: Bool, awaitsAnswer: Bool) throws {
    let connection = try connected(rows: 513)
    if awaitsAnswer {
      gate.close()
      connection.send(frame(2, rows: 513))
      #expect(gate.holds(1))
    }
    var frame = frame(3, rows: 513)
    let body = bodyOffset(frame)
    let place = isAtEnd ? frame.count - 1 : body - 1
    try #require(frame[place] == 0)
    frame[place] = 1
    let before = copied()
    try deliver(frame[..<(body + 64)], connection)
    #expect(waitUntil(seconds: 60) { copied() == before + 64 })
    connection.send(Array(frame[(body + 64)...]))
    if awaitsAnswer {
      gate.open()
      try expectAnswer(connection, 2, rows: 513)
    }
    let status = try #require(try connection.answer(within: 60)?.status)
    #expect(status.reason == "PADDING_NOT_ZERO")
    #expect(try connection.answer(within: 60) == nil)
  }

  /// The same numbers go to the version that is served when they are whole.
  @Test func aModelThatIsReplacedInMidBodyAnswersByTheNewVersion() throws {
    let connection = try connected()
    let later = Gate()
    let whole = frame(2)
    try deliver(whole[..<4096], connection)
    let model = try GatedModel.model("gated", version: 2, later, batchMaximum: 4096)
    later.open()
    server.server.fleet.install(Catalog([model], slots: nil, generation: 1))
    connection.send(Array(whole[4096...]))
    let answer = try #require(try connection.answer(within: 60))
    #expect(try answer.probabilities == Self.input(2, rows: Self.rows) && answer.version() == 2)
    #expect(later.runs.joined().count == Self.rows)
    #expect(waitUntil(seconds: 60) { server.server.fleet.isAdopted(1) })
  }

  /// - Parameter isThere: whether there is one of another shape; it is gone otherwise.
  @Test(arguments: [true, false]) func aModelOfAnotherShapeRefusesTheBody(isThere: Bool) throws {
    let connection = try connected()
    let whole = frame(2)
    try deliver(whole[..<4096], connection)
    let classifier = try WorkerAnswerTests.classifier(inputs: 8, outputs: 4)
    let other = try GatedModel.slow(isThere ? "gated" : "other", version: 2, classifier)
    server.server.fleet.install(Catalog([other], slots: nil, generation: 1))
    connection.send(Array(whole[4096...]) + GatedModel.call(3, "gated", 3))
    for id in 2...3 as ClosedRange<UInt64> {
      let answer = try #require(try connection.answer(within: 60))
      let status = try #require(answer.status)
      #expect(answer.id == id && (status.reason == "SHAPE_MISMATCH") == isThere, "\(status)")
    }
  }
}
