import ApusBase
import ApusServer
import ApusWire
import Testing

/// Frames that must wait until the calls before them are answered are not lost.
@Suite(.timeLimit(.minutes(15))) struct WaitingFrameTests {
  /// Over half a ring.
  private static let rows = 16_384
  private let gate = Gate()
  private let server: MetricsServer
  private let connection: RawConnection

  /// Two calls may be in flight.
  init() throws {
    server = try GatedModel.server([GatedModel.model("gated", gate, batchMaximum: Self.rows)]) {
      $0.limits.callsInFlight = 2
    }
    connection = try RawConnection(server.address)
  }

  private static let input = (0..<rows).flatMap { GatedModel.row(Float($0)) }

  private func large(_ id: UInt64) -> [UInt8] { classifyFrame(id, "gated", Self.input, rows: Self.rows) }

  private func holdCall(_ id: UInt64) {
    connection.send(GatedModel.call(id, "gated", Float(id)))
    #expect(gate.holds(1))
  }

  private func expectAnswer(_ id: UInt64) throws {
    let answer = try #require(try connection.answer(within: 60))
    #expect(answer.id == id && answer.probabilities == GatedModel.row(Float(id)))
  }

  private func expectEnd(_ reason: String) throws {
    let status = try #require(try connection.answer(within: 60)?.status)
    #expect(status.reason == reason)
    #expect(try connection.answer(within: 60) == nil)
    #expect(waitUntil(seconds: 60) { server.server.memory.heldBytes == 0 })
  }

  private func hasReceived(_ byteCount: Int) throws -> Bool {
    try waitUntil(seconds: 60) {
      try server.metrics().number("apus_received_bytes_total", ["transport": "unix"]) == UInt64(byteCount)
    }
  }

  /// As many calls as may be in flight, and a large one, 3, which waits.
  private func sendLargeBehindTwo() throws {
    holdCall(1)
    let second = GatedModel.call(2, "gated", 2)
    let large = large(3)
    connection.send(second)
    connection.send(large)
    #expect(try hasReceived(2 * second.count + large.count))
  }

  @Test func aLargeCallWaitsForItsTurn() throws {
    try sendLargeBehindTwo()
    connection.send(GatedModel.call(4, "gated", 4))
    gate.open()
    try expectAnswer(1)
    try expectAnswer(2)
    let answer = try #require(try connection.answer(within: 60))
    #expect(answer.id == 3 && answer.probabilities == Self.input)
    try expectAnswer(4)
    #expect(waitUntil(seconds: 60) { server.server.memory.heldBytes == 0 })
    #expect(try server.metrics().number("apus_memory_bytes", ["pool": "large_frames"]) == 0)
  }

  /// A client that goes away meanwhile leaves nothing.
  @Test func aLargeCallThatWaitsEndsWithItsConnection() throws {
    try sendLargeBehindTwo()
    #expect(server.server.memory.heldBytes > 0)
    connection.close()
    #expect(waitUntil(seconds: 60) { server.server.memory.heldBytes == 0 })
    #expect(try server.metrics().number("apus_memory_bytes", ["pool": "large_frames"]) == 0)
    gate.open()
  }

  @Test func paddingBehindALargeBodyMustBeZeroWhileACallWaits() throws {
    var large = classifyFrame(2, "gated", Self.input + [1, 2, 3, 4], rows: Self.rows + 1)
    large[large.count - 1] = 1
    holdCall(1)
    connection.send(large)
    #expect(try hasReceived(GatedModel.call(1, "gated", 1).count + large.count))
    gate.open()
    try expectAnswer(1)
    try expectEnd("PADDING_NOT_ZERO")
  }

  /// The id is free by the time that the server looks again.
  @Test(arguments: [true, false]) func anIDThatIsUsedTwiceEndsTheConnectionOnceItIsAnswered(
    isLarge: Bool
  ) throws {
    holdCall(1)
    let again = isLarge ? large(1) : GatedModel.call(1, "gated", 9)
    connection.send(again)
    #expect(try hasReceived(GatedModel.call(1, "gated", 1).count + again.count))
    gate.open()
    try expectAnswer(1)
    try expectEnd("REQUEST_ID_REUSED")
  }
}
