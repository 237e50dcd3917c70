import ApusBase
import ApusWire
import Testing

@testable import ApusServer

/// No more calls wait than may: the others are told at once, and those that wait are answered.
@Suite(.timeLimit(.minutes(15))) struct QueueLimitTests {
  @Test func callsBeyondThePlacesAreRefusedAndTheOthersAnswered() throws {
    let gate = Gate()
    let server = try GatedModel.server([GatedModel.model("gated", gate)]) {
      $0.limits.queuedCalls = 4
    }
    // Each of its own connection, which may have as many as there are places left.
    let waiting = try (1...4).map { place in
      let connection = try RawConnection(server.address)
      connection.send(GatedModel.call(UInt64(place), "gated", Float(place)))
      #expect(try waitUntil(seconds: 60) { try server.inFlight() == UInt64(place) })
      return connection
    }
    #expect(gate.holds(1))
    let beyond = try RawConnection(server.address)
    for id in UInt64(1)...3 {
      beyond.send(GatedModel.call(id, "gated", 9))
      let answer = try #require(try beyond.answer(within: 60))
      #expect(answer.id == id && answer.status?.code == .resourceExhausted)
      #expect(answer.status?.reason == "QUEUE_FULL" && answer.status?.retryAfterNanoseconds ?? 0 > 0)
    }
    #expect(try server.refusals("QUEUE_FULL") == 3)
    #expect(try server.inFlight() == 4, "the refused ones hold no place")
    gate.open()
    for (place, connection) in zip(1..., waiting) {
      let answer = try #require(try connection.answer(within: 60))
      #expect(answer.id == UInt64(place) && answer.probabilities == GatedModel.row(Float(place)))
    }
    beyond.send(GatedModel.call(4, "gated", 4))
    #expect(try beyond.answer(within: 60)?.probabilities == GatedModel.row(4))
    #expect(try server.refusals("QUEUE_FULL") == 3)
    #expect(!gate.runs.contains([9]), "what is refused is not computed")
  }

  /// One connection takes half of the places at most, and the other half is there for others.
  @Test func aConnectionLeavesPlacesForOthers() throws {
    let gate = Gate()
    let server = try GatedModel.server([GatedModel.model("gated", gate)]) {
      $0.limits.queuedCalls = 8
    }
    let greedy = try RawConnection(server.address)
    greedy.send((1...8).flatMap { GatedModel.call(UInt64($0), "gated", Float($0)) })
    for id in UInt64(5)...8 {
      let answer = try #require(try greedy.answer(within: 60))
      #expect(answer.id == id && answer.status?.reason == "QUEUE_FULL")
    }
    let other = try RawConnection(server.address)
    other.send(GatedModel.call(1, "gated", 11) + GatedModel.call(2, "gated", 12))
    #expect(try waitUntil(seconds: 60) { try server.inFlight() == 6 })
    gate.open()
    var answered: Set<UInt64> = []
    for _ in 1...4 {
      let answer = try #require(try greedy.answer(within: 60))
      #expect(answer.probabilities == GatedModel.row(Float(answer.id)))
      answered.insert(answer.id)
    }
    #expect(answered == [1, 2, 3, 4])
    for _ in 1...2 {
      let answer = try #require(try other.answer(within: 60))
      #expect(answer.probabilities == GatedModel.row(Float(10 + answer.id)))
    }
    #expect(try server.refusals("QUEUE_FULL") == 4)
  }

  /// A flood that fills the time for which calls may wait does so for itself: another connection's call is
  /// let in, and is next.
  @Test func aFloodKeepsNobodyElseOut() throws {
    let gate = Gate()
    // A call is thought to take 100 ms.
    let server = try GatedModel.server([GatedModel.model("gated", gate)]) {
      $0.limits.queueNanoseconds = 1_000_000_000
    }
    let flood = try RawConnection(server.address)
    flood.send((1...40).flatMap { GatedModel.call(UInt64($0), "gated", Float($0)) })
    #expect(gate.holds(1))
    #expect(try waitUntil(seconds: 60) { try server.inFlight() + server.refusals("OVERLOADED") == 40 })
    let waiting = try server.queued()
    #expect(waiting >= 8 && waiting <= 11)
    let other = try RawConnection(server.address)
    other.send(GatedModel.call(1, "gated", 100))
    #expect(try server.hasQueued(waiting + 1))
    flood.send(GatedModel.call(41, "gated", 41))
    var refused: [UInt64] = []
    while refused.last != 41 {
      let answer = try #require(try flood.answer(within: 60))
      #expect(answer.status?.reason == "OVERLOADED" && answer.status?.retryAfterNanoseconds ?? 0 > 0)
      refused.append(answer.id)
    }
    #expect(refused.count == 40 - Int(waiting))
    gate.open()
    #expect(try other.answer(within: 60)?.probabilities == GatedModel.row(100))
    for _ in 0...waiting { #expect(try flood.answer(within: 60)?.status == nil) }
    #expect(gate.runs.count == Int(waiting) + 2 && gate.runs[1] == [100])
  }
}
