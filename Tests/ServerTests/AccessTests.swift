import ApusAccess
import ApusBase
import ApusClient
import ApusWire
import Foundation
import Glibc
import TestCertificates
import Testing

/// Identities, policy and limits, by calls over real sockets.
@Suite(.timeLimit(.minutes(15))) struct AccessTests {
  /// The line of a token under `tokens:`.
  private static func line(_ name: String, _ token: String, expires: String? = nil) -> String {
    var token = token
    let hash = token.withUTF8 { Policy.hash(ofToken: UnsafeRawBufferPointer($0)) }
    let digits = hash.map { String(format: "%02x", $0) }.joined()
    return "  \(name): {hash: \"sha256:\(digits)\"" + (expires.map { ", expires: \($0)" } ?? "") + "}\n"
  }

  private static let input = (0..<64).map { Float($0 % 17) }

  private func classify(_ client: SynchronousClient, _ model: String = "digits", _ count: Int = 64) throws
    -> String?
  {
    var result = ClassifyResult()
    let numbers = [Float](repeating: 0.5, count: count)
    return try refusal { try client.classify(numbers, ClassifyCall(model), into: &result) }
  }

  // MARK: Tokens

  @Test func tokensSayWhoCalls() throws {
    let policy = """
      identities:
        token:good: {models: [digits], methods: [classify]}
        token:old: {models: [digits], methods: [classify]}
        token:reader: {models: ["text*"], methods: [read]}
      tokens:

      """
      + Self.line("good", "secret-good") + Self.line("old", "secret-old", expires: "2020-01-01T00:00:00Z")
      + Self.line("reader", "secret-reader") + Self.line("stranger", "secret-stranger")
    let server = try SecureServer(policy: policy)
    #expect(try classify(server.client(token: "secret-good")) == nil)
    #expect(try classify(server.client(token: "secret-good"), "textclassifier", 100) == "PERMISSION_DENIED")
    #expect(try classify(server.client(token: "secret-good"), "nosuchmodel", 100) == "PERMISSION_DENIED")
    #expect(try classify(server.client(token: "secret-reader")) == "PERMISSION_DENIED")
    #expect(try classify(server.client(token: "secret-stranger")) == "PERMISSION_DENIED")
    #expect(try classify(server.client()) == "UNAUTHENTICATED")
    #expect(try classify(server.client(token: "secret-goof")) == "UNAUTHENTICATED")
    #expect(try classify(server.client(token: "secret-old")) == "UNAUTHENTICATED")

    let reader = try server.client(token: "secret-reader")
    #expect(try reader.models(timeout: .seconds(5)).map(\.name) == ["textclassifier"])
    #expect(try refusal { _ = try reader.model("digits") } == "PERMISSION_DENIED")
    let good = try server.client(token: "secret-good")
    #expect(try refusal { _ = try good.models(timeout: .seconds(5)) } == "PERMISSION_DENIED")
    #expect(try refusal { _ = try good.stats("") } == "PERMISSION_DENIED")
    #expect(try good.health("digits").isServing)
    #expect(try refusal { _ = try good.health("nosuchmodel") } == "PERMISSION_DENIED")

    #expect(
      waitUntil(seconds: 10) {
        server.process.log.contains("refused token:good classify: PERMISSION_DENIED")
          || server.process.log.contains("refused token:good listModels: PERMISSION_DENIED")
      })
    #expect(!server.process.log.contains("secret-"), "no token is ever logged")
  }

  @Test func aRefusalTellsNothingAboutWhatExists() throws {
    let policy =
      "identities:\n  token:a: {models: [other], methods: [classify, read]}\ntokens:\n" + Self.line("a", "t")
    let server = try SecureServer(policy: policy)
    let client = try server.client(token: "t")
    var messages: Set<String> = []
    for model in ["digits", "textclassifier", "nosuchmodel", "../digits"] {
      var result = ClassifyResult()
      do {
        try client.classify(Self.input, ClassifyCall(model), into: &result)
        Issue.record("\(model) answered")
      } catch { messages.insert("\(error)") }
    }
    #expect(messages.count == 1)
  }

  @Test func revokingHoldsForOpenConnections() throws {
    let entries = "identities:\n  token:a: {models: [digits], methods: [classify]}\ntokens:\n"
    let server = try SecureServer(policy: entries + Self.line("a", "t") + Self.line("b", "u"))
    let client = try server.client(token: "t")
    #expect(try classify(client) == nil)
    try server.files.write("policy.yaml", Data((entries + Self.line("b", "u")).utf8))
    server.process.signal(SIGHUP)
    #expect(waitUntil(seconds: 10) { server.process.log.contains("the policy was read again") })
    #expect(try classify(client) == "UNAUTHENTICATED")
    #expect(try classify(server.client(token: "t")) == "UNAUTHENTICATED")
  }

  @Test func expiryHoldsForOpenConnections() throws {
    let entries = "identities:\n  token:a: {models: [digits], methods: [classify]}\ntokens:\n"
    let server = try SecureServer(policy: entries + Self.line("a", "t"))
    let client = try server.client(token: "t")
    #expect(try classify(client) == nil)
    // The server's clock and the policy count whole seconds.
    let end = Date(timeIntervalSince1970: Date().timeIntervalSince1970.rounded(.down) + 3)
    let text = ISO8601DateFormatter().string(from: end)
    try server.files.write("policy.yaml", Data((entries + Self.line("a", "t", expires: text)).utf8))
    server.process.signal(SIGHUP)
    #expect(try waitUntil(seconds: 20) { try classify(client) == "UNAUTHENTICATED" })
    #expect(Date() >= end)
  }

  @Test func aBrokenPolicyLeavesTheOldOne() throws {
    let policy =
      "identities:\n  token:a: {models: [digits], methods: [classify]}\ntokens:\n" + Self.line("a", "t")
    let server = try SecureServer(policy: policy)
    try server.files.write("policy.yaml", Data((policy + "idntities: {}\n").utf8))
    #expect(
      waitUntil(seconds: 10) {
        server.process.log.contains("policy.yaml line 5") && server.process.log.contains("identities?")
      })
    #expect(try classify(server.client(token: "t")) == nil)
  }

  // MARK: Certificates

  @Test func certificatesSayWhoCalls() throws {
    let authority = Authority("clients")
    let policy = """
      identities:
        cert:checkout: {models: [digits], methods: [classify]}
        cert:dns:*.pay.internal: {models: [digits], methods: [classify]}
        "cert:uri:spiffe://cluster/ns/pay/*": {models: [digits], methods: [classify]}
      """
    let server = try SecureServer(clientAuthority: authority, policy: policy)
    func outcome(_ name: String, _ alternatives: String? = nil) throws -> String? {
      let naming = Naming(commonNames: [name], alternativeNames: alternatives)
      return try classify(server.client(authority.issue(naming)))
    }
    #expect(try outcome("checkout") == nil)
    #expect(try outcome("other") == "PERMISSION_DENIED")
    #expect(try outcome("other", "DNS:a.pay.internal") == nil)
    #expect(try outcome("other", "DNS:pay.internal.example") == "PERMISSION_DENIED")
    #expect(try outcome("other", "URI:spiffe://cluster/ns/pay/sa/api") == nil)
    #expect(try outcome("dns:a.pay.internal") != nil, "a common name poses as another name")
  }

  // MARK: Unix sockets

  @Test func theKernelSaysWhoCalls() throws {
    let own = getuid()
    let allowed = try SecureServer(
      policy: "identities:\n  uid:\(own): {models: [digits], methods: [classify]}\n")
    #expect(try classify(SynchronousClient(allowed.process.unix)) == nil)
    let other = try SecureServer(
      policy: "identities:\n  uid:\(own + 1): {models: [digits], methods: [classify]}\n")
    #expect(try classify(SynchronousClient(other.process.unix)) == "PERMISSION_DENIED")
    let group = try SecureServer(
      policy: "groups:\n  g: {members: [\"gid:\(getgid())\"], models: [digits], methods: [classify]}\n")
    #expect(try classify(SynchronousClient(group.process.unix)) == nil)
  }

  /// A second user in truth, which root alone can become.
  @Test(.enabled(if: getuid() == 0 && FileManager.default.isExecutableFile(atPath: "/usr/bin/setpriv")))
  func anotherUserIsAnother() throws {
    let files = try ModelFolder()
    try files.write("policy.yaml", Data("identities:\n  uid:0: {models: [\"*\"], methods: [read]}\n".utf8))
    let apus = files.path + "/apus"
    try FileManager.default.copyItem(atPath: ServerProcess.executable.path, toPath: apus)
    let socket = files.path + "/s"
    let server = try ServerProcess(socket: socket, arguments: ["--policy", files.path + "/policy.yaml"])
    chmod(files.path, 0o755)
    chmod(socket, 0o666)
    func models(asUser user: Int) throws -> (status: Int32, text: String) {
      let process = Process()
      let output = Pipe()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
      process.arguments = [
        "--reuid=\(user)", "--regid=\(user)", "--clear-groups", apus, "models", "--to", server.unix,
      ]
      process.standardError = output
      process.standardOutput = output
      try process.run()
      let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      return (process.terminationStatus, text)
    }
    #expect(try models(asUser: 0).status == 0)
    let refused = try models(asUser: 65_534)
    #expect(refused.status == 1 && refused.text.contains("PERMISSION_DENIED"), "\(refused.text)")
  }

  // MARK: Limits

  private func server(_ limits: String) throws -> SecureServer {
    try SecureServer(
      policy: "identities:\n  uid:\(getuid()): {models: [\"*\"], methods: [classify, read], \(limits)}\n")
  }

  /// What became of so many equal calls that are sent together.
  private func outcomes(_ count: Int, _ server: SecureServer) throws -> [StatusCode?] {
    let connection = try RawConnection(server.process.unix)
    var bytes: [UInt8] = []
    for id in 1...count { bytes += classifyFrame(UInt64(id), "digits", Self.input) }
    connection.send(bytes)
    return try (0..<count).map { _ in try #require(try connection.answer()).status?.code }
  }

  @Test func callsHaveARate() throws {
    let server = try server("calls_per_second: 0.001, burst: 3")
    let client = try SynchronousClient(server.process.unix)
    for _ in 0..<3 { #expect(try classify(client) == nil) }
    var result = ClassifyResult()
    do {
      try client.classify(Self.input, ClassifyCall("digits"), into: &result)
      Issue.record("the fourth call was answered")
    } catch {
      guard case .status(let status) = error else { throw error }
      #expect(status.codeName == "RESOURCE_EXHAUSTED" && status.reason == "RATE_LIMIT")
      #expect(status.retryAfter.map { $0 > .seconds(900) && $0 <= .seconds(1000) } == true)
    }
    let other = try SynchronousClient(server.process.unix)
    #expect(try classify(other) == "RESOURCE_EXHAUSTED", "the rate is that of all connections")
    #expect(try client.health("digits").isServing)
  }

  @Test func callsThatComeTogetherHaveTheSameRate() throws {
    let codes = try outcomes(8, server("calls_per_second: 0.001, burst: 5"))
    #expect(codes == [nil, nil, nil, nil, nil] + [StatusCode?](repeating: .resourceExhausted, count: 3))
  }

  @Test func rowsHaveARate() throws {
    let server = try server("rows_per_second: 10")
    let client = try SynchronousClient(server.process.unix)
    #expect(try refusal { _ = try classifyDigits(client, rows: 8) } == nil)
    #expect(try refusal { _ = try classifyDigits(client, rows: 8) } == "RESOURCE_EXHAUSTED")
  }

  @Test func callsInFlightAreBounded() throws {
    let server = try server("max_in_flight: 4")
    let codes = try outcomes(8, server)
    #expect(codes.count { $0 == nil } == 4 && codes.count { $0 == .resourceExhausted } == 4)
    // What was in flight is no more.
    #expect(try outcomes(4, server).allSatisfy { $0 == nil })
  }

  /// Hello and calls that come together: what holds for the token holds for the first of them already.
  @Test func aTokenShownTogetherWithCallsHoldsForThem() throws {
    let policy =
      "identities:\n  token:a: {models: [digits], methods: [classify], max_in_flight: 2}\ntokens:\n"
      + Self.line("a", "t")
    let server = try SecureServer(policy: policy)
    let connection = try RawConnection(server.process.unix)
    var hello = HelloRequest(client: "test")
    hello.token = Array("t".utf8)
    var metadata = [UInt8](repeating: 0, count: 256)
    let count = metadata.withUnsafeMutableBytes {
      hello.encode(into: $0, arena: MetadataArena(byteCount: 64 << 10))
    }
    var bytes = headerFrame(0, method: .hello) { $0.metadataBytes = UInt32(count) }
    bytes.replaceSubrange(32..<32 + count, with: metadata[..<count])
    for id in 1...5 { bytes += classifyFrame(UInt64(id), "digits", Self.input) }
    connection.send(bytes)
    #expect(try #require(try connection.answer()).status == nil)
    let codes = try (0..<5).map { _ in try #require(try connection.answer()).status?.code }
    #expect(codes == [nil, nil, .resourceExhausted, .resourceExhausted, .resourceExhausted])
  }

  @Test func bodiesAreBounded() throws {
    let server = try server("max_body_bytes: 1024")
    let connection = try RawConnection(server.process.unix)
    connection.send(classifyFrame(1, "digits", Self.input))
    #expect(try #require(try connection.answer()).status == nil)
    connection.send(classifyFrame(2, "digits", [Float](repeating: 1, count: 640), rows: 10))
    #expect(try #require(try connection.answer()).status?.code == .resourceExhausted)
    connection.send(classifyFrame(3, "digits", Self.input))
    #expect(try #require(try connection.answer()).status == nil, "the connection goes on")
    // One that would need memory of its own is refused before it has any.
    connection.send(classifyFrame(4, "digits", [Float](repeating: 1, count: 64 * 4096), rows: 4096))
    #expect(try #require(try connection.answer()).status?.code == .resourceExhausted)
  }

  @Test func whoNeverSaysWhoItIsLosesItsPlace() throws {
    let policy =
      "identities:\n  token:a: {models: [digits], methods: [classify]}\ntokens:\n" + Self.line("a", "t")
    let server = try SecureServer(policy: policy, tls: ["handshake_timeout_ms: 500"])
    let stranger = try RawConnection(server.process.unix)
    let client = try server.client(token: "t")
    #expect(try classify(client) == nil)
    let answer = try #require(try stranger.answer())
    #expect(answer.id == 0 && answer.status?.code == .permissionDenied)
    #expect(try stranger.answer() == nil, "the connection ends")
    usleep(700_000)
    #expect(try classify(client) == nil, "who is named may be idle")
  }

  @Test func whoIsNotNamedCannotMakeTheServerTakeMemory() throws {
    let server = try SecureServer(policy: "identities: {}\n")
    let connection = try RawConnection(server.process.unix)
    let before = server.process.residentBytes
    connection.send(headerFrame(9) { $0.bodyBytes = 60 << 20 })
    let answer = try #require(try connection.answer())
    #expect(answer.id == 9 && answer.status?.code == .permissionDenied)
    #expect(server.process.residentBytes < before + (4 << 20))
  }
}
