import ApusAccess
import ApusBase
import ApusClient
import ApusIO
import ApusMetrics
import ApusTLS
import ApusWire
import Foundation
import TestCertificates
import Testing

@testable import ApusServer

/// What `/metrics` tells, against what was done.
@Suite(.timeLimit(.minutes(15))) struct MetricsTests {
  private static let input: [Float] = [1, 2, 3, 4]

  private static func frame(_ id: UInt64, _ model: String = "m", rows: Int = 1, floats: Int = 4) -> [UInt8] {
    classifyFrame(id, model, [Float](repeating: 1, count: rows * floats), rows: rows)
  }

  /// Three calls, one of four rows, one of a wrong shape and one to a model that is not there.
  private func serve() throws -> (
    server: MetricsServer, connection: RawConnection, bytes: (sent: Int, received: Int)
  ) {
    let server = try MetricsServer([
      MetricsServer.model("m"), MetricsServer.model("m", version: 2), MetricsServer.failed("broken"),
    ])
    let connection = try RawConnection(server.address)
    let frames =
      (1...3).map { Self.frame($0) } + [
        Self.frame(4, rows: 4), Self.frame(5, floats: 3), Self.frame(6, "nosuchmodel"),
      ]
    return (server, connection, try server.exchange(frames, connection))
  }

  // MARK: Counts

  @Test func callsAreCountedByModelVersionAndCode() throws {
    let (server, connection, _) = try serve()
    let metrics = try server.metrics()
    func calls(_ code: String, version: String) -> UInt64? {
      metrics.number("model_requests_total", ["model": "m", "version": version, "code": code])
    }
    #expect(calls("OK", version: "2") == 4, "the newest version is the one that is called")
    #expect(calls("INVALID_ARGUMENT", version: "2") == 1)
    #expect(calls("OK", version: "1") == 0)
    #expect(metrics.all("model_requests_total").count == 4, "nobody else has a count")
    #expect(metrics.number("model_requests_total", ["model": "broken", "version": "1", "code": "OK"]) == 0)
    #expect(metrics.number("apus_answers_total", ["code": "OK"]) == 4)
    #expect(metrics.number("apus_answers_total", ["code": "INVALID_ARGUMENT"]) == 1)
    #expect(metrics.number("apus_answers_total", ["code": "NOT_FOUND"]) == 1)
    #expect(metrics.number("apus_requests_total") == 6)
    #expect(metrics.number("apus_refusals_total", ["reason": "SHAPE_MISMATCH"]) == 1)
    #expect(metrics.number("apus_refusals_total", ["reason": "MODEL_NOT_FOUND"]) == 1)
    let refusals = metrics.all("apus_refusals_total")
    #expect(refusals.count == RefusalReason.all.count)
    #expect(refusals.reduce(0) { $0 + (metrics.number($1.name, $1.labels) ?? 0) } == 2)
    withExtendedLifetime(connection) {}
  }

  @Test func stagesAddUpToTheTotal() throws {
    let (server, connection, _) = try serve()
    let metrics = try server.metrics()
    func labels(_ stage: Stage) -> [String: String] { ["model": "m", "version": "2", "stage": "\(stage)"] }
    var sums: [Stage: UInt64] = [:]
    for stage in Stage.allCases {
      #expect(metrics.number("apus_request_duration_seconds_count", labels(stage)) == 4)
      sums[stage] = metrics.nanoseconds("apus_request_duration_seconds_sum", labels(stage))
      let buckets = metrics.all("apus_request_duration_seconds_bucket", labels(stage))
      #expect(buckets.count == 23 && buckets.first?.labels["le"] == "1e-06")
      #expect(buckets[21].labels["le"] == "10.0" && buckets.last?.labels["le"] == "+Inf")
      let counts = buckets.compactMap { metrics.number($0.name, $0.labels) }
      #expect(counts == counts.sorted() && counts.last == 4)
    }
    let told = sums.removeValue(forKey: .total)
    let total = try #require(told)
    #expect(total > 0 && sums.values.reduce(0, +) == total)
    #expect(metrics.all("apus_request_duration_seconds_count").count == 5, "version 1 was never called")
    withExtendedLifetime(connection) {}
  }

  @Test func batchesAreCountedByRows() throws {
    let (server, connection, _) = try serve()
    let metrics = try server.metrics()
    let labels = ["model": "m", "version": "2"]
    #expect(metrics.number("apus_batch_rows_sum", labels) == 7)
    #expect(metrics.number("apus_batch_rows_count", labels) == 4)
    let counts = metrics.all("apus_batch_rows_bucket").map { metrics.number($0.name, $0.labels) }
    #expect(counts == [3, 3] + [UInt64](repeating: 4, count: 16))
    withExtendedLifetime(connection) {}
  }

  @Test func connectionsAndBytesAreCountedByTransport() throws {
    let (server, connection, bytes) = try serve()
    // The reactor counts what it has sent a moment after it is there.
    #expect(
      try waitUntil(seconds: 5) {
        try server.metrics().number("apus_sent_bytes_total", ["transport": "unix"]) == UInt64(bytes.received)
      })
    let metrics = try server.metrics()
    for transport in ["unix", "tcp", "tls"] {
      let isUsed = transport == "unix"
      #expect(metrics.number("apus_open_connections", ["transport": transport]) == (isUsed ? 1 : 0))
      #expect(metrics.number("apus_connections_total", ["transport": transport]) == (isUsed ? 1 : 0))
      #expect(
        metrics.number("apus_received_bytes_total", ["transport": transport])
          == (isUsed ? UInt64(bytes.sent) : 0))
      #expect(
        metrics.number("apus_sent_bytes_total", ["transport": transport])
          == (isUsed ? UInt64(bytes.received) : 0))
    }
    connection.close()
    let isClosed = try waitUntil(seconds: 5) {
      try server.metrics().number("apus_open_connections", ["transport": "unix"]) == 0
    }
    #expect(isClosed)
    let rings = ["pool": "receive_rings"]
    #expect(metrics.number("apus_memory_bytes", rings) == UInt64(Limits().receiveRingBytes))
    #expect(try server.metrics().number("apus_memory_bytes", rings) == 0)
  }

  @Test func modelsAreListedWhetherTheyServeOrNot() throws {
    let (server, _, _) = try serve()
    let metrics = try server.metrics()
    #expect(metrics.number("apus_model_ready", ["model": "m", "version": "1"]) == 1)
    #expect(metrics.number("apus_model_ready", ["model": "broken", "version": "1"]) == 0)
    let weights = try #require(metrics.number("apus_model_weights_bytes", ["model": "m", "version": "1"]))
    #expect(weights >= 4 * (4 * 3 + 3) && weights < 1024)
    #expect(metrics.all("apus_model_weights_bytes").count == 2)
  }

  @Test func requestsInFlightAreSeenWhileTheyAreComputed() throws {
    let server = try MetricsServer([MetricsServer.model("wide", outputs: 1000)])
    let connection = try RawConnection(server.address)
    #expect(try server.metrics().number("apus_requests_in_flight") == 0)
    // Long enough, in a debug build, for many looks.
    let input = [Float](repeating: 1, count: 8000 * 4)
    let sending = Foundation.Thread {
      connection.send(classifyFrame(1, "wide", input, rows: 8000) { $0.topK = 1 })
    }
    sending.start()
    let isSeen = try waitUntil(seconds: 20) {
      try server.metrics().number("apus_requests_in_flight") == 1
    }
    #expect(isSeen)
    #expect(try connection.answer(within: 60)?.status == nil)
    #expect(try waitUntil(seconds: 5) { try server.metrics().number("apus_requests_in_flight") == 0 })
  }

  @Test func memoryOfLargeFramesAndOfAnswersThatWaitIsCountedAndGivenBack() throws {
    let server = try MetricsServer([MetricsServer.model("wide", outputs: 1000)])
    func bytes(_ pool: String) throws -> UInt64 {
      try #require(try server.metrics().number("apus_memory_bytes", ["pool": pool]))
    }
    func becomes(_ pool: String, _ condition: (UInt64) -> Bool) throws -> Bool {
      try waitUntil(seconds: 10) { condition(try bytes(pool)) }
    }
    for pool in ["answers", "arenas", "counters", "workspaces"] { #expect(try bytes(pool) > 0) }
    #expect(try bytes("large_frames") == 0 && bytes("backlogs") == 0)
    let large = try RawConnection(server.address)
    large.send(headerFrame(1) { $0.bodyBytes = 8 << 20 })
    #expect(try becomes("large_frames") { $0 > 8 << 20 && $0 < 9 << 20 })
    large.close()
    #expect(try becomes("large_frames") { $0 == 0 })
    #expect(try server.metrics().number("apus_tensor_copies_total") == 1, "the large frame's beginning")
    let silent = try RawConnection(server.address)
    for id in UInt64(1)... where silent.send(Self.frame(id, "wide"), milliseconds: 100) == 0 { break }
    #expect(try bytes("backlogs") > 0)
    silent.close()
    #expect(try becomes("backlogs") { $0 == 0 })
  }

  @Test func pollingIsTimed() throws {
    let (server, connection, _) = try serve()
    var id: UInt64 = 100
    let isTimed = try waitUntil(seconds: 10) {
      for _ in 0..<100 {
        id += 1
        try server.exchange([Self.frame(id)], connection)
      }
      return try server.metrics().nanoseconds("apus_polling_seconds_total", [:]) ?? 0 > 0
    }
    #expect(isTimed)
  }

  @Test func drainingIsTold() throws {
    let (server, _, _) = try serve()
    #expect(try server.metrics().number("apus_draining") == 0)
    server.server.drain()
    #expect(try server.metrics().number("apus_draining") == 1)
  }

  @Test func theProcessTellsOfItself() throws {
    let (server, _, _) = try serve()
    let metrics = try server.metrics()
    let began = try #require(metrics.nanoseconds("process_start_time_seconds", [:]))
    let now = UInt64(Date().timeIntervalSince1970 * 1e9)
    #expect(began < now && now - began < 24 * 3600 * 1_000_000_000)
    #expect(try server.metrics().nanoseconds("process_start_time_seconds", [:]) == began)
    #expect(try #require(metrics.nanoseconds("process_cpu_seconds_total", [:])) > 1_000_000)
    let resident = try #require(metrics.number("process_resident_memory_bytes"))
    #expect(resident > 1 << 20 && resident < metrics.number("process_virtual_memory_bytes") ?? 0)
    #expect(try #require(metrics.number("process_threads")) >= 2)
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    #expect(metrics.number("process_max_fds") == UInt64(limit.rlim_cur))
    // Other tests open and close theirs at the same time.
    let names = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    let open = Int(try #require(metrics.number("process_open_fds")))
    #expect(open > 3 && abs(open - names) < 200)
  }

  // MARK: Who calls

  @Test func authenticationFailuresAreCountedByKind() throws {
    let policy = """
      identities: {"token:t": {models: ["*"], methods: [classify, read]}}
      tokens: {t: {hash: "sha256:\(String(repeating: "0", count: 64))", expires: 2020-01-01T00:00:00Z}}
      """
    let server = try MetricsServer([MetricsServer.model("m")]) { configuration, _ in
      configuration.access = AccessControl(try Policy(yaml: policy, source: "test"))
      // A Unix socket says who calls.
      configuration.listen = [try Address("tcp://127.0.0.1:0")]
    }
    let address = "\(server.server.addresses[0])"
    var options = ClientOptions()
    options.security.token = "none of these"
    for _ in 0..<2 {
      let found = try refusal {
        let client = try SynchronousClient(address, options: options)
        _ = try client.health("")
      }
      #expect(found == "UNAUTHENTICATED")
    }
    let client = try SynchronousClient(address)
    #expect(try refusal { _ = try client.health("") } == "UNAUTHENTICATED")
    let metrics = try server.metrics()
    func failures(_ kind: String) -> UInt64? {
      metrics.number("apus_authentication_failures_total", ["kind": kind])
    }
    #expect(failures("token_invalid") == 2)
    #expect(failures("credentials_required") == 1)
    #expect(failures("token_expired") == 0 && failures("certificate_refused") == 0)
    #expect(metrics.number("apus_answers_total", ["code": "UNAUTHENTICATED"]) == 3)
  }

  @Test func handshakesAreCountedByResult() throws {
    let authority = Authority("servers")
    let clients = Authority("clients")
    let identity = authority.issue(
      Naming(commonNames: ["server"], alternativeNames: "DNS:localhost,IP:127.0.0.1"))
    var tls = TLSServerConfiguration(certificateChain: identity.chain, privateKey: identity.key)
    tls.clientAuthorities = clients.pem
    let context = try TLSContext(server: tls)
    let server = try MetricsServer([MetricsServer.model("m")]) { configuration, files in
      configuration.listen = [try Address("tls://127.0.0.1:0")]
      configuration.credentials = TLSCredentials(context)
      try files.write("ca.pem", Data(authority.pem))
      let own = clients.issue(Naming(commonNames: ["checkout"]))
      try files.write("c.pem", Data(own.chain))
      try files.write("c.key", Data(own.key))
    }
    let address = "\(server.server.addresses[0])"
    var options = ClientOptions()
    options.security.authorityFile = server.files.path + "/ca.pem"
    #expect(throws: ClientError.self) { _ = try SynchronousClient(address, options: options).health("") }
    options.security.certificateFile = server.files.path + "/c.pem"
    options.security.keyFile = server.files.path + "/c.key"
    let client = try SynchronousClient(address, options: options)
    #expect(try client.health("").isServing)
    let plain = try RawConnection(address.replacingOccurrences(of: "tls://", with: "tcp://"))
    plain.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
    let isTold = try waitUntil(seconds: 5) {
      try server.metrics().number("apus_tls_handshakes_total", ["result": "failed"]) == 2
    }
    #expect(isTold)
    let metrics = try server.metrics()
    func handshakes(_ result: String) -> UInt64? {
      metrics.number("apus_tls_handshakes_total", ["result": result])
    }
    #expect(handshakes("full") == 1 && handshakes("resumed") == 0 && handshakes("failed") == 2)
    #expect(
      metrics.number("apus_authentication_failures_total", ["kind": "certificate_refused"]) == 1,
      "bytes that are no TLS are no caller's certificate")
    #expect(metrics.number("apus_open_connections", ["transport": "tls"]) == 1)
    #expect(
      metrics.number("apus_tls_certificate_expiry_timestamp_seconds") == UInt64(context.notAfter))
  }
}
