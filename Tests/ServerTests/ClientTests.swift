import ApusClient
import Foundation
import Testing

/// The client as a user's program has it, against a real server.
@Suite(.timeLimit(.minutes(15))) struct ClientTests {
  private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  @Test("the README's three lines are a first answer")
  func readme() async throws {
    let server = try ServerProcess()
    let pixels = [Float](repeating: 1, count: 64)
    // Below, the README's lines; the address alone differs.
    let client = try ApusClient("unix:\(server.socket)")
    let result = try await client.classify("digits", pixels, top: 3)
    print(result.labels, result.probabilities)
    #expect(result.labels.count == 3)
    #expect(result.probabilities == result.probabilities.sorted(by: >))
    #expect(result.prediction().label == result.labels[0])

    let text = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    let block = try #require(text.components(separatedBy: "```swift\n").dropFirst().first)
    let lines = block.components(separatedBy: "\n```")[0].components(separatedBy: "\n")
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
    #expect(lines.count == 3)
    for line in lines {
      #expect(
        source.contains(line.replacingOccurrences(of: "unix:/tmp/apus.sock", with: #"unix:\(server.socket)"#))
      )
    }
  }

  @Test("a client asks for health, models and counters")
  func information() throws {
    let server = try ServerProcess()
    let client = try SynchronousClient("unix:\(server.socket)")
    #expect(try client.health().isServing)
    #expect(try client.health("nobody").status == "SERVICE_UNKNOWN")
    let names = try client.models(timeout: .seconds(30)).map(\.name)
    #expect(names == ["digits", "sentiment", "textclassifier"])
    let digits = try client.model("digits")
    #expect(digits.state == "ready" && digits.inputShape == [64] && digits.labels.count == 10)
    #expect(digits.digest.count == 32)
    var result = ClassifyResult()
    for _ in 0..<3 {
      try client.classify([Float](repeating: 1, count: 64), ClassifyCall("digits"), into: &result)
    }
    #expect(throws: ClientError.self) { try client.classify([1], ClassifyCall("digits"), into: &result) }
    let stats = try client.stats("digits")
    #expect(stats.models.map(\.name) == ["digits"])
    #expect(stats.models.first?.rows == 3)
    #expect(stats.errors == 1)
    #expect(stats.models.first.map { $0.total.p50 > .zero && $0.total.p50 <= $0.total.maximum } == true)
    #expect(stats.uptime > .zero && stats.connectionsOpen >= 1 && stats.requests >= 8)
  }
}
