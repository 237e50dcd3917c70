import ApusAccess
import ApusBase
import ApusModels
import ApusWire
import Glibc
import Testing

@testable import ApusServer

/// Which of the calls that wait goes next, by calls over real sockets.
@Suite(.timeLimit(.minutes(15))) struct WaitingOrderTests {
  // MARK: Batches of one version at one time

  /// Where a version allows one batch at one time its second call waits though a worker is free, and another
  /// model's call does not wait behind it.
  @Test func aVersionIsComputedNoMoreOftenAtOneTimeThanItAllows() throws {
    let bound = Gate()
    let free = Gate()
    let models = try [
      GatedModel.model("bound", bound) { $0.concurrency = 1 }, GatedModel.model("free", free),
    ]
    let server = try GatedModel.server(models) { $0.workers = 2 }
    free.open()
    let connections = try (0..<3).map { _ in try RawConnection(server.address) }
    connections[0].send(GatedModel.call(1, "bound", 1))
    #expect(bound.holds(1))
    connections[1].send(GatedModel.call(2, "bound", 2))
    #expect(try server.hasQueued(1))
    for id in UInt64(3)...6 {
      connections[2].send(GatedModel.call(id, "free", Float(id)))
      #expect(try connections[2].answer(within: 60)?.probabilities == GatedModel.row(Float(id)))
    }
    #expect(bound.runs == [[1]] && bound.inside == 1, "the second one still waits")
    bound.pass(1)
    #expect(try connections[0].answer(within: 60)?.id == 1)
    #expect(waitUntil(seconds: 60) { bound.runs == [[1], [2]] })
    bound.pass(1)
    #expect(try connections[1].answer(within: 60)?.id == 2)
    #expect(bound.mostInside == 1)
  }

  @Test func aVersionWithoutABoundIsComputedByAllWorkers() throws {
    let gate = Gate()
    let server = try GatedModel.server([GatedModel.model("gated", gate)]) { $0.workers = 3 }
    let connections = try GatedModel.callers(4, server)
    #expect(gate.holds(3))
    #expect(try server.hasQueued(1))
    gate.open()
    for (place, connection) in zip(1..., connections) {
      #expect(try connection.answer(within: 60)?.probabilities == GatedModel.row(Float(place)))
    }
    #expect(gate.mostInside == 3)
  }

  // MARK: Priorities

  /// What a caller of batch work has sent first is answered behind interactive calls that came later: by the
  /// calls' own word.
  @Test func interactiveCallsOvertakeBatchWork() throws {
    let gate = Gate()
    let server = try GatedModel.server([GatedModel.model("gated", gate)])
    let batch = try holding(gate, server)
    for place in 1...3 {
      batch.send(GatedModel.call(UInt64(place), "gated", Float(place)) { $0.priority = .batch })
    }
    #expect(try server.hasQueued(3))
    let interactive = try RawConnection(server.address)
    interactive.send(GatedModel.call(11, "gated", 11))
    interactive.send(GatedModel.call(12, "gated", 12) { $0.priority = .interactive })
    #expect(try server.hasQueued(5))
    gate.open()
    for id in [11, 12] as [UInt64] { #expect(try interactive.answer(within: 60)?.id == id) }
    for id in [100, 1, 2, 3] as [UInt64] { #expect(try batch.answer(within: 60)?.id == id) }
    #expect(gate.runs.map { $0[0] } == [100, 11, 12, 1, 2, 3])
  }

  /// Between models as within one.
  @Test func interactiveCallsOvertakeBatchWorkOfAnotherModel() throws {
    let gates = [Gate(), Gate()]
    let models = try zip(["first", "second"], gates).map { try GatedModel.model($0, $1) }
    let server = try GatedModel.server(models)
    let batch = try holding(gates[0], server, "first")
    batch.send(GatedModel.call(1, "first", 1) { $0.priority = .batch })
    #expect(try server.hasQueued(1))
    let interactive = try RawConnection(server.address)
    interactive.send(GatedModel.call(2, "second", 2))
    #expect(try server.hasQueued(2))
    gates[0].pass(1)
    #expect(gates[1].holds(1))
    #expect(gates[0].runs == [[100]])
    for gate in gates { gate.open() }
    #expect(try interactive.answer(within: 60)?.id == 2)
    for id in [100, 1] as [UInt64] { #expect(try batch.answer(within: 60)?.id == id) }
  }

  /// By the policy, whatever the caller's calls say of themselves.
  @Test func aPolicyMakesACallersCallsBatchWork() throws {
    let policy = """
      identities:
        token:nightly: {models: ["*"], methods: [classify], priority: batch}
        uid:\(getuid()): {models: ["*"], methods: [classify]}
      tokens:
        nightly: {hash: "\(Self.hash("secret"))"}
      """
    let gate = Gate()
    let server = try GatedModel.server([GatedModel.model("gated", gate)]) {
      $0.access = AccessControl(try Policy(yaml: policy, source: "test"))
    }
    let interactive = try holding(gate, server)
    let batch = try RawConnection(server.address)
    var hello = HelloRequest(client: "test")
    hello.token = Array("secret".utf8)
    let greeting = frame(0, .hello) { hello.encode(into: $0, arena: $1) }
    batch.send(greeting)
    #expect(try batch.answer(within: 60)?.status == nil)
    batch.send(GatedModel.call(1, "gated", 1) { $0.priority = .interactive })
    batch.send(GatedModel.call(2, "gated", 2))
    #expect(try server.hasQueued(2))
    interactive.send(GatedModel.call(11, "gated", 11))
    #expect(try server.hasQueued(3))
    gate.open()
    for id in [100, 11] as [UInt64] { #expect(try interactive.answer(within: 60)?.id == id) }
    for id in [1, 2] as [UInt64] { #expect(try batch.answer(within: 60)?.id == id) }
    #expect(gate.runs.map { $0[0] } == [100, 11, 1, 2])
  }

  private static func hash(_ token: String) -> String {
    var token = token
    let hash = token.withUTF8 { Policy.hash(ofToken: UnsafeRawBufferPointer($0)) }
    let digits = hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    return "sha256:" + digits
  }

  /// A connection whose call the only worker has, of id 100.
  private func holding(_ gate: Gate, _ server: MetricsServer, _ model: String = "gated") throws
    -> RawConnection
  {
    let connection = try RawConnection(server.address)
    connection.send(GatedModel.call(100, model, 100))
    #expect(gate.holds(1))
    return connection
  }
}
