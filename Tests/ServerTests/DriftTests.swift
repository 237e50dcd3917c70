import ApusClient
import ApusModels
import ApusWire
import Foundation
import Testing

@testable import ApusServer

/// Versions that ship samples: what they compute is held against them, and what is asked is compared with
/// them.
@Suite(.timeLimit(.minutes(15))) struct DriftTests {
  private static let rows = 20
  private static let width = 100

  /// A folder of the text classifier with samples of PyTorch's own answers.
  private func folder() throws -> (files: ModelFolder, inputs: [Float]) {
    let inputs = try Array(
      Fixture.numbers("torch/text_classifier/x.f32.bin", as: Float.self).prefix(Self.rows * Self.width))
    let files = try ModelFolder()
    try place(files, version: 1, inputs, change: 0)
    return (files, inputs)
  }

  private func place(
    _ files: ModelFolder, version: Int, _ inputs: [Float], change: Float
  ) throws {
    var expected = try Fixture.numbers("torch/text_classifier/probs.f32.bin", as: Float.self)
    let rows = try Fixture.data("torch/text_classifier/x.f32.bin").count / 4 / Self.width
    let classes = expected.count / rows
    expected = Array(expected.prefix(Self.rows * classes))
    expected[classes + 1] += change
    func matrix(_ values: [Float], _ width: Int) -> [[Float]] {
      stride(from: 0, to: values.count, by: width).map { Array(values[$0..<$0 + width]) }
    }
    let document = ["inputs": matrix(inputs, Self.width), "probabilities": matrix(expected, classes)]
    try files.write("m/\(version)/samples.json", JSONEncoder().encode(document))
    try files.copy("torch/text_classifier/text_classifier.pth", to: "m/\(version)/model.pth")
  }

  @Test func aVersionWithWrongSamplesFailsAndTheOldOneServes() throws {
    let (files, inputs) = try folder()
    try place(files, version: 2, inputs, change: 0.25)
    let server = try ServerProcess(models: files.path)
    let client = try SynchronousClient(server.unix)
    let versions = try client.models()
    #expect(versions.map(\.version) == [1, 2])
    #expect(server.log.contains("samples, row 1, class 1: the probability is"))
    var call = ClassifyCall("m", shape: [1, Self.width])
    call.wantLabels = false
    var result = ClassifyResult()
    try client.classify(Array(inputs.prefix(Self.width)), call, into: &result)
    #expect(result.version == 1)
  }

  @Test func otherInputsAreSeenAsDrift() throws {
    let (files, inputs) = try folder()
    let server = try ServerProcess(models: files.path)
    let client = try SynchronousClient(server.unix)
    func drift() throws -> (rows: UInt64, input: Double)? {
      try client.stats("m", timeoutNanoseconds: 5_000_000_000).models.first?.drift.map {
        ($0.rowsTotal, $0.largestInput)
      }
    }
    let before = try #require(try drift())
    #expect(before.rows == 0 && before.input == 0)
    let other = inputs.prefix(Self.width).map { $0 + 1000 }
    let call = ClassifyCall("m", shape: [1, Self.width])
    var result = ClassifyResult()
    var calls: UInt64 = 0
    let found = try waitUntil(seconds: 30) {
      try client.classify(other, call, into: &result)
      calls += 1
      return try drift().map { $0.rows >= 5 && $0.input > 0.25 } ?? false
    }
    #expect(found)
    #expect(try #require(try drift()).rows <= calls, "no row is counted twice")
  }

  @Test func theSamplesThemselvesAreNoDrift() throws {
    let values = (0..<20).map { Float($0) }
    let samples = Samples(rows: 20, questions: .inputs(values, width: 1))
    let predicted = (0..<20).map { $0 % 2 }
    let counters = DriftCounters(
      try #require(DriftReference(samples, predicted: predicted, classes: 2)))
    #expect(counters.drift.rowsTotal == 0 && counters.drift.classes == 0)
    counters.add(values, classes: predicted)
    #expect(counters.drift.rowsTotal == 20 && counters.drift.classes == 0)
    #expect(counters.drift.inputs == [0] && counters.drift.largestInput == 0)
    counters.add([Float](repeating: 100, count: 20), classes: [Int](repeating: 1, count: 20))
    // Half of the rows in one of ten bins: 9 × (0.05 - 0.1) ln 0.5 + (0.55 - 0.1) ln 5.5.
    let expected = 9 * 0.05 * 0.6931471805599453 + 0.45 * 1.7047480922384253
    #expect(abs(counters.drift.largestInput - expected) < 1e-9)
    #expect(abs(counters.drift.classes - 0.25 * 1.0986122886681098) < 1e-9)
  }
}
