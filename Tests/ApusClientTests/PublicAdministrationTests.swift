import ApusBase
import ApusClient
import ApusWire
import Testing

/// What the client's public calls of administration send, and what they make of answers.
@Suite struct PublicAdministrationTests {
  private static func info() -> ModelInfo {
    var model = ModelInfo()
    model.name = "digits"
    model.version = 4
    model.state = .ready
    model.deprecated = "use 5"
    model.weight = 525
    model.isShadow = true
    model.publishedBy = "uid:0"
    model.publishedNanoseconds = 7
    model.source = "b1"
    model.signedBy = "release"
    model.memoryBytes = 4096
    return model
  }

  private static func act(_ sequence: UInt64) -> Act {
    var act = Act()
    act.sequence = sequence
    act.timeNanoseconds = 9
    act.who = "uid:0"
    act.from = "unix"
    act.act = "publish"
    act.model = "digits"
    act.version = 4
    act.detail = "b1"
    act.result = "ok"
    return act
  }

  private static func answer(_ request: ReceivedFrame) -> [Step] {
    let id = request.header.requestID
    guard let method = Method(rawValue: request.header.method) else { return [.close] }
    guard method != .history else {
      return ([2, 1] as [UInt64]).map { sequence in
        let metadata = encoded {
          HistoryResponse(acts: [act(sequence)]).encode(into: $0, arena: $1)
        }
        return .send(
          frame(.answer, method, id: id, flags: sequence == 2 ? .more : [], metadata: metadata))
      }
    }
    let metadata = encoded { VersionResponse(model: info(), detail: "done").encode(into: $0, arena: $1) }
    return [.send(frame(.answer, method, id: id, metadata: metadata))]
  }

  private func started() throws -> (server: FakeServer, client: SynchronousClient) {
    let server = try FakeServer { Self.answer($0) }
    return (server, try SynchronousClient(server.address))
  }

  private func sent<Message>(
    _ server: FakeServer, _ decode: (UnsafeRawBufferPointer, borrowing MetadataArena) throws -> Message
  ) throws -> [Message] {
    let arena = MetadataArena(byteCount: 65_536)
    return try server.frames.map { frame in try frame.metadata.withUnsafeBytes { try decode($0, arena) } }
  }

  @Test func actsOnAVersion() throws {
    let (server, client) = try started()
    let outcomes = [
      try client.load("digits", version: 4), try client.unload("digits", version: 4),
      try client.verify("digits", version: 4),
      try client.withdraw("digits", version: 4, note: "slow", deletingFiles: true),
      try client.deprecate("digits", version: 4, note: "use 5"), try client.rollback("digits"),
      try client.rollback("digits", to: 4, timeout: .seconds(10)),
    ]
    #expect(
      server.frames.map { Method(rawValue: $0.header.method) } == [
        .load, .unload, .verify, .withdraw, .deprecate, .rollback, .rollback,
      ])
    let plain = VersionRequest(model: "digits", version: 4)
    #expect(
      try sent(server) { try VersionRequest(decoding: $0, arena: $1) } == [
        plain, plain, plain, VersionRequest(model: "digits", version: 4, note: "slow", deleteFiles: true),
        VersionRequest(model: "digits", version: 4, note: "use 5"),
        VersionRequest(model: "digits", version: 0), plain,
      ])
    for outcome in outcomes {
      #expect(outcome.detail == "done" && outcome.model.name == "digits" && outcome.model.version == 4)
    }
  }

  @Test func aVersionsDescriptionIsWhole() throws {
    let (server, client) = try started()
    let model = try client.load("digits", version: 4).model
    #expect(server.frames.count == 1)
    #expect(model.state == "ready" && model.deprecated == "use 5")
    #expect(model.weightPercent == 5.25 && model.isShadow)
    #expect(model.publishedBy == "uid:0" && model.publishedNanoseconds == 7 && model.source == "b1")
    #expect(model.signedBy == "release" && model.memoryBytes == 4096)
  }

  @Test func aliasesMoveAndGo() throws {
    let (server, client) = try started()
    try client.setAlias("stable", of: "digits", to: 4)
    try client.setAlias("stable", of: "digits", to: nil)
    #expect(
      try sent(server) { try SetAliasRequest(decoding: $0, arena: $1) } == [
        SetAliasRequest(model: "digits", alias: "stable", version: 4),
        SetAliasRequest(model: "digits", alias: "stable", version: 0),
      ])
  }

  @Test func sharesBoundsAndShadows() throws {
    let (server, client) = try started()
    var bounds = CanaryBounds()
    bounds.maximumErrorPercent = 2.5
    bounds.maximumLatencyRatio = 1.5
    try client.setWeight(5.25, of: "digits", version: 4, bounds: bounds)
    try client.setWeight(0, of: "digits", version: 4)
    try client.setShadow(true, of: "digits", version: 4)
    try client.setShadow(false, of: "digits", version: 4)
    let requests = try sent(server) { try SetTrafficRequest(decoding: $0, arena: $1) }
    var expected = TrafficBounds()
    expected.maximumErrors = 250
    expected.maximumLatencyRatio = 1.5
    expected.windowNanoseconds = 60_000_000_000
    expected.minimumCalls = 100
    #expect(
      requests == [
        SetTrafficRequest(model: "digits", version: 4, weight: 525, bounds: expected),
        SetTrafficRequest(model: "digits", version: 4, weight: 0),
        SetTrafficRequest(model: "digits", version: 4, weight: 10_000, shadow: true),
        SetTrafficRequest(model: "digits", version: 4, weight: 0, shadow: true),
      ])
  }

  @Test(arguments: [-1, 100.01, 0.004, .nan, .infinity])
  func sharesThatAreNoneAreNotSent(_ percent: Double) throws {
    let (server, client) = try started()
    #expect(throws: ClientError.self) { try client.setWeight(percent, of: "digits", version: 4) }
    var bounds = CanaryBounds()
    bounds.maximumErrorPercent = percent
    #expect(throws: ClientError.self) { try client.setWeight(5, of: "digits", version: 4, bounds: bounds) }
    #expect(server.frames.isEmpty)
  }

  private static let badBounds: [@Sendable (inout CanaryBounds) -> Void] = [
    { $0 = CanaryBounds() }, { $0.maximumErrorPercent = 0 }, { $0.maximumLatencyRatio = 0 },
    { $0.maximumLatencyRatio = .infinity }, { $0.window = .zero }, { $0.minimumCalls = 0 },
    { $0.minimumCalls = 1 << 32 },
  ]

  @Test(arguments: badBounds.indices)
  func boundsThatAreNoneAreNotSent(_ index: Int) throws {
    let (server, client) = try started()
    var bounds = CanaryBounds()
    bounds.maximumErrorPercent = 2
    Self.badBounds[index](&bounds)
    #expect(throws: ClientError.self) { try client.setWeight(5, of: "digits", version: 4, bounds: bounds) }
    #expect(server.frames.isEmpty)
  }

  @Test func historyIsWholeAndNewestFirst() throws {
    let (server, client) = try started()
    let acts = try client.history(of: "digits", limit: 5)
    #expect(acts.map(\.sequence) == [2, 1])
    let act = try #require(acts.first)
    #expect(act.timeNanoseconds == 9 && act.who == "uid:0" && act.from == "unix" && act.act == "publish")
    #expect(act.model == "digits" && act.version == 4 && act.detail == "b1" && act.result == "ok")
    #expect(
      try sent(server) { try HistoryRequest(decoding: $0, arena: $1) } == [
        HistoryRequest(model: "digits", limit: 5)
      ])
    #expect(throws: ClientError.self) { try client.history(limit: 0) }
  }

  @Test func driftAndShadowAreTold() throws {
    var model = ModelStats()
    var drift = Drift()
    (drift.classes, drift.inputs, drift.rowsTotal) = (0.25, [0.5, 1.5], 7)
    (drift.largestInput, drift.largestInputIndex) = (1.5, 1)
    var shadow = Shadow()
    (shadow.rowsTotal, shadow.disagreementsTotal, shadow.droppedTotal) = (100, 3, 2)
    (model.drift, model.shadow) = (drift, shadow)
    let response = StatsResponse(server: ServerStats(), models: [model, ModelStats()])
    let server = try FakeServer { request in
      let metadata = encoded { response.encode(into: $0, arena: $1) }
      return [.send(frame(.answer, .stats, id: request.header.requestID, metadata: metadata))]
    }
    let models = try SynchronousClient(server.address).stats().models
    let told = try #require(models.first?.drift)
    #expect(told.classes == 0.25 && told.inputs == [0.5, 1.5] && told.rows == 7)
    #expect(told.largestInput == 1.5 && told.largestInputIndex == 1)
    let mirrored = try #require(models.first?.shadow)
    #expect(mirrored.rows == 100 && mirrored.disagreements == 3 && mirrored.dropped == 2)
    #expect(models.last?.drift == nil && models.last?.shadow == nil)
  }
}
