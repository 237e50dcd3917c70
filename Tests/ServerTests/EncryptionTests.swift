import ApusBase
import ApusClient
import ApusIO
import ApusStream
import ApusTLS
import ApusWire
import Foundation
import Glibc
import TestCertificates
import Testing

/// TLS against a real server.
@Suite(.timeLimit(.minutes(15))) struct EncryptionTests {
  @Test(arguments: [1, 3, 200, 1000])
  func answersAreThoseOfAnUnencryptedConnection(_ rows: Int) throws {
    let server = try SecureServer()
    let plain = try SynchronousClient(server.process.unix)
    let encrypted = try server.client()
    let expected = try classifyDigits(plain, rows: rows)
    #expect(expected.count == 10 * rows)
    for _ in 0..<3 { #expect(try classifyDigits(encrypted, rows: rows) == expected) }
  }

  @Test func manyCallsAreInFlight() async throws {
    let server = try SecureServer()
    let client = try ApusClient(server.process.tls, options: server.options())
    let expected = try classifyDigits(try SynchronousClient(server.process.unix)).map { Double($0) }
    let input = (0..<64).map { Float($0 % 17) }
    let equal = try await withThrowingTaskGroup(of: Bool.self, returning: Int.self) { group in
      for _ in 0..<2000 {
        group.addTask {
          let result = try await client.classify(input, ClassifyCall("digits"))
          return worstError(result.probabilities, expected[...]) < 1e-6
        }
      }
      return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(equal == 2000)
  }

  @Test func clientsTrustOnlyTheRightServer() throws {
    let server = try SecureServer()
    var options = try server.options()
    options.security.authorityFile = nil
    #expect(throws: ClientError.self) { try SynchronousClient(server.process.tls, options: options) }
    try server.files.write("other.pem", Data(Authority("test").pem))
    options.security.authorityFile = server.files.path + "/other.pem"
    #expect(throws: ClientError.self) { try SynchronousClient(server.process.tls, options: options) }
    options = try server.options()
    options.security.serverName = "elsewhere"
    #expect(throws: ClientError.self) { try SynchronousClient(server.process.tls, options: options) }
    options.security.serverName = "localhost"
    #expect(try classifyDigits(SynchronousClient(server.process.tls, options: options)).count == 10)
  }

  @Test func serversTrustOnlyTheRightClients() throws {
    let authority = Authority("clients")
    let server = try SecureServer(clientAuthority: authority)
    let naming = Naming(commonNames: ["checkout"])
    #expect(try classifyDigits(server.client(authority.issue(naming))).count == 10)
    // With TLS 1.3 a client learns of it with its first answer (RFC 8446, section 4.4.2.4).
    #expect(throws: ClientError.self) { try classifyDigits(server.client()) }
    let other = Authority("clients").issue(naming)
    #expect(throws: ClientError.self) { try classifyDigits(server.client(other)) }
    let expired = authority.issue(Naming(commonNames: ["checkout"], notBefore: -7200, notAfter: -3600))
    #expect(throws: ClientError.self) { try classifyDigits(server.client(expired)) }
    #expect(try classifyDigits(server.client(authority.issue(naming))).count == 10)
  }

  @Test func reconnectingResumes() throws {
    let server = try SecureServer()
    let client = try server.client()
    for _ in 0..<3 {
      #expect(try classifyDigits(client).count == 10)
      client.disconnect()
    }
    let stats = try SynchronousClient(server.process.unix).stats("", timeoutNanoseconds: 5_000_000_000)
    #expect(stats.server?.handshakesTotal == 3)
    #expect(stats.server?.handshakesResumedTotal == 2)
  }

  // MARK: Certificates that change

  @Test(arguments: [true, false])
  func certificatesAreReadAgain(_ bySignal: Bool) throws {
    let server = try SecureServer()
    let old = try server.client()
    #expect(try classifyDigits(old).count == 10)
    let before = try server.options()
    let trusted = try Data(contentsOf: URL(fileURLWithPath: server.files.path + "/ca.pem"))
    try server.files.write("before.pem", trusted)
    try server.changeCertificate()
    if bySignal { server.process.signal(SIGHUP) }
    #expect(waitUntil(seconds: 10) { server.process.log.contains("the certificate was read again") })
    #expect(try classifyDigits(server.client()).count == 10)
    var stale = before
    stale.security.authorityFile = server.files.path + "/before.pem"
    #expect(throws: ClientError.self) { try SynchronousClient(server.process.tls, options: stale) }
    #expect(try classifyDigits(old).count == 10, "a connection keeps what it began with")
  }

  @Test func aBrokenCertificateLeavesTheOldOne() throws {
    let server = try SecureServer()
    try server.files.write("server.pem", Data("nothing".utf8))
    server.process.signal(SIGHUP)
    #expect(waitUntil(seconds: 10) { server.process.log.contains("the certificate stays as it was") })
    #expect(try classifyDigits(server.client()).count == 10)
  }

  // MARK: Those who mean no good

  @Test func whoStopsInAHandshakeHarmsNobody() throws {
    let server = try SecureServer(tls: ["handshakes: 8", "handshake_timeout_ms: 500"])
    let plain = server.process.tls.replacingOccurrences(of: "tls://", with: "tcp://")
    // A record's header that announces a ClientHello, and the beginning of it.
    let halves = try (0..<64).map { _ in
      let connection = try RawConnection(plain)
      connection.send([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])
      return connection
    }
    for _ in 0..<5 { #expect(try classifyDigits(server.client()).count == 10) }
    #expect(waitUntil(seconds: 10) { halves.allSatisfy { hasEnded($0) } })
    #expect(try classifyDigits(server.client()).count == 10)
  }

  private func hasEnded(_ connection: RawConnection) -> Bool {
    if connection.isBroken { return true }
    do { return try connection.answer(within: 0.01) == nil } catch is RawConnection.TimedOut {
      return false
    } catch {
      // An alert of TLS, which is no frame.
      return true
    }
  }

  /// Whole ClientHellos, each of which makes the server sign, from clients that never go on.
  @Test func aFloodOfClientHellosHarmsNobody() throws {
    let server = try SecureServer(tls: ["handshakes: 16"])
    let plain = server.process.tls.replacingOccurrences(of: "tls://", with: "tcp://")
    let hello = try Self.clientHello()
    let client = try SynchronousClient(server.process.unix)
    var open: [RawConnection] = []
    for round in 0..<300 {
      let connection = try RawConnection(plain)
      connection.send(hello)
      if round % 2 == 0 { open.append(connection) } else { connection.close() }
      #expect(try classifyDigits(client).count == 10)
    }
    #expect(try classifyDigits(server.client()).count == 10)
    let stats = try client.stats("", timeoutNanoseconds: 5_000_000_000)
    #expect(stats.server.map { $0.handshakeFailuresTotal > 100 } == true)
    withExtendedLifetime(open) {}
  }

  /// The first bytes of a client's session.
  private static func clientHello() throws -> [UInt8] {
    final class Sent { var bytes: [UInt8] = [] }
    let sent = Sent()
    let transport = TLSTransport(
      context: Unmanaged.passUnretained(sent).toOpaque(), receive: { _, _, _ in Int(-EAGAIN) },
      send: { context, bytes, count in
        let sent = Unmanaged<Sent>.fromOpaque(context!).takeUnretainedValue()
        sent.bytes += UnsafeRawBufferPointer(start: bytes, count: count)
        return count
      })
    let context = try TLSContext(client: TLSClientConfiguration())
    var session = try TLSSession(client: context, transport: transport, host: "localhost", resuming: nil)
    guard case .wantsRead = session.handshake() else { throw RawConnection.Broken(reason: "no ClientHello") }
    return withExtendedLifetime(sent) { sent.bytes }
  }

  @Test func whatIsNoTLSIsRefused() throws {
    let server = try SecureServer()
    let plain = server.process.tls.replacingOccurrences(of: "tls://", with: "tcp://")
    #expect(throws: ClientError.self) { try classifyDigits(try SynchronousClient(plain)) }
    let garbage = try RawConnection(plain)
    garbage.send([UInt8](repeating: 0x41, count: 4096))
    #expect(waitUntil(seconds: 10) { hasEnded(garbage) })
    #expect(try classifyDigits(server.client()).count == 10)
  }

  @Test func recordsMayComeOneByteAtATime() throws {
    let server = try SecureServer()
    let plain = server.process.tls.replacingOccurrences(of: "tls://", with: "tcp://")
    var configuration = TLSClientConfiguration()
    configuration.authorities = Array(
      try Data(contentsOf: URL(fileURLWithPath: server.files.path + "/ca.pem")))
    let socket = try Address(plain).connect()
    let transport = TLSTransport(
      context: socket.context, receive: Descriptor.receiveFunction,
      send: { context, bytes, _ in Descriptor.sendFunction(context, bytes, 1) })
    var session = try TLSSession(
      client: TLSContext(client: configuration), transport: transport, host: "localhost", resuming: nil)
    while true {
      let step = session.handshake()
      if case .done = step { break }
      if case .failed = step { throw RawConnection.Broken(reason: session.failure ?? "") }
      socket.wait(forWritingToo: false, nanoseconds: 1_000_000)
    }
    let frame = classifyFrame(7, "digits", (0..<64).map { Float($0 % 17) })
    var sent = 0
    while sent < frame.count {
      let piece = min(1, frame.count - sent)
      let outcome = frame[sent..<sent + piece].withUnsafeBytes { session.send($0) }
      if case .bytes(let count) = outcome { sent += count }
    }
    var answer = [UInt8](repeating: 0, count: 4096)
    var received = 0
    while received < 64 {
      socket.wait(forWritingToo: false, nanoseconds: 1_000_000_000)
      let outcome = answer.withUnsafeMutableBytes { session.receive(into: $0) }
      guard case .bytes(let count) = outcome else { continue }
      received += count
    }
    let header = answer.withUnsafeBytes { FrameHeader(reading: $0.baseAddress!) }
    #expect(header.requestID == 7 && header.bodyBytes == 40)
    #expect(try classifyDigits(server.client()).count == 10)
  }

  // MARK: The end

  @Test func drainingAnswersWhatWasSent() throws {
    let server = try SecureServer()
    let security = try ClientSecurity(Address(server.process.tls), server.options().security)
    var connection = try ClientConnection.open(Address(server.process.tls), security: security)
    let input = (0..<64).map { Float($0 % 17) }
    let call = ClassifyCall("digits")
    var answered = 0
    for _ in 0..<500 {
      #expect(try input.withUnsafeBytes { try connection.submit(call, $0) } != nil)
    }
    connection.sendSome()
    while answered < 100 { if try connection.receive() != nil { answered += 1 } }
    server.process.signal(SIGTERM)
    while answered < 500, try connection.receive() != nil { answered += 1 }
    #expect(answered == 500)
    #expect(server.process.exitStatus() == 0)
  }
}
