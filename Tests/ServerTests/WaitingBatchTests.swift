import ApusBase
import ApusClient
import ApusEngine
import ApusModels
import ApusWire
import Foundation
import Testing

@testable import ApusServer

/// Calls of several connections that are computed together are answered as each by itself, and counted as
/// one batch.
@Suite(.timeLimit(.minutes(15))) struct WaitingBatchTests {
  private let patience: UInt64 = 60_000_000_000

  /// Batches of a model by their rows.
  private func batches(_ address: String, _ model: String) throws -> [BatchCount] {
    try #require(try SynchronousClient(address).stats(model, timeoutNanoseconds: patience).models.first)
      .batches
  }

  /// What has come while a worker was busy is one batch, as far as a model's batches may be.
  @Test func callsThatWaitBecomeBatchesOfTheMostRows() throws {
    let gate = Gate()
    let server = try GatedModel.server([GatedModel.model("gated", gate, batchMaximum: 8)]) { $0.threads = 2 }
    let holder = try RawConnection(server.address)
    holder.send(GatedModel.call(100, "gated", 100))
    #expect(gate.holds(1))
    let connections = try GatedModel.callers(12, server)
    #expect(try server.hasQueued(12))
    gate.open()
    for (place, connection) in zip(1..., connections) {
      let answer = try #require(try connection.answer(within: 60))
      #expect(answer.id == UInt64(place) && answer.probabilities == GatedModel.row(Float(place)))
    }
    #expect(try holder.answer(within: 60)?.probabilities == GatedModel.row(100))
    #expect(gate.runs.map(\.count) == [1, 8, 4])
    #expect(Set(gate.runs.joined()) == Set((1...12).map { Float($0) } + [100]))
    #expect(
      try batches(server.address, "gated") == [
        BatchCount(rows: 1, count: 1), BatchCount(rows: 4, count: 1), BatchCount(rows: 8, count: 1),
      ])
  }

  /// Calls of several rows are put together as they fit, and never torn apart.
  @Test func callsOfSeveralRowsStayWhole() throws {
    let gate = Gate()
    let server = try GatedModel.server([GatedModel.model("gated", gate, batchMaximum: 8)])
    let holder = try RawConnection(server.address)
    holder.send(GatedModel.call(100, "gated", 100))
    #expect(gate.holds(1))
    let connection = try RawConnection(server.address)
    let sizes = [3, 5, 8, 2, 7, 1]
    var inputs: [UInt64: [Float]] = [:]
    for (id, rows) in zip(UInt64(1)..., sizes) {
      let input = (0..<rows).flatMap { GatedModel.row(Float(id * 10) + Float($0)) }
      inputs[id] = input
      connection.send(classifyFrame(id, "gated", input, rows: rows))
    }
    #expect(try server.hasQueued(6))
    gate.open()
    while !inputs.isEmpty {
      let answer = try #require(try connection.answer(within: 60))
      let input = inputs.removeValue(forKey: answer.id)
      #expect(answer.status == nil && answer.probabilities == input, "call \(answer.id)")
    }
    #expect(gate.runs.map(\.count) == [1, 8, 8, 2, 8])
  }

  /// Asks for each row over a connection of its own.
  private func answers(
    alone rows: [[Float]], _ model: String, _ address: String
  ) throws -> (connections: [RawConnection], answers: [[Float]]) {
    let connections = try rows.map { row in
      let connection = try RawConnection(address)
      connection.send(classifyFrame(1, model, row))
      return connection
    }
    return (connections, try connections.map { try #require(try $0.answer(within: 60)).probabilities })
  }

  /// Takes the answers to calls of the id 2.
  private func expect(
    _ connections: [RawConnection], toAnswer expected: [[Float]], classes: Int, within tolerance: Float
  ) throws {
    for (place, connection) in connections.enumerated() {
      let answer = try #require(try connection.answer(within: 60))
      let worst = zip(answer.probabilities, expected[place]).map { abs($0 - $1) }.max()
      #expect(
        answer.id == 2 && answer.probabilities.count == classes && worst! < tolerance, "call \(place)")
    }
  }

  /// A batch is computed when it is full, long before its delay is over: by a worker, or by the reactor where
  /// calls are quick.
  @Test(arguments: ["slow", "quick"]) func aDelayFillsABatch(_ name: String) throws {
    let classifier = try WorkerAnswerTests.classifier(inputs: 32, outputs: 5)
    let plan = try Plan(classifier, planning: .fixed(.sgemm))
    try #require(plan.nanosecondsPerRow.inBlock * 1.05 < plan.nanosecondsPerRow.single)
    let schedule = { (schedule: inout ModelSchedule) in
      schedule.maximumDelayNanoseconds = 3_600_000_000_000
    }
    let patient =
      name == "slow"
      ? try GatedModel.slow("patient", classifier, batchMaximum: 16, schedule)
      : GatedModel.served("patient", classifier, plan, batchMaximum: 16, schedule)
    let server = try GatedModel.server([patient, GatedModel.served("alone", classifier, plan)])
    var random = Xorshift(seed: 3)
    let rows = (0..<16).map { _ in (0..<32).map { _ in Float(random.next(in: -300...300)) / 100 } }
    let (connections, expected) = try answers(alone: rows, "alone", server.address)
    try #require(Set(expected).count == 16)
    for (row, connection) in zip(rows, connections).dropLast() {
      connection.send(classifyFrame(2, "patient", row))
    }
    #expect(try server.hasQueued(15), "they wait for one more")
    connections[15].send(classifyFrame(2, "patient", rows[15]))
    try expect(connections, toAnswer: expected, classes: 5, within: 1e-6)
    #expect(try batches(server.address, "patient") == [BatchCount(rows: 16, count: 1)])
  }

  /// As `model.yaml` says it, in a process.
  @Test func aModelsFileSaysHowItsBatchesComeAbout() throws {
    let folder = try ModelFolder()
    for name in ["digits", "patient"] {
      try folder.copy("torch/digits_mlp/digits_mlp.pth", to: "\(name)/1/model.pth")
    }
    try folder.write("patient/1/model.yaml", Data("batch: {max: 4, max_delay_us: 10000000}\n".utf8))
    let server = try ServerProcess(models: folder.path, arguments: ["--threads", "1"])
    let rows = (0..<4).map { place in (0..<64).map { Float(($0 * (place + 3)) % 17) } }
    let (connections, expected) = try answers(alone: rows, "digits", server.unix)
    for (row, connection) in zip(rows, connections) { connection.send(classifyFrame(2, "patient", row)) }
    try expect(connections, toAnswer: expected, classes: 10, within: 1e-5)
    #expect(try batches(server.unix, "patient") == [BatchCount(rows: 4, count: 1)])
  }

  /// A call of HTTP, as the gateway makes it, and one of RPC.
  @Test func callsOfHTTPAndRPCAreOneBatch() throws {
    let gate = Gate()
    let model = try GatedModel.model("gated", gate, batchMaximum: 2) {
      $0.maximumDelayNanoseconds = 3_600_000_000_000
    }
    let server = try GatedModel.server([model]) { $0.localServices = 1 }
    gate.open()
    let service = try #require(server.server.localServices.first)
    let caller = try service.identify(token: nil)
    let call = LocalCall(values: GatedModel.row(1), rows: 1, begun: .now, received: .now)
    let isBack = Monitor(false)
    let progress = try service.begin(call, with: service.find("gated"), by: caller, of: Flow()) {
      {
        isBack.withLock { $0 = true }
        isBack.notifyAll()
      }
    }
    guard case .waiting(let waiting) = progress else {
      Issue.record("it does not wait")
      return
    }
    #expect(try server.hasQueued(1))
    let connection = try RawConnection(server.address)
    connection.send(GatedModel.call(2, "gated", 2))
    #expect(try connection.answer(within: 60)?.probabilities == GatedModel.row(2))
    #expect(waitUntil(seconds: 60) { isBack.withLock { $0 } })
    #expect(try service.end(waiting).probabilities == GatedModel.row(1))
    #expect(gate.runs == [[1, 2]])
    #expect(try batches(server.address, "gated") == [BatchCount(rows: 2, count: 1)])
    #expect(try server.isIdle())
  }
}
