import ApusClient
import ApusIO
import ApusLane
import ApusWire
import Foundation
import Glibc
import Testing

/// Calls through shared memory answer what calls over the socket answer.
@Suite struct LaneTests {
  static let text = FaultTests.text
  static let golden = GoldenAnswerTests.models[1]

  static func digits() throws -> (ServerProcess, ModelFolder) {
    let folder = try ModelFolder().copy("torch/digits_mlp/digits_mlp.pth", to: "digits/1/model.pth")
    return (try ServerProcess(models: folder.path), folder)
  }

  @Test func everyFormOfCallAnswersAsOverTheSocket() throws {
    let (server, folder) = try Self.digits()
    defer { withExtendedLifetime(folder) {} }
    let overSocket = try SynchronousClient(server.unix)
    let overLane = try SynchronousClient(server.lane)
    let rows = try Self.golden.rows()
    for count in [1, 2, 100, 128] {
      for top in [0, 3] {
        for isFull in [false, true] {
          var call = ClassifyCall("digits", top: top, shape: [count, 64])
          call.wantLabels = isFull
          call.wantScores = isFull
          call.wantDigest = isFull
          var expected = ClassifyResult()
          var result = ClassifyResult()
          try overSocket.classify(Array(rows[..<(64 * count)]), call, into: &expected)
          for _ in 0..<3 {
            try overLane.classify(Array(rows[..<(64 * count)]), call, into: &result)
            #expect(result.probabilities == expected.probabilities && result.indices == expected.indices)
            #expect(result.labels == expected.labels && result.scores == expected.scores)
            #expect(result.digest == expected.digest && result.rows == count)
          }
        }
      }
    }
    #expect(throws: ClientError.self) {
      var result = ClassifyResult()
      try overLane.classify([1, 2, 3], ClassifyCall("digits"), into: &result)
    }
    var result = ClassifyResult()
    try overLane.classify(Array(rows[..<64]), ClassifyCall("digits"), into: &result)
    #expect(result.classes == 10)
  }

  /// Frames longer than a ring go through it in pieces, both ways.
  @Test func batchesLargerThanTheRingsAreRight() throws {
    let folder = try ModelFolder().copy("torch/digits_mlp/digits_mlp.pth", to: "digits/1/model.pth")
    defer { withExtendedLifetime(folder) {} }
    let small = try folder.configuration("limits:\n  lane_ring_bytes: 4096\n")
    let server = try ServerProcess(models: folder.path, arguments: ["--config", small])
    let client = try SynchronousClient(server.lane)
    let digits = try Self.golden.rows()
    var expected = ClassifyResult()
    try SynchronousClient(server.unix).classify(
      digits, ClassifyCall("digits", shape: [128, 64]), into: &expected)
    var result = ClassifyResult()
    for count in [1, 64, 128, 512, 8192, 3, 32_768] {
      let rows = (0..<(count + 127) / 128).flatMap { _ in digits }[..<(64 * count)]
      try client.classify(Array(rows), ClassifyCall("digits", shape: [count, 64]), into: &result)
      try #require(result.rows == count)
      for row in 0..<count where row % 97 == 0 || count < 600 {
        let place = row % 128 * 10
        let worst = zip(
          result.probabilities[row * 10..<row * 10 + 10], expected.probabilities[place..<place + 10]
        )
        .map { abs($0 - $1) }.max()
        try #require(worst! < 1e-5, "row \(row) of \(count)")
      }
    }
  }

  @Test func asynchronousClientUsesALane() async throws {
    let server = try ServerProcess()
    let client = try ApusClient(server.lane)
    try await withThrowingTaskGroup(of: ClassifyResult.self) { group in
      for _ in 0..<500 {
        group.addTask { try await client.classify("textclassifier", LaneTests.text) }
      }
      for try await result in group { #expect(abs(result.probabilities.reduce(0, +) - 1) < 1e-6) }
    }
    #expect(try SynchronousClient(server.unix).lanes() == 1)
    client.close()
    #expect(try waitUntil(seconds: 5) { try SynchronousClient(server.unix).lanes() == 0 })
  }

  @Test func healthStatsAndModelsComeThroughALane() throws {
    let server = try ServerProcess()
    let client = try SynchronousClient(server.lane)
    #expect(try client.health("", timeoutNanoseconds: 5_000_000_000).status == .serving)
    #expect(try client.models(timeoutNanoseconds: 5_000_000_000).contains { $0.name == "textclassifier" })
    #expect(try client.lanes() == 1)
  }

  @Test func serverWithoutLanesSaysSoAndAutomaticClientsGoOnOverTheSocket() throws {
    let folder = try ModelFolder().copy("torch/digits_mlp/digits_mlp.pth", to: "digits/1/model.pth")
    defer { withExtendedLifetime(folder) {} }
    let none = try folder.configuration("limits:\n  lanes: 0\n")
    let server = try ServerProcess(models: folder.path, arguments: ["--config", none])
    #expect {
      _ = try SynchronousClient(server.lane)
    } throws: { "\($0)".contains("opens no lane") }
    var options = ClientOptions()
    options.lane = .automatic
    let client = try SynchronousClient(server.unix, options: options)
    var result = ClassifyResult()
    try client.classify(Array(try Self.golden.rows()[..<64]), ClassifyCall("digits"), into: &result)
    #expect(result.classes == 10)
  }

  /// A server is told of its Unix socket, over which lanes are opened.
  @Test func commandsWithoutAServerSayHowToStartOne() throws {
    let run = try CommandRun(["health", "--to", "shm:/nowhere/s"])
    #expect(run.status == 1)
    #expect(run.errors.contains("Start it with: apus serve --listen unix:/nowhere/s"), "\(run.errors)")
  }

  @Test func automaticClientsGetALaneWhereThereIsOne() throws {
    let server = try ServerProcess()
    var options = ClientOptions()
    options.lane = .automatic
    let client = try SynchronousClient(server.unix, options: options)
    var result = ClassifyResult()
    try client.classify(Self.text, ClassifyCall("textclassifier"), into: &result)
    #expect(try client.lanes() == 1)
    let over = try SynchronousClient(server.unix)
    try over.classify(Self.text, ClassifyCall("textclassifier"), into: &result)
    #expect(try over.lanes() == 1)
  }

  @Test func lanesAreForUnixSocketsAndOpenedOnce() throws {
    let server = try ServerProcess(overTCP: true)
    let open = frame(1, .openLane) { OpenLaneRequest().encode(into: $0, arena: $1) }
    let tcp = try RawConnection(server.tcp)
    tcp.send(open)
    #expect(try tcp.answer()?.status?.reason == "LANE_NOT_HERE")
    let lane = try RawLane(server.unix)
    lane.send(open)
    #expect(try lane.answer()?.status?.reason == "LANE_NOT_HERE")
    lane.send(classifyFrame(7, "textclassifier", Self.text))
    #expect(try lane.answer()?.id == 7)
  }

  /// A server that sleeps is woken, and one that drains answers what it has read.
  @Test func drainingEndsALaneInOrder() throws {
    let server = try ServerProcess()
    let lane = try RawLane(server.unix)
    usleep(100_000)
    lane.send(classifyFrame(2, "textclassifier", Self.text))
    #expect(try lane.answer()?.id == 2)
    server.signal(SIGTERM)
    #expect(try lane.answer()?.isGoaway == true)
    lane.send(classifyFrame(3, "textclassifier", Self.text))
    let late = try lane.answer()
    #expect(late == nil || late?.status?.reason == "NOT_PROCESSED")
    #expect(server.exitStatus() == 0)
  }

  /// Whatever the server does when a call comes, look, fall asleep or sleep, it notices.
  @Test func callsAfterAnyPauseAreAnswered() throws {
    let server = try ServerProcess(arguments: ["--threads", "1"])
    let lanes = try (0..<2).map { _ in try RawLane(server.unix) }
    for id in 1...3000 as ClosedRange<UInt64> {
      let lane = lanes[Int.random(in: 0...1)]
      let burst = UInt64.random(in: 1...4)
      for place in 0..<burst { lane.send(classifyFrame(4 * id + place, "textclassifier", Self.text)) }
      for place in 0..<burst { try #require(try lane.answer()?.id == 4 * id + place) }
      if id % 3 > 0 { usleep(UInt32.random(in: 0...150)) }
    }
  }

  @Test func skipFramesArePassedOver() throws {
    let server = try ServerProcess()
    let lane = try RawLane(server.unix)
    let skip = headerFrame(0, kind: .skip) { $0.bodyBytes = 100 } + [UInt8](repeating: 0, count: 128)
    lane.send(skip + classifyFrame(2, "textclassifier", Self.text) + skip)
    #expect(try lane.answer()?.id == 2)
    lane.send(skip + classifyFrame(3, "textclassifier", Self.text))
    #expect(try lane.answer()?.id == 3)
  }
}

extension ServerProcess {
  var lane: String { "shm:\(socket)" }
}

extension SynchronousClient {
  /// Lanes that the server holds now.
  func lanes() throws -> UInt64 {
    try stats("", timeoutNanoseconds: 5_000_000_000).server?.lanesOpen ?? .max
  }
}
