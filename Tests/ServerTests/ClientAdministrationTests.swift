import ApusClient
import Foundation
import Testing

/// The client's public calls of administration against a real server.
@Suite(.timeLimit(.minutes(15))) struct ClientAdministrationTests {
  private static let digits = ServerProcess.root.appending(path: "models/repository/digits/1")
  private let files: ModelFolder
  private let server: ServerProcess
  private let client: SynchronousClient

  init() throws {
    files = try ModelFolder()
    for name in ["model.pth", "model.yaml"] {
      try files.write("digits/1/\(name)", Data(contentsOf: Self.digits.appending(path: name)))
    }
    server = try ServerProcess(models: files.path)
    client = try SynchronousClient(server.unix)
  }

  private func answer(_ change: (inout ClassifyCall) -> Void = { _ in }) throws -> ClassifyResult {
    var call = ClassifyCall("digits")
    change(&call)
    var result = ClassifyResult()
    try client.classify([Float](repeating: 0.5, count: 64), call, into: &result)
    return result
  }

  @Test func aVersionsWholeLife() throws {
    let published = try client.publish(
      folder: Self.digits.path, as: "digits", aliases: ["next"], source: "b1", keepsLatest: true)
    #expect(published.model.version == 2 && published.model.aliases == ["next"])
    #expect(published.model.publishedBy == "uid:\(getuid())" && published.model.source == "b1")
    #expect(try answer().version == 1)
    try client.setAlias("latest", of: "digits", to: 2)
    #expect(try answer().version == 2)
    #expect(try client.rollback("digits").detail == "calls go to version 1, before to 2")
    try client.deprecate("digits", version: 1, note: "use 2")
    #expect(try answer().deprecated == "use 2")
    #expect(try client.models()[0].deprecated == "use 2")
    try client.deprecate("digits", version: 1, note: "")
    #expect(try answer().deprecated.isEmpty)
    #expect(try client.verify("digits", version: 2).detail.contains("as they were"))
    #expect(try client.unload("digits", version: 2).model.state == "unloaded")
    #expect(try client.load("digits", version: 2, timeout: .seconds(60)).model.state == "ready")
    #expect(try client.withdraw("digits", version: 2, note: "slow").model.state == "withdrawn")
    let acts = try client.history(of: "digits")
    #expect(
      acts.map(\.act) == [
        "withdraw", "load", "unload", "verify", "deprecate", "deprecate", "rollback", "alias", "publish",
      ])
    #expect(acts.allSatisfy { $0.result == "ok" && $0.from == "unix" })
  }

  @Test func aKeyStaysOnOneSideOfACanary() throws {
    try client.publish(folder: Self.digits.path, as: "digits", keepsLatest: true)
    var bounds = CanaryBounds()
    bounds.maximumErrorPercent = 50
    let outcome = try client.setWeight(50, of: "digits", version: 2, bounds: bounds)
    #expect(outcome.model.weightPercent == 50)
    let sides = try (0..<64).map { key in
      let versions = try (0..<5).map { _ in try answer { $0.routeKey = "key \(key)" }.version }
      return Set(versions)
    }
    #expect(sides.allSatisfy { $0.count == 1 } && sides.reduce([]) { $0.union($1) } == [1, 2])
    #expect(try client.setShadow(true, of: "digits", version: 2).model.isShadow)
    #expect(try client.stats("digits").models.map { $0.shadow == nil } == [true, false])
    #expect(try client.setWeight(0, of: "digits", version: 2).model.weightPercent == 0)
  }
}
