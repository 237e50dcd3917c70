import ApusBase
import ApusClient
import ApusModels
import ApusServer
import ApusWire
import Foundation
import Synchronization
import Testing

/// A server that ends while calls wait: what was sent before is answered within the drain's time, and what
/// does not come back keeps no server.
@Suite(.timeLimit(.minutes(15))) struct WaitingDrainTests {
  /// A drain on a thread of its own.
  private final class Drain: Sendable {
    private let ended = Atomic<Bool>(false)

    init(_ server: Server) {
      Foundation.Thread.detachNewThread { [self] in
        server.drain()
        ended.store(true, ordering: .releasing)
      }
    }

    var hasEnded: Bool { ended.load(ordering: .acquiring) }
    func ends() -> Bool { waitUntil(seconds: 60) { hasEnded } }
  }

  private func server(drainNanoseconds: UInt64, _ gate: Gate) throws -> MetricsServer {
    try GatedModel.server([GatedModel.model("gated", gate), MetricsServer.model("quick")]) {
      $0.limits.drainNanoseconds = drainNanoseconds
    }
  }

  @Test func callsThatWaitAreAnsweredBeforeTheServerEnds() throws {
    let gate = Gate()
    let server = try server(drainNanoseconds: 600_000_000_000, gate)
    let connections = try GatedModel.callers(3, server)
    let idle = try RawConnection(server.address)
    try server.exchange([classifyFrame(1, "quick", [1, 2, 3, 4])], idle)
    #expect(gate.holds(1))
    #expect(try server.hasQueued(2))
    let drain = Drain(server.server)
    for connection in connections { #expect(try connection.answer(within: 60)?.isGoaway == true) }
    #expect(try idle.answersUntilEnd(within: 60).map(\.isGoaway) == [true])
    #expect(!drain.hasEnded && gate.inside == 1)
    gate.open()
    for (place, connection) in zip(1..., connections) {
      let answers = try connection.answersUntilEnd(within: 60)
      #expect(answers.map(\.id) == [UInt64(place)])
      #expect(answers.first?.probabilities == GatedModel.row(Float(place)))
    }
    #expect(drain.ends())
  }

  /// A batch that waits for others waits for nobody when the server ends.
  @Test func aBatchThatIsNotFullIsComputedAtTheEnd() throws {
    let gate = Gate()
    let model = try GatedModel.model("gated", gate, batchMaximum: 8) {
      $0.maximumDelayNanoseconds = 600_000_000_000
    }
    let server = try GatedModel.server([model]) { $0.limits.drainNanoseconds = 10_000_000_000 }
    gate.open()
    let connection = try RawConnection(server.address)
    connection.send(GatedModel.call(1, "gated", 1))
    #expect(try server.hasQueued(1))
    let drain = Drain(server.server)
    let answers = try connection.answersUntilEnd(within: 60)
    #expect(answers.count { $0.isGoaway } == 1)
    #expect(answers.filter { !$0.isGoaway }.map(\.probabilities) == [GatedModel.row(1)])
    #expect(drain.ends())
  }

  /// What the worker writes to is there when it comes back after the server's end.
  @Test func aComputationThatDoesNotComeBackKeepsNoServer() throws {
    let gate = Gate()
    let server = try server(drainNanoseconds: 200_000_000, gate)
    let wedged = try RawConnection(server.address)
    wedged.send(GatedModel.call(1, "gated", 1) + GatedModel.call(2, "gated", 2))
    #expect(gate.holds(1))
    #expect(try server.hasQueued(1))
    let other = try RawConnection(server.address)
    other.send(classifyFrame(3, "quick", [1, 2, 3, 4]))
    let drain = Drain(server.server)
    let answers = try other.answersUntilEnd(within: 60)
    #expect(answers.count { !$0.isGoaway && $0.id == 3 } == 1 && answers.contains { $0.isGoaway })
    #expect(drain.ends())
    #expect(gate.inside == 1, "it is still at it")
    let left = try wedged.answersUntilEnd(within: 60)
    #expect(left.allSatisfy { $0.isGoaway })
    gate.open()
    #expect(waitUntil(seconds: 60) { gate.inside == 0 })
  }

  // MARK: Processes

  private func process(_ folder: ModelFolder, drainMilliseconds: Int) throws -> ServerProcess {
    let configuration = try folder.configuration(
      "limits:\n  drain_ms: \(drainMilliseconds)\n  queue_ms: 60000\n")
    return try ServerProcess(
      models: folder.path, arguments: ["--config", configuration, "--threads", "1", "--workers", "1"])
  }

  private let patience: UInt64 = 60_000_000_000

  @Test func aProcessAnswersWhatWaitsAndEndsWell() throws {
    let folder = try HeavyModel.folder(width: 1024)
    let server = try process(folder, drainMilliseconds: 600_000)
    let client = try SynchronousClient(server.unix)
    let connections = try (0..<3).map { _ in try RawConnection(server.unix) }
    for connection in connections {
      connection.send(HeavyModel.call(1, rows: 512))
      connection.send(HeavyModel.call(2, rows: 512))
    }
    // Each look is a request, too.
    var looks: UInt64 = 0
    let isWaiting = try waitUntil(seconds: 60) {
      looks += 1
      return try #require(client.stats("", timeoutNanoseconds: patience).server).requestsTotal >= 6 + looks
    }
    #expect(isWaiting)
    server.signal(SIGTERM)
    for connection in connections {
      let answers = try connection.answersUntilEnd(within: 120).filter { !$0.isGoaway }
      #expect(answers.map(\.id) == [1, 2] && answers.allSatisfy { $0.status == nil })
    }
    #expect(server.exitStatus(within: 60) == 0)
  }

  @Test func aProcessEndsWellWhileAWorkerComputes() throws {
    let folder = try HeavyModel.folder(width: 4096)
      .copy("torch/digits_mlp/digits_mlp.pth", to: "digits/1/model.pth")
    let server = try process(folder, drainMilliseconds: 200)
    let client = try SynchronousClient(server.unix)
    let wedged = try RawConnection(server.unix)
    let call = HeavyModel.call(1, rows: 65_536)
    #expect(wedged.send(call) == call.count)
    let isComputed = try waitUntil(seconds: 60) {
      let stats = try #require(client.stats("", timeoutNanoseconds: patience).server)
      return stats.load > 0 && stats.queuedCalls == 0
    }
    #expect(isComputed)
    let other = try RawConnection(server.unix)
    other.send(classifyFrame(2, "digits", [Float](repeating: 1, count: 64)))
    #expect(try other.answer(within: 60)?.status == nil)
    server.signal(SIGTERM)
    #expect(try other.answersUntilEnd(within: 60).map(\.isGoaway) == [true])
    #expect(server.exitStatus(within: 60) == 0)
    #expect(try wedged.answersUntilEnd(within: 60).map(\.isGoaway) == [true], "it was still computed")
  }
}
