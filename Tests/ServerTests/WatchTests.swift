import ApusBase
import ApusEngine
import ApusIO
import ApusServer
import ApusWire
import Foundation
import Testing

/// A WatchHealth request as it goes over the wire.
func watchFrame(_ id: UInt64, _ model: String = "") -> [UInt8] {
  let arena = MetadataArena(byteCount: 64 << 10)
  var metadata = [UInt8](repeating: 0, count: 32)
  let count = metadata.withUnsafeMutableBytes {
    ModelNameRequest(model: model).encode(into: $0, arena: arena)
  }
  var frame = headerFrame(id, method: .watchHealth) { $0.metadataBytes = UInt32(count) }
  frame.replaceSubrange(32..<32 + count, with: metadata[..<count])
  return frame
}

extension RawConnection.Answer {
  var hasMore: Bool { FrameFlags(rawValue: header.flags).contains(.more) }

  /// What a watch was told, for example `1 SERVING …`, the dots for more to come; statuses by their reason.
  var told: String {
    if isGoaway { return "goaway" }
    if let status { return "\(id) \(status.reason)" }
    guard header.method == Method.watchHealth.rawValue else { return "\(id) answer" }
    let arena = MetadataArena(byteCount: 64 << 10)
    let health = metadata.withUnsafeBytes { try? HealthResponse(decoding: $0, arena: arena) }
    return "\(id) \(health?.status.name ?? "broken")\(hasMore ? " …" : "")"
  }
}

/// Health watches over real sockets: each has one final answer, whatever ends it.
@Suite(.timeLimit(.minutes(15))) struct WatchTests {
  private static let digits = (0..<64).map { Float($0 % 17) }

  private func told(_ connection: RawConnection, _ count: Int) throws -> [String] {
    try (0..<count).map { _ in try #require(try connection.answer()).told }
  }

  // MARK: What it tells

  @Test func aWatchIsToldOfTheDrainBeforeTheGoaway() throws {
    let server = try ServerProcess(overTCP: true)
    for address in [server.unix, server.tcp] { try FaultTests.expectServing(address) }
    let connections = try [server.unix, server.tcp].map { try RawConnection($0) }
    for connection in connections {
      connection.send(watchFrame(1) + watchFrame(2, "digits") + watchFrame(3, "nobody"))
      #expect(try told(connection, 3) == ["1 SERVING …", "2 SERVING …", "3 SERVICE_UNKNOWN …"])
      connection.send(classifyFrame(4, "digits", Self.digits))
      #expect(try told(connection, 1) == ["4 answer"], "calls go on beside watches")
    }
    server.signal(SIGTERM)
    for connection in connections {
      #expect(
        try connection.answersUntilEnd().map(\.told)
          == ["1 NOT_SERVING", "2 NOT_SERVING", "3 NOT_SERVING", "goaway"])
    }
    #expect(server.exitStatus() == 0)
  }

  @Test func aModelThatFailedIsNotServing() throws {
    let folder = try ModelFolder().copy("bad/pth_short_storage.pth", to: "short/1/model.pth")
    let server = try ServerProcess(models: folder.path)
    let connection = try RawConnection(server.unix)
    connection.send(watchFrame(1, "short"))
    #expect(try told(connection, 1) == ["1 NOT_SERVING …"])
  }

  @Test func aCancelEndsAWatchAndFreesItsId() throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    connection.send(watchFrame(1) + watchFrame(2))
    #expect(try told(connection, 2) == ["1 SERVING …", "2 SERVING …"])
    connection.send([1, 1, 9].flatMap { headerFrame($0, kind: .cancel) })
    connection.send(classifyFrame(3, "digits", Self.digits))
    #expect(try told(connection, 2) == ["1 CANCELLED", "3 answer"])
    connection.send(watchFrame(1))
    #expect(try told(connection, 1) == ["1 SERVING …"])
    // One that is cancelled before it has begun has one answer, too.
    connection.send(watchFrame(4) + headerFrame(4, kind: .cancel) + classifyFrame(5, "digits", Self.digits))
    #expect(try told(connection, 2) == ["4 CANCELLED", "5 answer"])
    server.signal(SIGTERM)
    #expect(try connection.answersUntilEnd().map(\.told) == ["2 NOT_SERVING", "1 NOT_SERVING", "goaway"])
  }

  @Test func theIdOfAWatchIsInUse() throws {
    let server = try ServerProcess()
    for second in [classifyFrame(7, "digits", Self.digits), watchFrame(7)] {
      let connection = try RawConnection(server.unix)
      connection.send(watchFrame(7))
      #expect(try told(connection, 1) == ["7 SERVING …"])
      connection.send(second)
      #expect(try connection.answersUntilEnd().map(\.told) == ["7 REQUEST_ID_REUSED"])
    }
    try FaultTests.expectServing(server.unix)
  }

  @Test func whoEndsItsSendingSideHasItsWatchesCancelled() throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    connection.send(watchFrame(1) + watchFrame(2))
    connection.endSending()
    #expect(
      try connection.answersUntilEnd().map(\.told)
        == ["1 SERVING …", "2 SERVING …", "1 CANCELLED", "2 CANCELLED"])
    // One that is gone altogether leaves nothing behind.
    let gone = try RawConnection(server.unix)
    gone.send(watchFrame(1))
    _ = try told(gone, 1)
    gone.close()
    try FaultTests.expectServing(server.unix)
    #expect(server.terminate() == 0)
  }

  // MARK: Bounds

  @Test func aConnectionHasEightWatches() throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    for id in UInt64(1)...9 { connection.send(watchFrame(id)) }
    let first = try told(connection, 9)
    #expect(first.count { $0.hasSuffix("SERVING …") } == 8 && first[8] == "9 TOO_MANY_WATCHES")
    connection.send(headerFrame(3, kind: .cancel) + watchFrame(9))
    #expect(try told(connection, 2) == ["3 CANCELLED", "9 SERVING …"])
    let other = try RawConnection(server.unix)
    other.send(watchFrame(1))
    #expect(try told(other, 1) == ["1 SERVING …"])
  }

  @Test func aFloodOfWatchesIsAnsweredOneByOne() throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    let count = 20_000
    let sender = Foundation.Thread {
      var bytes: [UInt8] = []
      for id in 1...UInt64(count) { bytes += watchFrame(id) }
      connection.send(bytes)
    }
    sender.start()
    var refused = 0
    for id in 1...count {
      let answer = try #require(try connection.answer())
      try #require(answer.id == UInt64(id))
      if answer.status?.code == .resourceExhausted { refused += 1 }
    }
    #expect(refused == count - 8)
    try FaultTests.expectServing(server.unix)
    server.signal(SIGTERM)
    #expect(try connection.answersUntilEnd().count == 9)
  }

  /// A peer that reads nothing: what it is told is what holds once it reads, once for each watch.
  @Test func aSlowReaderIsToldOfTheDrainOnce() throws {
    let folder = try ModelFolder()
    let model = try MetricsServer.model("wide", outputs: 1000)
    var configuration = Server.Configuration()
    configuration.listen = [.unix(path: "\(folder.path)/s")]
    let server = try Server(catalog: Catalog([model]), configuration)
    let connection = try RawConnection("unix:\(folder.path)/s")
    connection.send(watchFrame(1_000_001) + watchFrame(1_000_002))
    #expect(try told(connection, 2).allSatisfy { $0.hasSuffix("SERVING …") })
    var calls: UInt64 = 0
    while true {
      let bytes = classifyFrame(calls + 1, "wide", [1, 2, 3, 4])
      if connection.send(bytes, milliseconds: 100) < bytes.count { break }
      calls += 1
    }
    let drain = Foundation.Thread { server.drain() }
    drain.start()
    let answers = try connection.answersUntilEnd().map(\.told)
    #expect(answers.count { $0.hasSuffix("answer") || $0.hasSuffix("NOT_PROCESSED") } >= Int(calls))
    #expect(
      answers.filter { $0.hasPrefix("100000") } == ["1000001 NOT_SERVING", "1000002 NOT_SERVING"])
    let goaway = try #require(answers.firstIndex(of: "goaway"))
    #expect(answers[goaway - 1] == "1000002 NOT_SERVING")
    #expect(waitUntil(seconds: 10) { drain.isFinished })
  }

  // MARK: Access

  private func policy(_ models: String, _ limits: String = "") -> String {
    "identities:\n  uid:\(getuid()): {models: [\(models)], methods: [classify]\(limits)}\n"
  }

  @Test func aWatchNeedsTheRightThatHealthNeedsAndEndsWithIt() throws {
    let server = try SecureServer(policy: policy("digits, textclassifier"))
    let connection = try RawConnection(server.process.unix)
    connection.send(watchFrame(1) + watchFrame(2, "digits") + watchFrame(3, "nobody"))
    #expect(try told(connection, 3) == ["1 SERVING …", "2 SERVING …", "3 ACCESS_DENIED"])
    func replace(_ text: String) throws {
      try server.files.write("policy.yaml", Data(text.utf8))
      server.process.signal(SIGHUP)
    }
    // A policy that gives as much is no change: the next thing to come is the call's answer.
    try replace(policy("digits"))
    #expect(waitUntil(seconds: 10) { server.process.log.contains("the policy was read again") })
    connection.send(classifyFrame(4, "digits", Self.digits))
    #expect(try told(connection, 1) == ["4 answer"])
    try replace(policy("textclassifier"))
    let answer = try #require(try connection.answer())
    #expect(answer.told == "2 ACCESS_DENIED" && answer.status?.code == .permissionDenied)
    try replace("identities: {}\n")
    #expect(try told(connection, 1) == ["1 ACCESS_DENIED"])
  }

  @Test func aWatchTakesNoCallInFlight() throws {
    let server = try SecureServer(policy: policy("\"*\"", ", max_in_flight: 1"))
    let connection = try RawConnection(server.process.unix)
    connection.send(watchFrame(1))
    #expect(try told(connection, 1) == ["1 SERVING …"])
    connection.send(classifyFrame(2, "digits", Self.digits))
    #expect(try told(connection, 1) == ["2 answer"])
  }
}
