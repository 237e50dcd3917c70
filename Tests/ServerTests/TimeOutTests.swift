import ApusBase
import ApusEngine
import ApusIO
import ApusServer
import ApusWire
import Foundation
import Testing

/// Time-outs and backpressure, in a server inside this process whose limits are short.
@Suite struct TimeOutTests {
  /// A server of one thread with one model, `wide`: 4 numbers in, 1,000 classes out, so that answers are
  /// twenty times the size of their requests.
  private final class LocalServer {
    let server: Server
    let address: String
    private let folder: ModelFolder

    init(_ change: (inout Limits) -> Void) throws {
      folder = try ModelFolder()
      address = "unix:\(folder.path)/s"
      let model = try MetricsServer.model("wide", outputs: 1000)
      var configuration = Server.Configuration()
      configuration.listen = [.unix(path: "\(folder.path)/s")]
      configuration.limits.drainNanoseconds = 2_000_000_000
      configuration.limits.lingerNanoseconds = 200_000_000
      change(&configuration.limits)
      server = try Server(catalog: Catalog([model]), configuration)
    }

    deinit { server.drain() }
  }

  private func frame(_ id: UInt64, _ configure: (inout ClassifyOptions) -> Void = { _ in }) -> [UInt8] {
    classifyFrame(id, "wide", [1, 2, 3, 4], configure)
  }

  private func expectAnswer(_ answer: RawConnection.Answer?, id: UInt64) throws {
    let answer = try #require(answer)
    try #require(answer.id == id && answer.status == nil, "\(id): \(String(describing: answer.status))")
    try #require(
      answer.probabilities.count == 1000 && answer.probabilities.allSatisfy { abs($0 - 0.001) < 1e-7 })
  }

  /// Sends calls until the server reads no more.
  ///
  /// - Returns: how many whole ones it was sent.
  private func fill(_ connection: RawConnection) -> UInt64 {
    for id in UInt64(1)... {
      let bytes = frame(id)
      if connection.send(bytes, milliseconds: 100) < bytes.count { return id - 1 }
    }
    return 0
  }

  @Test func peerThatDoesNotReadIsClosedAfterTheWriteTimeOutAndNotBefore() throws {
    let server = try LocalServer { $0.writeTimeoutNanoseconds = 1_000_000_000 }
    let patient = try RawConnection(server.address)
    let sent = fill(patient)
    // The time counts from the last answer that the peer took.
    for id in 1...3 * sent / 4 { try expectAnswer(patient.answer(), id: id) }
    usleep(400_000)
    for id in 3 * sent / 4 + 1...sent { try expectAnswer(patient.answer(), id: id) }

    let silent = try RawConnection(server.address)
    let lost = fill(silent)
    let before = Date()
    let other = try RawConnection(server.address)
    var closed = false
    while !closed, Date().timeIntervalSince(before) < 10 {
      other.send(frame(1))
      try expectAnswer(other.answer(), id: 1)
      usleep(20_000)
      closed = silent.send([0], milliseconds: 0) == 0 && silent.isBroken
    }
    #expect(closed, "the peer that does not read was never closed")
    #expect(Date().timeIntervalSince(before) > 0.5)
    // It was owed all of them; some are gone with it.
    var answered: UInt64 = 0
    while let answer = try? silent.answer() {
      try expectAnswer(answer, id: answered + 1)
      answered += 1
    }
    #expect(answered < lost)
  }

  @Test func frameBegunAndNotEndedTimesOutButAnIdleConnectionDoesNot() throws {
    let server = try LocalServer { $0.frameTimeoutNanoseconds = 300_000_000 }
    let idle = try RawConnection(server.address)
    idle.send(frame(1))
    try expectAnswer(idle.answer(), id: 1)
    let large = headerFrame(1) { $0.bodyBytes = 1 << 20 }
    for beginning in [[0x41], Array(frame(1).prefix(40)), Array(frame(1).dropLast()), large] {
      let connection = try RawConnection(server.address)
      connection.send(beginning)
      let answers = try connection.answersUntilEnd()
      #expect(answers.map { $0.status?.reason } == ["FRAME_TIMEOUT"])
    }
    idle.send(frame(2))
    try expectAnswer(idle.answer(), id: 2)
  }

  /// Each frame comes whole in a moment; that the stream is always cut inside of one must not add up.
  @Test func streamCutInsideOfFramesDoesNotTimeOut() throws {
    let server = try LocalServer { $0.frameTimeoutNanoseconds = 300_000_000 }
    let connection = try RawConnection(server.address)
    var carry: [UInt8] = []
    for id in UInt64(1)...50 {
      // The call's own time-out counts from its first byte, not from that of the connection's busy time.
      let bytes = carry + frame(id) { $0.timeoutNanoseconds = 200_000_000 }
      connection.send(Array(bytes.dropLast(50)))
      carry = Array(bytes.suffix(50))
      if id > 1 { try expectAnswer(connection.answer(), id: id - 1) }
      usleep(15_000)
    }
  }

  /// A status for a broken frame comes behind the answers that the peer has not taken yet.
  @Test func brokenFrameBehindUnreadAnswersLosesNone() throws {
    let server = try LocalServer { _ in }
    for count in stride(from: UInt64(10), through: 200, by: 10) {
      let connection = try RawConnection(server.address)
      let bytes = (1...count).flatMap { frame($0) } + Array("GET / HTTP/1.1\r\n".utf8)
      #expect(connection.send(bytes) == bytes.count)
      usleep(20_000)
      var waiting = Set(1...count)
      while !waiting.isEmpty {
        let answer = try #require(try connection.answer())
        try #require(answer.status == nil && waiting.remove(answer.id) != nil)
      }
      #expect(try connection.answersUntilEnd().map { $0.status?.reason } == ["NOT_APUS"])
    }
  }

  /// Goaway, too, comes behind the answers that the peer has not taken, and the peer has time to take them.
  @Test func drainWaitsForAPeerThatReadsLate() throws {
    let server = try LocalServer { _ in }
    let connection = try RawConnection(server.address)
    let sent = fill(connection)
    let drain = Foundation.Thread { [server = server.server] in server.drain() }
    drain.start()
    usleep(600_000)
    var outcomes: [String] = []
    var waiting = Set(1...sent)
    while let answer = try connection.answer() {
      if answer.isGoaway {
        outcomes.append("goaway")
        continue
      }
      try #require(waiting.remove(answer.id) != nil, "none is lost")
      if outcomes.last != answer.status?.reason ?? "OK" { outcomes.append(answer.status?.reason ?? "OK") }
    }
    // The last call was sent in part, so that no answer is due to it.
    #expect(waiting.isEmpty)
    // What was computed when it came is answered behind it.
    #expect(outcomes.filter { $0 == "goaway" }.count == 1 && outcomes.last == "NOT_PROCESSED", "\(outcomes)")
  }
}
