import ApusBase
import ApusEngine
import ApusWire
import Testing

@testable import ApusServer

/// A version that is replaced while its calls wait: they are answered by it, and its memory goes with the
/// last of them.
@Suite(.timeLimit(.minutes(15))) struct WaitingVersionTests {
  private func loaded(_ server: MetricsServer) throws -> LoadedModel {
    try #require(server.server.fleet.catalog.models[0].loaded)
  }

  @Test func callsThatWaitAreAnsweredByTheVersionTheyCameTo() throws {
    let gate = Gate()
    let later = Gate()
    let server = try GatedModel.server([GatedModel.model("gated", gate)])
    weak let old = try loaded(server)
    try #require(old != nil)
    let connections = try GatedModel.callers(3, server)
    #expect(gate.holds(1))
    #expect(try server.hasQueued(2))

    server.server.fleet.install(
      Catalog([try GatedModel.model("gated", version: 2, later)], slots: nil, generation: 1))
    let other = try RawConnection(server.address)
    other.send(GatedModel.call(4, "gated", 4))
    #expect(try server.hasQueued(3))
    #expect(!server.server.fleet.isAdopted(1), "calls of the old version wait")
    #expect(old != nil)
    gate.open()
    for (place, connection) in zip(1..., connections) {
      let answer = try #require(try connection.answer(within: 60))
      #expect(answer.probabilities == GatedModel.row(Float(place)))
      #expect(try answer.version() == 1)
    }
    #expect(later.holds(1))
    #expect(later.runs == [[4]] && Set(gate.runs.joined()) == [1, 2, 3])
    #expect(waitUntil(seconds: 60) { server.server.fleet.isAdopted(1) })
    #expect(waitUntil(seconds: 60) { old == nil }, "nobody holds what nobody calls")
    later.open()
    let answer = try #require(try other.answer(within: 60))
    #expect(try answer.probabilities == GatedModel.row(4) && answer.version() == 2)
  }

  /// Calls that will never be answered hold their version no longer either.
  @Test(arguments: [true, false]) func callsThatGoAwayLetGoOfTheirVersion(areCancelled: Bool) throws {
    let gate = Gate()
    let server = try GatedModel.server([GatedModel.model("gated", gate), GatedModel.model("other", Gate())])
    weak let old = try loaded(server)
    let held = try RawConnection(server.address)
    held.send(GatedModel.call(1, "gated", 1))
    #expect(gate.holds(1))
    let gone = try RawConnection(server.address)
    gone.send(GatedModel.call(2, "gated", 2))
    #expect(try server.hasQueued(1))
    server.server.fleet.install(Catalog([try GatedModel.model("other", Gate())], generation: 1))
    if areCancelled {
      gone.send(headerFrame(2) { $0.kind = FrameKind.cancel.rawValue })
      #expect(try gone.answer(within: 60)?.status?.code == .cancelled)
      held.send(headerFrame(1) { $0.kind = FrameKind.cancel.rawValue })
    } else {
      gone.close()
      held.close()
    }
    #expect(try server.hasQueued(0))
    #expect(old != nil, "it is still computed")
    gate.open()
    if areCancelled { #expect(try held.answer(within: 60)?.id == 1) }
    #expect(waitUntil(seconds: 60) { server.server.fleet.isAdopted(1) })
    #expect(waitUntil(seconds: 60) { old == nil })
    #expect(gate.runs == [[1]])
  }
}

extension RawConnection.Answer {
  /// The version that answered.
  func version() throws -> UInt64 {
    try metadata.withUnsafeBytes {
      try ClassifyResponse(
        decoding: $0, bodyBytes: body.count, arena: MetadataArena(byteCount: 64 << 10)
      ).form.version
    }
  }
}
