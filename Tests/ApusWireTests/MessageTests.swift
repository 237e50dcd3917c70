import ApusBase
import ApusWire
import Testing

/// Every message comes back as it was written, and fields have the numbers of apus.proto.
@Suite struct MessageTests {
  private func decoded<Value>(
    _ bytes: [UInt8], _ decode: (UnsafeRawBufferPointer, borrowing MetadataArena) throws -> Value
  ) throws -> Value {
    let arena = makeArena()
    return try bytes.withUnsafeBytes { try decode($0, arena) }
  }

  @Test func hello() throws {
    var request = HelloRequest(client: "apus-swift 1.0")
    request.minimumVersion = 1
    request.maximumVersion = 3
    let bytes = encoded { request.encode(into: $0, arena: $1) }
    #expect(bytes == Message().number(1, 1).number(2, 3).text(3, "apus-swift 1.0").bytes)
    #expect(try decoded(bytes) { try HelloRequest(decoding: $0, arena: $1) } == request)

    let response = HelloResponse(
      server: "apus 1.0", metadataBytes: 1 << 16, bodyBytes: 1 << 40, callsInFlight: 7)
    let answer = encoded { response.encode(into: $0, arena: $1) }
    #expect(
      answer
        == Message().number(1, 1).text(2, "apus 1.0").number(3, 1 << 16).number(4, 1 << 40).number(5, 7).bytes
    )
    #expect(try decoded(answer) { try HelloResponse(decoding: $0, arena: $1) } == response)
  }

  @Test func health() throws {
    let request = ModelNameRequest(model: "digits")
    let bytes = encoded { request.encode(into: $0, arena: $1) }
    #expect(bytes == Message().text(1, "digits").bytes)
    #expect(try decoded(bytes) { try ModelNameRequest(decoding: $0, arena: $1) } == request)
    #expect(try decoded([]) { try ModelNameRequest(decoding: $0, arena: $1) }.model == "")

    for status in [ServingStatus.unknown, .serving, .notServing, .serviceUnknown] {
      let response = HealthResponse(status: status, detail: "draining")
      let answer = encoded { response.encode(into: $0, arena: $1) }
      #expect(try decoded(answer) { try HealthResponse(decoding: $0, arena: $1) } == response)
    }
    let later = Message().number(1, 4_000_000_000).bytes
    #expect(
      try decoded(later) { try HealthResponse(decoding: $0, arena: $1) }.status == .unknown)
  }

  @Test(arguments: StatusCode.allCases)
  func status(_ code: StatusCode) {
    let status = Status(code, "NOT_PROCESSED", "the server is shutting down", retryAfterNanoseconds: 1 << 40)
    let bytes = encoded { status.encode(into: $0, arena: $1) }
    let arena = makeArena()
    let read = bytes.withUnsafeBytes { Status(decoding: $0, arena: arena) }
    // A failure that says it is none is one all the same.
    #expect(read.code == (code == .ok ? .unknown : code))
    #expect(read.reason == status.reason && read.message == status.message)
    #expect(read.retryAfterNanoseconds == 1 << 40)
  }

  @Test func aStatusThatCannotBeReadIsAFailure() {
    let arena = makeArena()
    let broken = [UInt8](repeating: 0xFF, count: 20).withUnsafeBytes { Status(decoding: $0, arena: arena) }
    #expect(broken.code == .internal && broken.reason == "STATUS_BROKEN")
    let unknown = Message().number(1, 99).bytes.withUnsafeBytes { Status(decoding: $0, arena: arena) }
    #expect(unknown.code == .unknown)
    let empty = [UInt8]().withUnsafeBytes { Status(decoding: $0, arena: arena) }
    #expect(empty.code == .unknown)
  }

  @Test func goAway() throws {
    let message = GoAway(reason: "the server is shutting down", graceNanoseconds: 10_000_000_000)
    let bytes = encoded { message.encode(into: $0, arena: $1) }
    #expect(bytes == Message().text(1, message.reason).number(2, 10_000_000_000).bytes)
    #expect(try decoded(bytes) { try GoAway(decoding: $0, arena: $1) } == message)
  }

  @Test func stats() throws {
    var server = ServerStats()
    server.version = "apus 1.0"
    server.uptimeNanoseconds = 1
    server.reactors = 2
    server.connectionsOpen = 3
    server.connectionsTotal = 4
    server.requestsTotal = 5
    server.codes = [CodeCount(code: 0, count: 6), CodeCount(code: 14, count: .max)]
    server.receivedBytesTotal = 7
    server.sentBytesTotal = 8
    server.systemCallsTotal = 9
    server.tensorCopiesTotal = 10
    server.tensorCopiedBytesTotal = 11
    server.pollsTotal = 12
    server.sleepsTotal = 13
    server.protocolErrorsTotal = 14
    server.blasCore = "Haswell"
    server.handshakesTotal = 15
    server.handshakesResumedTotal = 16
    server.handshakeFailuresTotal = 17
    server.lanesOpen = 18
    server.laneBellsTotal = 19
    server.pollingNanosecondsTotal = 20
    server.wakeUpsSavedTotal = 21
    server.queuedCalls = 22
    server.refusals = [
      RefusalCount(reason: "OVERLOADED", count: 23), RefusalCount(reason: "OTHER", count: 1),
    ]
    server.load = 0.5
    var latency = LatencySummary()
    latency.count = 1
    latency.p50Nanoseconds = 2
    latency.p90Nanoseconds = 3
    latency.p99Nanoseconds = 4
    latency.p999Nanoseconds = 5
    latency.maximumNanoseconds = 6
    var model = ModelStats()
    model.model = "digits"
    model.version = 3
    model.requestsTotal = 100
    model.rowsTotal = 200
    model.codes = [CodeCount(code: 3, count: 1)]
    model.total = latency
    latency.count = 7
    model.queue = latency
    latency.count = 8
    model.compute = latency
    model.batches = [BatchCount(rows: 1, count: 90), BatchCount(rows: 64, count: 10)]
    model.drift = Drift()
    model.drift?.classes = 0.125
    model.drift?.inputs = [0, 0.5, 1e300]
    model.drift?.rowsTotal = 1000
    model.drift?.largestInput = 1e300
    model.drift?.largestInputIndex = 2
    model.shadow = Shadow()
    model.shadow?.rowsTotal = 5
    model.shadow?.disagreementsTotal = 4
    model.shadow?.droppedTotal = 3
    for response in [
      StatsResponse(server: server, models: [model, ModelStats()]),
      StatsResponse(server: nil, models: [model]),
      StatsResponse(server: server, models: []),
    ] {
      let bytes = encoded { response.encode(into: $0, arena: $1) }
      #expect(try decoded(bytes) { try StatsResponse(decoding: $0, arena: $1) } == response)
    }
  }

  private var model: ModelInfo {
    var model = ModelInfo()
    model.name = "digits"
    model.version = 2
    model.state = .ready
    model.reason = "none"
    model.format = "pytorch"
    model.digest = Array(0..<32)
    model.aliases = ["stable", "canary"]
    model.inputs = [TensorInfo(name: "x", dtype: .float32, shape: [-1, 64])]
    model.outputs = [
      TensorInfo(name: "", dtype: nil, shape: []), TensorInfo(name: "y", dtype: .bool, shape: [.min]),
    ]
    model.labels = ["null", "eins", "zwölf"]
    model.architecture = "64 -> 10 softmax"
    model.parameters = 650
    model.maximumBatchRows = 64
    model.deprecated = "use version 3"
    model.signature = Array(32..<64)
    model.publishedBy = "user:anna"
    model.publishedNanoseconds = .max
    model.source = "build 4711"
    model.signedBy = "release"
    model.weight = 500
    model.isShadow = true
    model.memoryBytes = 2600
    return model
  }

  @Test func listModels() throws {
    let response = ListModelsResponse(models: [model, ModelInfo()])
    let bytes = encoded { response.encode(into: $0, arena: $1) }
    #expect(try decoded(bytes) { try ListModelsResponse(decoding: $0, arena: $1) } == response)
    #expect(try decoded([]) { try ListModelsResponse(decoding: $0, arena: $1) }.models.isEmpty)
  }

  @Test func statesOfALife() throws {
    let names = [
      "unknown", "loading", "ready", "failed", "warming", "draining", "unloaded", "withdrawn", "unknown",
    ]
    for (number, name) in names.enumerated() {
      let bytes = Message().message(1, Message().number(3, UInt64(number))).bytes
      let state = try decoded(bytes) { try GetModelResponse(decoding: $0, arena: $1) }.model.state
      #expect(state.name == name && (number == 8 || state.rawValue == UInt32(number)))
    }
  }

  @Test func getModel() throws {
    for request in [
      GetModelRequest(model: "digits"), GetModelRequest(model: "digits", version: .max),
      GetModelRequest(model: "digits", alias: "stable"),
    ] {
      let bytes = encoded { request.encode(into: $0, arena: $1) }
      #expect(try decoded(bytes) { try GetModelRequest(decoding: $0, arena: $1) } == request)
    }
    let both = Message().text(1, "digits").number(2, 1).text(3, "stable").bytes
    #expect(throws: Status.self) {
      try decoded(both) { try GetModelRequest(decoding: $0, arena: $1) }
    }
    let response = GetModelResponse(model: model)
    let bytes = encoded { response.encode(into: $0, arena: $1) }
    #expect(try decoded(bytes) { try GetModelResponse(decoding: $0, arena: $1) } == response)
  }

  @Test func whatDoesNotFitIsNotWritten() {
    let labels = (0..<20_000).map { "label \($0)" }
    var large = model
    large.labels = labels
    #expect(encoded { GetModelResponse(model: large).encode(into: $0, arena: $1) }.isEmpty)
    #expect(encoded { ListModelsResponse(models: [large]).encode(into: $0, arena: $1) }.isEmpty)
    let exact = Message().text(1, "digits").bytes.count
    #expect(
      encoded(room: exact) { ModelNameRequest(model: "digits").encode(into: $0, arena: $1) }.count == exact)
    #expect(
      encoded(room: exact - 1) { ModelNameRequest(model: "digits").encode(into: $0, arena: $1) }.isEmpty)
    #expect(encoded(room: 4) { Status(.internal, "R", "too long").encode(into: $0, arena: $1) }.isEmpty)
  }
}
