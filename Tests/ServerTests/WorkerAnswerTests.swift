import ApusBase
import ApusClient
import ApusEngine
import ApusFeatures
import ApusModels
import ApusWire
import Foundation
import Testing

@testable import ApusServer

/// What a worker computes is answered as what is computed at once: every form of call and answer, by one
/// classifier that is served twice.
@Suite(.timeLimit(.minutes(15))) struct WorkerAnswerTests {
  private static let inputs = 64
  private static let features = HashingFeatures(dimensions: inputs)
  private static let labels = (0..<7).map { "class \($0)" }

  /// Two layers of numbers by chance.
  static func classifier(inputs: Int, outputs: Int) throws -> Classifier {
    var random = Xorshift(seed: UInt64(inputs))
    func numbers(_ count: Int) -> [Float] {
      (0..<count).map { _ in Float(random.next(in: -999...999)) / 999 }
    }
    let first = try Network.Layer(
      name: "0", inputs: inputs, outputs: 24, weights: numbers(24 * inputs), bias: numbers(24),
      activation: .relu)
    let second = try Network.Layer(
      name: "1", inputs: 24, outputs: outputs, weights: numbers(outputs * 24), bias: numbers(outputs),
      activation: .none)
    return try Classifier(Network(layers: [first, second], output: .softmax))
  }

  private func model(_ name: String, _ description: ApusServer.ModelDescription, _ plan: Plan) -> ServedModel
  {
    ServedModel(
      name: name, version: 1, description, state: .ready, loaded: LoadedModel(plan, labels: Self.labels))
  }

  /// `quick`, and `slow` with the same numbers.
  private func server() throws -> MetricsServer {
    let classifier = try Self.classifier(inputs: Self.inputs, outputs: Self.labels.count)
    let quick = try Plan(classifier, planning: .fixed(.sgemm))
    let slow = try #require(try GatedModel.slow("slow", classifier, like: quick).loaded?.plan)
    var description = ApusServer.ModelDescription()
    description.inputShape = classifier.inputShape
    description.classes = classifier.outputs
    description.batchMaximum = 65_536
    description.labels = Self.labels
    description.features = Self.features
    description.digest = (0..<32).map { UInt8($0) }
    return try GatedModel.server([model("quick", description, quick), model("slow", description, slow)])
  }

  /// Every call of `slow` takes longer than a reactor may, by what is known of it.
  private func expectWorkersHaveComputed(_ server: MetricsServer) throws {
    let models = server.server.fleet.catalog.models
    for (name, isSlow) in [("quick", false), ("slow", true)] {
      let loaded = try #require(models.first { $0.name == name }?.loaded)
      #expect((loaded.cost.nanoseconds(rows: 1) > Reactor.budgetAloneNanoseconds) == isSlow, "\(name)")
    }
  }

  private func numbers(_ rows: Int) -> [Float] {
    var random = Xorshift(seed: UInt64(rows))
    return (0..<rows * Self.inputs).map { _ in Float(random.next(in: -500...500)) / 100 }
  }

  private func expectEqual(_ found: ClassifyResult, _ expected: ClassifyResult, _ what: String) {
    #expect(found.rows == expected.rows && found.classes == expected.classes, "\(what)")
    #expect(found.probabilities == expected.probabilities && found.indices == expected.indices, "\(what)")
    #expect(found.scores == expected.scores && found.labels == expected.labels, "\(what)")
    #expect(found.digest == expected.digest && found.version == expected.version, "\(what)")
  }

  /// Answers one after the other of both models, by the same client.
  private func expectEqualAnswers(
    _ call: ClassifyCall, _ what: String,
    _ classify: (ClassifyCall, inout ClassifyResult) throws -> Void
  ) throws {
    var results = [ClassifyResult(), ClassifyResult()]
    for (place, name) in ["quick", "slow"].enumerated() {
      var call = call
      call.model = name
      try classify(call, &results[place])
    }
    #expect(results[0].probabilities.contains { $0 > 0 && $0 < 1 })
    expectEqual(results[1], results[0], what)
  }

  private static let forms: [(top: Int, isFull: Bool)] = [(0, false), (3, false), (0, true), (3, true)]

  private func call(_ form: (top: Int, isFull: Bool), rows: Int) -> ClassifyCall {
    var call = ClassifyCall("", top: form.top, shape: [rows, Self.inputs])
    (call.wantLabels, call.wantScores, call.wantDigest) = (form.isFull, form.isFull, form.isFull)
    return call
  }

  @Test(arguments: ["unix:", "shm:"]) func numbersAreAnsweredAlike(_ transport: String) throws {
    let server = try server()
    let client = try SynchronousClient(transport + server.address.dropFirst("unix:".count))
    for rows in [1, 2, 5, 300] {
      for form in Self.forms {
        try expectEqualAnswers(call(form, rows: rows), "\(rows) rows, \(form)") {
          try client.classify(numbers(rows), $0, into: &$1)
        }
      }
    }
    // Longer than a receive ring, and than the answers' buffer.
    try expectEqualAnswers(call((0, false), rows: 20_000), "a large frame") {
      try client.classify(numbers(20_000), $0, into: &$1)
    }
    try expectWorkersHaveComputed(server)
    #expect(try server.isIdle())
  }

  @Test func tensorsInRegionsAreAnsweredAlike() throws {
    let server = try server()
    let client = try SynchronousClient("shm:" + server.address.dropFirst("unix:".count))
    let region = try client.makeRegion(byteCount: 1 << 20)
    let rows = numbers(100)
    let byteCount = 4 * rows.count
    for offset in [0, 4096] {
      rows.withUnsafeBytes {
        region.bytes.baseAddress?.advanced(by: offset).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
      }
      for form in Self.forms {
        try expectEqualAnswers(call(form, rows: 100), "offset \(offset), \(form)") {
          try client.classify(region, offset: offset, byteCount: byteCount, $0, into: &$1)
        }
      }
    }
    #expect(try server.metrics().number("apus_tensor_copies_total") == 0, "they are read where they lie")
    try expectWorkersHaveComputed(server)
  }

  @Test func textsAreAnsweredAlike() throws {
    let server = try server()
    let client = try SynchronousClient(server.address)
    let words = ["a", "lovely", "film", "ÉTÉ", "ΌΔΟΣ", "not", "", "boring\u{10400}"]
    var random = Xorshift(seed: 11)
    for count in [1, 3, 500] {
      let texts = (0..<count).map { _ in
        (0..<random.next(in: 0...20)).map { _ in words[random.next(in: 0...words.count - 1)] }
          .joined(separator: " ")
      }
      for form in Self.forms {
        var call = call(form, rows: count)
        call.shape = []
        try expectEqualAnswers(call, "\(count) texts, \(form)") {
          try client.classify(texts: texts, $0, into: &$1)
        }
      }
    }
    try expectWorkersHaveComputed(server)
  }

  /// Refusals come the same way as answers.
  @Test func numbersThatAModelDoesNotAllowAreRefusedAlone() throws {
    let gate = Gate()
    let lookup = try GraphCallTests.classifier(.float32)
    let table = try GatedModel.slow("table", lookup, batchMaximum: 8)
    let server = try GatedModel.server([GatedModel.model("gated", gate), table])
    let holder = try RawConnection(server.address)
    holder.send(GatedModel.call(1, "gated", 1))
    #expect(gate.holds(1))
    let connection = try RawConnection(server.address)
    let picks: [Float] = [0, 2, 7, 1, -9, 2]
    connection.send(picks.enumerated().flatMap { classifyFrame(UInt64($0 + 1), "table", [$1]) })
    #expect(try server.hasQueued(6))
    gate.open()
    for (place, pick) in picks.enumerated() {
      let answer = try #require(try connection.answer(within: 60))
      #expect(answer.id == UInt64(place + 1))
      if (0...2).contains(pick) {
        #expect(answer.probabilities == [2 * pick + 1, 2 * pick + 2])
      } else {
        #expect(answer.status?.reason == "INPUT_REFUSED")
      }
    }
    #expect(try holder.answer(within: 60)?.id == 1)
  }
}
