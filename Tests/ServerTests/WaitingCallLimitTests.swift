import ApusAccess
import ApusBase
import ApusWire
import Glibc
import Testing

@testable import ApusServer

/// Calls that wait count among those that a caller may have in flight, until they have ended in whatever way.
@Suite(.timeLimit(.minutes(15))) struct WaitingCallLimitTests {
  private let gate = Gate()
  private let server: MetricsServer

  /// Two calls may be in flight.
  init() throws {
    let policy = "identities:\n  uid:\(getuid()): {models: [\"*\"], methods: [classify], max_in_flight: 2}\n"
    server = try GatedModel.server([GatedModel.model("gated", gate), MetricsServer.model("quick")]) {
      $0.access = AccessControl(try Policy(yaml: policy, source: "test"))
    }
  }

  /// A connection whose call waits, or is computed.
  private func waiting(_ id: UInt64, milliseconds: UInt64 = 0) throws -> RawConnection {
    let connection = try RawConnection(server.address)
    let before = try server.inFlight()
    connection.send(
      GatedModel.call(id, "gated", Float(id)) { $0.timeoutNanoseconds = milliseconds * 1_000_000 })
    #expect(try waitUntil(seconds: 60) { try server.inFlight() == before + 1 })
    return connection
  }

  private func hasConnections(_ count: UInt64) throws -> Bool {
    try waitUntil(seconds: 60) {
      try server.metrics().number("apus_open_connections", ["transport": "unix"]) == count
    }
  }

  /// Whether a further call is refused, as there are two in flight.
  private func isFull() throws -> Bool {
    let connection = try RawConnection(server.address)
    connection.send(classifyFrame(1, "quick", [1, 2, 3, 4]))
    let answer = try #require(try connection.answer(within: 60))
    if let status = answer.status {
      #expect(status.code == .resourceExhausted && status.reason == "IN_FLIGHT_LIMIT")
    }
    return answer.status != nil
  }

  @Test func aCancelledCallCountsNoLonger() throws {
    let first = try waiting(1)
    #expect(gate.holds(1))
    #expect(try !isFull())
    let second = try waiting(2)
    #expect(try isFull())
    second.send(headerFrame(2) { $0.kind = FrameKind.cancel.rawValue })
    #expect(try second.answer(within: 60)?.status?.code == .cancelled)
    #expect(try !isFull())
    let third = try waiting(3)
    #expect(try isFull())
    gate.open()
    #expect(try first.answer(within: 60)?.probabilities == GatedModel.row(1))
    #expect(try third.answer(within: 60)?.probabilities == GatedModel.row(3))
    #expect(try !isFull(), "answered calls count no longer")
    #expect(gate.runs == [[1], [3]])
  }

  @Test func aCallWhoseTimeIsOverCountsNoLonger() throws {
    let first = try waiting(1)
    #expect(gate.holds(1))
    let late = try waiting(2, milliseconds: 5000)
    #expect(try isFull())
    #expect(try late.answer(within: 60)?.status?.reason == "DEADLINE_EXCEEDED")
    #expect(try !isFull())
    gate.open()
    #expect(try first.answer(within: 60)?.id == 1)
    #expect(gate.runs == [[1]])
  }

  /// What is being computed for a client that is gone counts until it is back.
  @Test func callsOfAClientThatIsGoneCountNoLonger() throws {
    let first = try waiting(1)
    #expect(gate.holds(1))
    let second = try waiting(2)
    #expect(try isFull())
    second.close()
    #expect(try waitUntil(seconds: 60) { try server.inFlight() == 1 })
    #expect(try !isFull())
    let third = try waiting(3)
    #expect(try hasConnections(2))
    first.close()
    #expect(try hasConnections(1))
    #expect(try isFull(), "it is still computed")
    gate.open()
    #expect(try third.answer(within: 60)?.probabilities == GatedModel.row(3))
    #expect(try server.isIdle())
    #expect(try !isFull())
  }

  /// Those of one connection that come together, of which some may not.
  @Test func callsThatComeTogetherCountUntilTheyAreAnswered() throws {
    let connection = try RawConnection(server.address)
    connection.send((1...4).flatMap { GatedModel.call(UInt64($0), "gated", Float($0)) })
    for id in [3, 4] as [UInt64] {
      let answer = try #require(try connection.answer(within: 60))
      #expect(answer.id == id && answer.status?.reason == "IN_FLIGHT_LIMIT")
    }
    #expect(try isFull())
    gate.pass(1)
    #expect(try connection.answer(within: 60)?.id == 1)
    #expect(try !isFull())
    gate.open()
    #expect(try connection.answer(within: 60)?.id == 2)
    #expect(try server.isIdle())
  }
}
