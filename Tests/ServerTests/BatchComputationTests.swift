import ApusBase
import ApusEngine
import ApusWire
import Testing

@testable import ApusServer

/// Batches of calls that waited, computed apart from any server.
@Suite struct BatchComputationTests {
  /// Rows of one buffer, and a body for the answer to each.
  private final class Rows {
    let inputs: UnsafeMutablePointer<Float>
    let bodies: UnsafeMutablePointer<Float>

    init(_ count: Int) {
      inputs = .allocate(capacity: 4 * count)
      bodies = .allocate(capacity: 3 * count)
      for number in 0..<4 * count { inputs[number] = Float(number % 11) - 5 }
      bodies.initialize(repeating: -1, count: 3 * count)
    }

    deinit {
      inputs.deallocate()
      bodies.deallocate()
    }

    func job(_ model: LoadedModel, row: Int, rows: Int = 1, deadline: Instant = .never) -> Job {
      QueuedJobs.job(
        model, rows: rows, mostRows: 64, received: Instant.now.nanoseconds, deadline: deadline,
        input: UnsafeRawPointer(inputs + 4 * row), body: UnsafeMutableRawPointer(bodies + 3 * row),
        owner: self)
    }

    func answer(_ row: Int) -> [Float] { (0..<3).map { bodies[3 * row + $0] } }
  }

  private func classifier() throws -> Classifier {
    let layer = try Network.Layer(
      name: "0", inputs: 4, outputs: 3, weights: (0..<12).map { Float($0 % 5) / 8 - 0.2 },
      bias: [0.1, 0, -0.1],
      activation: .none)
    return try Classifier(Network(layers: [layer], output: .softmax))
  }

  private func compute(_ jobs: [Job]) throws -> Bool {
    var buffers = ModelBuffers(ModelNeeds(), Limits())
    var batch = ContiguousArray(jobs)
    return buffers.compute(&batch, nil)
  }

  private func isEqual(_ answers: [Float], _ expected: [Float]) -> Bool {
    zip(answers, expected).allSatisfy { abs($0 - $1) < 1e-6 } && abs(answers.reduce(0, +) - 1) < 1e-5
  }

  /// Bodies of several connections are whole in another order than they began.
  @Test(arguments: [[0, 1, 2, 3, 4, 5], [5, 3, 4, 1, 0, 2], [5, 4, 3, 2, 1, 0]])
  func rowsThatTogetherAreAMatrixAreComputedWhereTheyLie(order: [Int]) throws {
    let model = try LoadedModel(Plan(try classifier(), planning: .fixed(.sgemm)), labels: [])
    let alone = Rows(6)
    for row in 0..<6 { _ = try compute([alone.job(model, row: row)]) }
    let together = Rows(6)
    let jobs = order.map { together.job(model, row: $0) }
    let isLate = try compute(jobs)
    #expect(!isLate)
    for row in 0..<6 { #expect(isEqual(together.answer(row), alone.answer(row))) }
    #expect(jobs.allSatisfy { !$0.outcome.wasGathered && $0.outcome.batchRows == 6 })
    #expect(jobs.count { $0.outcome.opensBatch } == 1)
  }

  @Test func rowsThatLieApartAreGathered() throws {
    let model = try LoadedModel(Plan(try classifier(), planning: .fixed(.sgemm)), labels: [])
    let alone = Rows(8)
    for row in 0..<8 { _ = try compute([alone.job(model, row: row)]) }
    let together = Rows(8)
    let jobs = [
      together.job(model, row: 6, rows: 2), together.job(model, row: 0), together.job(model, row: 3),
    ]
    _ = try compute(jobs)
    for row in [0, 3, 6, 7] { #expect(isEqual(together.answer(row), alone.answer(row))) }
    #expect(together.answer(1) == [-1, -1, -1])
    #expect(jobs.allSatisfy { $0.outcome.wasGathered && $0.outcome.batchRows == 4 })
  }

  /// Two calls name the same row of a region, and a third one leaves a gap: as many bytes as a matrix has.
  @Test func callsOfTheSameBytesAreNoMatrix() throws {
    let model = try LoadedModel(Plan(try classifier(), planning: .fixed(.sgemm)), labels: [])
    let alone = Rows(3)
    for row in 0..<3 { _ = try compute([alone.job(model, row: row)]) }
    let (together, twin) = (Rows(3), Rows(3))
    let again = QueuedJobs.job(
      model, mostRows: 64, input: UnsafeRawPointer(together.inputs),
      body: UnsafeMutableRawPointer(twin.bodies),
      owner: twin)
    _ = try compute([together.job(model, row: 2), together.job(model, row: 0), again])
    #expect(isEqual(together.answer(0), alone.answer(0)) && isEqual(together.answer(2), alone.answer(2)))
    #expect(isEqual(twin.answer(0), alone.answer(0)) && again.outcome.wasGathered)
  }

  /// Of a batch that should take 400 ms, calls whose time is over before that are not computed; those that
  /// go on without them take less.
  @Test func whatWouldBeLateIsNotComputed() throws {
    let served = try GatedModel.slow("slow", classifier())
    let model = try #require(served.loaded)
    let second: UInt64 = 1_000_000_000
    #expect(model.cost.nanoseconds(rows: 4) > second / 10)
    let rows = Rows(4)
    let now = Instant.now
    let jobs = [
      rows.job(model, row: 0, deadline: now.advanced(by: second / 20)), rows.job(model, row: 1),
      rows.job(model, row: 2, deadline: now),
      rows.job(model, row: 3, deadline: now.advanced(by: 100 * second)),
    ]
    let isLate = try compute(jobs)
    #expect(isLate)
    #expect(jobs.map { $0.outcome.failure?.reason } == ["DEADLINE_EXCEEDED", nil, "DEADLINE_EXCEEDED", nil])
    #expect(jobs.map(\.outcome.batchRows) == [0, 2, 0, 2])
    #expect(rows.answer(0) == [-1, -1, -1] && rows.answer(2) == [-1, -1, -1])
    #expect(abs(rows.answer(1).reduce(0, +) - 1) < 1e-5 && abs(rows.answer(3).reduce(0, +) - 1) < 1e-5)
  }

  /// An answer must be there while its caller waits: a part of the time is for its way.
  @Test func anAnswerNeedsTimeForItsWay() throws {
    let served = try GatedModel.slow("slow", classifier())
    let model = try #require(served.loaded)
    let rows = Rows(1)
    let cost = model.cost.nanoseconds(rows: 1)
    let tight = rows.job(model, row: 0, deadline: Instant.now.advanced(by: cost + cost / 64))
    _ = try compute([tight])
    #expect(tight.outcome.failure?.reason == "DEADLINE_EXCEEDED")
    let enough = rows.job(model, row: 0, deadline: Instant.now.advanced(by: 2 * cost))
    _ = try compute([enough])
    #expect(enough.outcome.failure == nil)
  }
}
