import ApusClient
import ApusWire
import Foundation
import Testing

@testable import ApusCommand

/// What `apus stats` says of drift and of shadows.
@Suite(.timeLimit(.minutes(15))) struct StatsTests {
  private func model(
    _ version: UInt64, _ drift: Drift? = nil, _ shadow: Shadow? = nil
  ) -> ModelStats {
    var model = ModelStats()
    model.model = "m"
    model.version = version
    model.drift = drift
    model.shadow = shadow
    return model
  }

  private func drift(rows: UInt64, _ classes: Double = 0, inputs: [Double] = []) -> Drift {
    var drift = Drift()
    drift.rowsTotal = rows
    drift.classes = classes
    drift.inputs = inputs
    return drift
  }

  @Test func theInputsThatMovedMostAreNamed() {
    var wide = drift(rows: 9, 0.5)
    (wide.largestInput, wide.largestInputIndex) = (1.25, 300)
    let rows = StatsVersions.driftRows([
      model(1), model(2, drift(rows: 0)), model(3, drift(rows: 7, 0.0625, inputs: [0.5, 0, 2, 0.5, 0.25])),
      model(4, drift(rows: 8, inputs: [0, 0, 0.125])), model(5, drift(rows: 8, inputs: [0, 0])),
      model(6, wide), model(7, drift(rows: 1, 0.25)),
    ])
    #expect(
      rows == [
        ["m", "2", "0", "-", "-"],
        ["m", "3", "7", "0.062", "2: 2.000, 0: 0.500, 3: 0.500"],
        ["m", "4", "8", "0.000", "2: 0.125"],
        ["m", "5", "8", "0.000", "none"],
        ["m", "6", "9", "0.500", "300: 1.250"],
        ["m", "7", "1", "0.250", "none"],
      ])
  }

  @Test func disagreementsAreCountedAndAShare() {
    var shadow = Shadow()
    (shadow.rowsTotal, shadow.disagreementsTotal, shadow.droppedTotal) = (800, 3, 2)
    let rows = StatsVersions.shadowRows([model(1), model(2, nil, shadow), model(3, nil, Shadow())])
    #expect(rows == [["m", "2", "800", "3 (0.38 %)", "2"], ["m", "3", "0", "0 (0.00 %)", "0"]])
  }

  // MARK: A real server

  private func stats(_ server: ServerProcess, _ arguments: String...) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = ServerProcess.executable
    process.arguments = ["stats", "--to", server.unix] + arguments
    process.standardOutput = output
    try process.run()
    let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    return text
  }

  /// A model with samples, and a second version of it without.
  private func folder() throws -> (files: ModelFolder, input: [Float]) {
    let files = try ModelFolder()
    let (rows, width) = (20, 100)
    let inputs = try Array(
      Fixture.numbers("torch/text_classifier/x.f32.bin", as: Float.self).prefix(rows * width))
    let matrix = (0..<rows).map { Array(inputs[$0 * width..<($0 + 1) * width]) }
    struct Samples: Encodable {
      let inputs: [[Float]]
      let classes: [Int]
    }
    let probabilities = try Fixture.numbers("torch/text_classifier/probs.f32.bin", as: Float.self)
    let classes = (0..<rows).map { probabilities[2 * $0 + 1] > probabilities[2 * $0] ? 1 : 0 }
    try files.write("m/1/samples.json", JSONEncoder().encode(Samples(inputs: matrix, classes: classes)))
    for version in 1...2 {
      try files.copy("torch/text_classifier/text_classifier.pth", to: "m/\(version)/model.pth")
    }
    return (files, matrix[0])
  }

  private struct Document: Decodable {
    struct Model: Decodable {
      let version: UInt64
      let drift: Drift?
      let shadow: Shadow?
    }
    struct Drift: Decodable {
      let classes: Double
      let inputs: [Double]
      let rowsTotal: UInt64
      let largestInput: Double
      let largestInputIndex: Int
    }
    struct Shadow: Decodable {
      let rowsTotal, disagreementsTotal, droppedTotal: UInt64
    }
    let models: [Model]
  }

  @Test func driftAndShadowsOfAServerAreShown() throws {
    let (files, input) = try folder()
    let server = try ServerProcess(models: files.path)
    let client = try SynchronousClient(server.unix)
    #expect(try !stats(server).contains("ROWS MIRRORED"))
    _ = try client.rollback(VersionRequest(model: "m", version: 1), timeoutNanoseconds: 30_000_000_000)
    _ = try client.setTraffic(
      SetTrafficRequest(
        model: "m", version: 2, weight: SetTrafficRequest.wholeWeight, shadow: true),
      timeoutNanoseconds: 30_000_000_000)
    let far = input.map { $0 + 1000 }
    var result = ClassifyResult()
    let isCounted = try waitUntil(seconds: 60) {
      try client.classify(far, ClassifyCall("m"), into: &result)
      let models = try client.stats("m", timeoutNanoseconds: 30_000_000_000).models
      return models.first?.drift?.rowsTotal ?? 0 >= 5 && models.last?.shadow?.rowsTotal ?? 0 >= 5
    }
    try #require(isCounted)
    let shown = try stats(server, "--model", "m").split(separator: "\n").map(String.init)
    let driftLine = try #require(shown.firstIndex { $0.contains("DRIFT OF CLASSES") })
    #expect(shown[driftLine + 1].contains(": ") && !shown[driftLine + 1].contains("none"))
    let shadowLine = try #require(shown.firstIndex { $0.contains("ROWS MIRRORED") })
    #expect(shown[shadowLine + 1].contains("0 (0.00 %)") && shadowLine == driftLine + 2)
    let json = Data(try stats(server, "--model", "m", "--json").utf8)
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let models = try decoder.decode(Document.self, from: json).models
    #expect(models.map(\.version) == [1, 2])
    let drift = try #require(models[0].drift)
    #expect(drift.rowsTotal >= 5 && drift.inputs.count == input.count && drift.classes >= 0)
    #expect(drift.largestInput == drift.inputs.max() && drift.largestInput > 0.25)
    #expect(drift.inputs.firstIndex(of: drift.largestInput) == drift.largestInputIndex)
    let shadow = try #require(models[1].shadow)
    #expect(shadow.rowsTotal >= 5 && shadow.disagreementsTotal == 0 && models[0].shadow == nil)
    #expect(models[1].drift == nil)
  }
}
