import ApusClient
import Foundation
import Testing

/// The logs of a real server.
@Suite(.timeLimit(.minutes(15))) struct ServerLogTests {
  private static let accessLog = "  access:\n    path: FOLDER/access"

  private func calls(_ server: LoggedServer) throws -> [[String: Any]] {
    try server.folder.lines("access").filter { $0["method"] as? String == "classify" }
  }

  @Test func everyCallIsInTheLogOrCounted() throws {
    let server = try LoggedServer(log: Self.accessLog)
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    let input = [Float](repeating: 0.5, count: 64)
    for _ in 0..<300 { try client.classify(input, ClassifyCall("digits"), into: &result) }
    #expect(throws: ClientError.self) { try client.classify(input, ClassifyCall("nobody"), into: &result) }
    #expect(throws: ClientError.self) {
      try client.classify(input, ClassifyCall("textclassifier"), into: &result)
    }
    // Drained at once: what the rings hold must still be written.
    #expect(server.end() == 0)
    let lines = try calls(server)
    let dropped = try server.folder.lines("access").compactMap { $0["dropped"] as? Int }.reduce(0, +)
    let answered = lines.filter { $0["code"] as? String == "OK" }
    #expect(answered.count + dropped == 300 && dropped == 0)
    #expect(Set(answered.compactMap { $0["request"] as? Int }).count == 300)
    for line in answered {
      #expect(line["model"] as? String == "digits" && line["version"] as? Int == 1)
      #expect(line["rows"] as? Int == 1 && line["transport"] as? String == "unix")
      #expect((line["total_ns"] as? Int ?? 0) >= (line["compute_ns"] as? Int ?? .max))
    }
    let refused = lines.filter { $0["code"] as? String != "OK" }
    #expect(refused.map { $0["code"] as? String } == ["NOT_FOUND", "INVALID_ARGUMENT"])
    #expect(refused.map { $0["reason"] as? String } == ["MODEL_NOT_FOUND", "SHAPE_MISMATCH"])
    #expect(refused.map { $0["model"] as? String } == [nil, "textclassifier"])
    #expect(try parsed(server.errors).allSatisfy { $0["level"] as? String == "info" })
  }

  @Test func tracesArePassedOnAndMalformedOnesIgnored() throws {
    let server = try LoggedServer(log: Self.accessLog)
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    let input = [Float](repeating: 0.5, count: 64)
    let traces = [
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "", "not a trace",
      "00-00000000000000000000000000000001-0000000000000002-00",
    ]
    for trace in traces {
      try client.classify(input, ClassifyCall("digits", traceParent: trace), into: &result)
    }
    let shape = ClassifyCall("textclassifier", traceParent: traces[0])
    #expect(throws: ClientError.self) { try client.classify(input, shape, into: &result) }
    let sample = root.path + "/models/samples/digit.npy"
    let command = try run([
      "classify", "--to", server.address, "--model", "digits", "--tensor", sample, "--trace-parent",
      "00-abf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ])
    #expect(command.status == 0, "\(command)")
    let wrong = try run([
      "classify", "--to", server.address, "--model", "digits", "--tensor", sample, "--trace-parent", "x",
    ])
    #expect(wrong.status == 2 && wrong.errors.contains("--trace-parent takes"))
    #expect(server.end() == 0)
    let lines = try calls(server)
    #expect(
      lines.map { $0["trace_id"] as? String } == [
        "4bf92f3577b34da6a3ce929d0e0e4736", nil, nil, "00000000000000000000000000000001",
        "4bf92f3577b34da6a3ce929d0e0e4736", "abf92f3577b34da6a3ce929d0e0e4736",
      ])
    #expect(lines.first?["parent_id"] as? String == "00f067aa0ba902b7")
  }

  /// Neither numbers nor names that do not exist come into a log.
  @Test func contentsAreNeverLogged() throws {
    let log = "  level: trace\n  slow_ms: 1\n" + Self.accessLog
    let server = try LoggedServer(log: log)
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    // As bytes they spell a word, as numbers they have digits that nothing else has.
    let marker = Array(String(repeating: "SECRETMARK", count: 26).utf8)
    let floats = (0..<64).map { place in
      marker.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 4 * place, as: Float.self) }
    }
    try client.classify(floats, ClassifyCall("digits"), into: &result)
    try client.classify([Float](repeating: 12345.678, count: 64), ClassifyCall("digits"), into: &result)
    #expect(throws: ClientError.self) {
      try client.classify(floats, ClassifyCall("SECRETMARK"), into: &result)
    }
    // Slow, so that this log tells of it too.
    let batch = [Float](repeating: 12345.678, count: 20_000 * 64)
    try client.classify(batch, ClassifyCall("digits", shape: [20_000, 64]), into: &result)
    #expect(server.end() == 0)
    let everything = server.folder.text("access") + server.errors
    #expect(try calls(server).count == 4 && server.errors.contains("slow call"))
    for word in ["SECRET", "12345.6", "12345,6"] { #expect(!everything.contains(word), "\(word)") }
  }

  @Test func slowCallsAreLoggedWithoutAnAccessLog() throws {
    let server = try LoggedServer(log: "  slow_ms: 1")
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    let batch = [Float](repeating: 0.5, count: 20_000 * 64)
    try client.classify(batch, ClassifyCall("digits", shape: [20_000, 64]), into: &result)
    #expect(server.end() == 0)
    let slow = try parsed(server.errors).filter { $0["message"] as? String == "slow call" }
    let line = try #require(slow.first { $0["rows"] as? Int == 20_000 }, "\(server.errors)")
    #expect(line["level"] as? String == "warning" && line["model"] as? String == "digits")
    #expect(line["total_ns"] as? Int ?? 0 > 1_000_000 && line["compute_ns"] as? Int ?? 0 > 0)
    #expect(slow.allSatisfy { $0["total_ns"] as? Int ?? 0 > 1_000_000 })
    #expect(!FileManager.default.fileExists(atPath: server.folder.path + "access"))
  }

  @Test func signalsChangeTheLevel() throws {
    let server = try LoggedServer(log: "  level: info")
    func expectLevel(_ name: String) throws {
      #expect(waitUntil { server.errors.contains("the log level is \(name) now") }, "\(server.errors)")
    }
    server.signal(SIGUSR1)
    try expectLevel("debug")
    server.signal(SIGUSR2)
    try expectLevel("info")
    server.signal(SIGUSR2)
    try expectLevel("notice")
    try server.configure(log: "  level: error")
    server.signal(SIGHUP)
    try expectLevel("error")
    // A broken file leaves the level, and says so.
    try server.configure(log: "  level: loud")
    server.signal(SIGHUP)
    #expect(waitUntil { server.errors.contains("the log level stays as it was") })
    #expect(server.end() == 0)
    // Nothing below an error was written after that.
    let levels = try parsed(server.errors).compactMap { $0["level"] as? String }
    #expect(levels.suffix(2) == ["notice", "error"])
  }

  /// A flag stands over the file also when that is read again.
  @Test func aFlagHoldsOnHangup() throws {
    let server = try LoggedServer(log: "  level: error", ["--log-level", "notice"])
    server.signal(SIGUSR1)
    #expect(waitUntil { server.errors.contains("the log level is info now") })
    server.signal(SIGHUP)
    #expect(waitUntil { server.errors.contains("the log level is notice now") }, "\(server.errors)")
    #expect(server.end() == 0)
  }

  @Test func hangupBeginsARenamedFileAnew() throws {
    let server = try LoggedServer(log: Self.accessLog)
    let client = try SynchronousClient(server.address)
    let file = server.folder.path + "access"
    var result = ClassifyResult()
    let input = [Float](repeating: 0.5, count: 64)
    try client.classify(input, ClassifyCall("digits"), into: &result)
    #expect(try waitUntil { try calls(server).count == 1 })
    try FileManager.default.moveItem(atPath: file, toPath: file + ".1")
    server.signal(SIGHUP)
    #expect(waitUntil { FileManager.default.fileExists(atPath: file) })
    for _ in 0..<3 { try client.classify(input, ClassifyCall("digits"), into: &result) }
    #expect(server.end() == 0)
    #expect(try calls(server).count == 3)
    #expect(try server.folder.lines("access.1").count { $0["method"] as? String == "classify" } == 1)
  }

  @Test func aServerWhoseAccessLogCannotBeOpenedDoesNotStart() throws {
    let models = root.path + "/models/repository"
    let folder = try Folder()
    let config = try folder.write("log:\n  access:\n    path: none/access\n", "apus.yaml")
    let start = try run([
      "serve", "--models", models, "--listen", "unix:\(folder.path)s", "--config", config,
    ])
    #expect(start.status == 1)
    #expect(start.errors.contains("open the access log \(folder.path)none/access: No such file"))
  }
}
