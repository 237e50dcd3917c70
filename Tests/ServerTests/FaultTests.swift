import ApusClient
import ApusWire
import Foundation
import Glibc
import Testing

/// Peers that vanish, stall, lie or speak something else: they get what the protocol says, and nobody else
/// notices.
@Suite struct FaultTests {
  static let text = [Float](repeating: 0.5, count: 100)

  /// Asks over a connection of its own; fails the test when the server does not answer rightly.
  static func expectServing(_ address: String, _ comment: Comment? = nil) throws {
    var call = ClassifyCall("textclassifier")
    call.timeoutNanoseconds = 10_000_000_000
    var result = ClassifyResult()
    try SynchronousClient(address).classify(text, call, into: &result)
    #expect(abs(result.probabilities.reduce(0, +) - 1) < 1e-6, comment)
  }

  private func expectAnswer(_ answer: RawConnection.Answer?, id: UInt64) throws {
    let answer = try #require(answer)
    #expect(answer.id == id && answer.status == nil, "\(String(describing: answer.status))")
    #expect(answer.body.count == 8 && abs(answer.probabilities.reduce(0, +) - 1) < 1e-6)
  }

  // MARK: Clients that vanish

  @Test func clientGoneInMidFrameLeavesNothingBehind() throws {
    let server = try ServerProcess(overTCP: true, arguments: ["--threads", "1"])
    let watcher = try SynchronousClient(server.unix)
    let whole = classifyFrame(1, "textclassifier", Self.text)
    // A server that forgot what a broken-off large frame takes would run out of its 256 MiB for them.
    let large = headerFrame(2) { $0.bodyBytes = 60 << 20 } + [UInt8](repeating: 0, count: 200_000)
    for address in [server.unix, server.tcp] {
      for round in 0..<12 {
        for bytes in [
          Array(whole.prefix(7)), Array(whole.prefix(32)), Array(whole.prefix(whole.count / 2)), large,
        ] {
          let connection = try RawConnection(address)
          #expect(connection.send(bytes) == bytes.count)
          if round % 2 == 0 { connection.close() } else { connection.reset() }
        }
        // With answers that nobody will read on their way.
        let connection = try RawConnection(address)
        connection.send(
          (1...50).flatMap { classifyFrame($0, "textclassifier", Self.text) } + whole.prefix(100))
        if round % 2 == 0 { connection.reset() } else { connection.close() }
      }
    }
    let closed = try waitUntil(seconds: 5) {
      try watcher.stats("", timeoutNanoseconds: 0).server?.connectionsOpen == 1
    }
    #expect(closed, "connections of clients that are gone are still open")
    var result = ClassifyResult()
    // Refused for its rows, after it was received whole, and not for want of memory.
    #expect {
      try watcher.classify(
        [Float](repeating: 0, count: 150_000 * 100), ClassifyCall("textclassifier", shape: [150_000, 100]),
        into: &result)
    } throws: { error in
      if case .status(let status) = error as? ClientError {
        status.reason == "BATCH_TOO_LARGE"
      } else {
        false
      }
    }
    try Self.expectServing(server.tcp)
    #expect(server.terminate() == 0)
  }

  @Test func serverKilledInMidCallIsATypedError() throws {
    let server = try ServerProcess()
    let client = try SynchronousClient(server.unix)
    var result = ClassifyResult()
    let call = ClassifyCall("textclassifier")
    try client.classify(Self.text, call, into: &result)
    // A stopped server has the call and will never answer it.
    server.signal(SIGSTOP)
    try #require(waitUntil(seconds: 5) { server.isStopped })
    let pid = server.pid
    Foundation.Thread.detachNewThread {
      usleep(100_000)
      kill(pid, SIGKILL)
    }
    #expect {
      try client.classify(Self.text, call, into: &result)
    } throws: { error in
      if case .connectionLost = error as? ClientError { true } else { false }
    }
    _ = server.exitStatus()
    #expect {
      try client.classify(Self.text, call, into: &result)
    } throws: { error in
      if case .connectionFailed = error as? ClientError { true } else { false }
    }
  }

  // MARK: Slow and many

  @Test func oneByteAtATimeIsAnswered() throws {
    let server = try ServerProcess(overTCP: true)
    for address in [server.unix, server.tcp] {
      let connection = try RawConnection(address)
      for id in 1...3 {
        for byte in classifyFrame(UInt64(id), "textclassifier", Self.text) { connection.send([byte]) }
        try expectAnswer(connection.answer(), id: UInt64(id))
      }
    }
  }

  @Test func twoThousandConnectionsAreServedEach() throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = min(limit.rlim_max, 20_000)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    try #require(limit.rlim_cur >= 4000, "this machine allows too few descriptors")
    let server = try ServerProcess()
    let connections = try (0..<2000).map { _ in try RawConnection(server.unix) }
    for round in 1...2 {
      let frame = classifyFrame(UInt64(round), "textclassifier", Self.text)
      for connection in connections { #expect(connection.send(frame) == frame.count) }
      for connection in connections { try expectAnswer(connection.answer(), id: UInt64(round)) }
    }
    let open = try SynchronousClient(server.unix).stats("", timeoutNanoseconds: 0).server?.connectionsOpen
    #expect(open == 2001)
    for connection in connections { connection.close() }
    try Self.expectServing(server.unix)
    #expect(server.terminate() == 0)
  }

  @Test func clientThatNeverReadsHarmsNobody() throws {
    let server = try ServerProcess(overTCP: true, arguments: ["--threads", "1"])
    try Self.expectServing(server.unix)
    let before = server.residentBytes
    let frame = classifyFrame(1, "textclassifier", Self.text)
    let idOffset = 8
    var silent: [(connection: RawConnection, whole: Int, rest: [UInt8])] = []
    for index in 0..<8 {
      let connection = try RawConnection(index % 2 == 0 ? server.unix : server.tcp)
      var sent = 0
      var blocked: [UInt8]?
      for id in UInt64(1)...200_000 {
        var bytes = frame
        bytes.replaceSubrange(idOffset..<idOffset + 8, with: withUnsafeBytes(of: id.littleEndian, Array.init))
        let count = connection.send(bytes, milliseconds: 200)
        if count < bytes.count {
          blocked = Array(bytes[count...])
          break
        }
        sent += 1
      }
      // The kernel's buffers and the server's are full, and the server reads no more.
      silent.append(
        (connection, sent, try #require(blocked, "the server took 200,000 calls and kept the answers")))
      try Self.expectServing(server.unix, "others are served beside \(index + 1) that do not read")
    }
    let grown = server.residentBytes - before
    // What waits is in memory whose size does not hang on who does not read.
    #expect(grown < 40 << 20, "the server grew by \(grown) bytes")
    // Who reads after all has lost nothing.
    for (connection, whole, rest) in silent {
      var waiting = Set(1...UInt64(whole))
      while !waiting.isEmpty {
        let answer = try #require(try connection.answer())
        try #require(answer.status == nil && waiting.remove(answer.id) != nil)
      }
      #expect(connection.send(rest) == rest.count)
      try expectAnswer(connection.answer(), id: UInt64(whole) + 1)
    }
    #expect(server.terminate() == 0)
  }

  /// Their answers wait for room, and it ends while the server sends one after the other.
  @Test func clientsThatVanishWhileTheyReadLeaveNothingBehind() throws {
    let server = try ServerProcess(overTCP: true, arguments: ["--threads", "1"])
    let rows = [Float](repeating: 0.5, count: 16 * 64)
    let calls = (UInt64(1)...2000).flatMap { classifyFrame($0, "digits", rows, rows: 16) }
    for round in 1...20 {
      let connections = try (0..<3).map { _ in try RawConnection(server.unix) }
      // A server without a processor may take fewer than it could.
      let sent = connections.map { $0.send(calls, milliseconds: 50) / (calls.count / 2000) }
      for (place, connection) in connections.enumerated() {
        for _ in 0..<min(sent[place], (2 * round * (place + 7)) % 900) {
          _ = try #require(try connection.answer(within: 60), "the server ended the connection")
        }
        connection.close()
      }
    }
    try Self.expectServing(server.unix)
    #expect(server.terminate() == 0)
  }

  @Test func halfClosedConnectionGetsItsAnswers() throws {
    let server = try ServerProcess(overTCP: true)
    for address in [server.unix, server.tcp] {
      for count in [1, 400] {
        let connection = try RawConnection(address)
        connection.send((1...UInt64(count)).flatMap { classifyFrame($0, "textclassifier", Self.text) })
        connection.endSending()
        for id in 1...UInt64(count) { try expectAnswer(connection.answer(), id: id) }
        #expect(try connection.answer() == nil, "the server ends the connection after its last answer")
      }
    }
  }

  // MARK: Bytes that are wrong

  /// What breaks the protocol, with the reason and the request id of the one status that comes back.
  static let broken: [(name: String, bytes: [UInt8], reason: String, id: UInt64)] = [
    ("body of 2^63", headerFrame(9) { $0.bodyBytes = 1 << 63 }, "BODY_TOO_LARGE", 9),
    ("body of 2^64 - 1", headerFrame(9) { $0.bodyBytes = .max }, "BODY_TOO_LARGE", 9),
    ("metadata of 2^32 - 1", headerFrame(9) { $0.metadataBytes = .max }, "METADATA_TOO_LARGE", 9),
    ("HTTP", Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8), "NOT_APUS", 0),
    ("one foreign byte", Array("G".utf8), "NOT_APUS", 0),
    ("TLS", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01], "NOT_APUS", 0),
    ("version 2", headerFrame(9) { $0.version = 2 }, "VERSION_UNSUPPORTED", 9),
    ("kind 9", headerFrame(9) { $0.kind = 9 }, "KIND_UNKNOWN", 9),
    ("an answer", headerFrame(9, kind: .answer), "KIND_UNKNOWN", 9),
    ("flag 31", headerFrame(9) { $0.flags = 1 << 31 }, "FLAGS_UNKNOWN", 9),
    ("request id 0", headerFrame(0), "REQUEST_ID_ZERO", 0),
  ]

  @Test func whatIsNoFrameGetsOneStatusAndTheEnd() throws {
    let server = try ServerProcess(overTCP: true)
    for address in [server.unix, server.tcp] {
      for (name, bytes, reason, id) in Self.broken {
        let connection = try RawConnection(address)
        // A right call before it is answered all the same, and nothing behind it is read.
        let before = classifyFrame(1, "textclassifier", Self.text)
        connection.send(before + bytes)
        if bytes.count >= 64 { connection.send(classifyFrame(2, "textclassifier", Self.text)) }
        let answers = try connection.answersUntilEnd()
        try #require(answers.count == 2, "\(name)")
        try expectAnswer(answers[0], id: 1)
        #expect(answers[1].status?.reason == reason && answers[1].id == id, "\(name)")
        if reason == "VERSION_UNSUPPORTED" {
          #expect(answers[1].header.version == 1 && answers[1].status?.code == .unimplemented)
          #expect(answers[1].status?.message.contains("versions 1 to 1") == true)
        }
      }
    }
    try Self.expectServing(server.unix)
  }

  @Test func requestIDInUseGetsOneStatusAndTheEnd() throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    let frame = classifyFrame(7, "textclassifier", Self.text)
    // Free again once it is answered.
    for _ in 0..<3 {
      connection.send(frame)
      try expectAnswer(connection.answer(), id: 7)
    }
    connection.send(frame + classifyFrame(8, "textclassifier", Self.text) + frame)
    let last = try connection.answersUntilEnd()
    #expect(last.filter { $0.id == 7 }.map { $0.status?.reason } == ["REQUEST_ID_REUSED"])
    try Self.expectServing(server.unix)
  }

  @Test func cancelledRequestsGetExactlyOneAnswer() throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    var outcomes: [String: Int] = [:]
    var generator = SystemRandomNumberGenerator()
    for id in UInt64(1)...1000 {
      let cancel = headerFrame(id, kind: .cancel)
      switch id % 4 {
      case 0: connection.send(classifyFrame(id, "textclassifier", Self.text) + cancel)
      case 1: connection.send(cancel + classifyFrame(id, "textclassifier", Self.text))
      case 2:
        connection.send(classifyFrame(id, "textclassifier", Self.text))
        usleep(UInt32.random(in: 0..<200, using: &generator))
        connection.send(cancel)
      default:
        let bytes = classifyFrame(id, "textclassifier", Self.text) + cancel
        let cut = Int.random(in: 1..<bytes.count, using: &generator)
        connection.send(Array(bytes[..<cut]))
        connection.send(Array(bytes[cut...]))
      }
      // A second answer to any call before would come here in place of this one's.
      let answer = try #require(try connection.answer())
      #expect(answer.id == id)
      if let status = answer.status {
        #expect(status.code == .cancelled)
      } else {
        try expectAnswer(answer, id: id)
      }
      if id % 4 == 0 { #expect(answer.status != nil, "a cancel that came with its call") }
      if id % 4 == 1 { #expect(answer.status == nil, "a cancel of a call that has not come is ignored") }
      outcomes[answer.status?.reason ?? "OK", default: 0] += 1
    }
    connection.endSending()
    #expect(try connection.answer() == nil)
    #expect(outcomes.keys.sorted() == ["CANCELLED", "OK"], "\(outcomes)")
  }
}
