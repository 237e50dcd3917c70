import Foundation
import Testing

@testable import ApusCommand

/// `apus logs` on a log that was written by hand.
@Suite struct LogsCommandTests {
  private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

  private func call(
    _ second: Int, _ model: String, _ code: String, total: Int, _ more: String = ""
  ) -> String {
    let time = String(format: "2026-11-24T16:%02d:%02d.000000Z", second / 60, second % 60)
    let level = code == "OK" ? "info" : "warning"
    return #"{"time":"\#(time)","level":"\#(level)","message":"call","logger":"apus.access","#
      + #""method":"classify","model":"\#(model)","version":1,"code":"\#(code)","rows":1,"receive_ns":1,"#
      + #""queue_ns":20,"#
      + #""compute_ns":300,"encode_ns":4,"total_ns":\#(total),"request":\#(second)\#(more)}"#
  }

  /// Ten calls of digits, two of them refused, and two of textclassifier, one slow; what is no line; what the
  /// server says about itself.
  private var fixture: String {
    var lines = (0..<8).map { call($0, "digits", "OK", total: 1000 * ($0 + 1)) }
    lines.append(call(8, "digits", "NOT_FOUND", total: 500, #","reason":"VERSION_NOT_FOUND""#))
    lines.append(call(9, "digits", "NOT_FOUND", total: 500, #","reason":"VERSION_NOT_FOUND""#))
    lines.append("not a line")
    lines.append(#"{"time":"2026-11-24T16:00:10.000000Z","level":"info","message":"drained"}"#)
    lines.append(#"{"time":"2026-11-24T16:00:10.000000Z","level":"warning","message":"m","dropped":7}"#)
    lines.append(call(60, "textclassifier", "OK", total: 9_000_000, #","trace_id":"\#(Self.trace)""#))
    lines.append(call(120, "textclassifier", "OK", total: 100, #","identity":"token:shop""#))
    lines.append("{" + String(repeating: "x", count: 200_000) + "}")
    return lines.joined(separator: "\n") + "\n" + #"{"half":"#
  }

  private func logs(_ arguments: [String]) throws -> [Int] {
    let found = try run(["logs", "-", "--json"] + arguments, input: fixture)
    #expect(found.status == 0 && found.errors == "apus: 3 lines are no log lines and were skipped\n")
    return try parsed(found.output).map { $0["request"] as? Int ?? -1 }
  }

  @Test func filtersChooseLines() throws {
    #expect(try logs([]) == Array(0...9) + [-1, -1, 60, 120])
    #expect(try logs(["--model", "textclassifier"]) == [60, 120])
    #expect(try logs(["--code", "not_found"]) == [8, 9])
    #expect(try logs(["--identity", "token:shop"]) == [120])
    #expect(try logs(["--trace", Self.trace.uppercased()]) == [60])
    #expect(try logs(["--slower-than", "0.006"]) == [6, 7, 60])
    let minute = try logs(["--since", "2026-11-24T16:00:07Z", "--until", "2026-11-24T16:01:00Z"])
    #expect(minute == [7, 8, 9, -1, -1])
    #expect(try logs(["--since", "2026-11-24T17:01:00+01:00", "--model", "textclassifier"]) == [60, 120])
    #expect(try logs(["--until", "2026-11-24"]) == [])
    #expect(try logs(["--model", "digits", "--code", "OK", "--slower-than", "0.0075"]) == [7])
  }

  @Test func timesAgoAreRead() {
    let now: Int64 = 1_764_000_000_000_000
    #expect(logTime("90s", now: now) == now - 90_000_000 && logTime("10m", now: now) == now - 600_000_000)
    #expect(logTime("2h", now: now) == now - 7_200_000_000 && logTime("1d", now: now) == now - 86_400_000_000)
    #expect(logTime("1970-01-02", now: now) == 86_400_000_000)
    for text in ["", "m", "-1m", "1w", "yesterday", "99999999999999999999s", "1970-01-40"] {
      #expect(logTime(text, now: now) == nil, "\(text)")
    }
  }

  @Test func linesForPeopleTellWhereTheTimeWent() throws {
    let found = try run(["logs", "-", "--slower-than", "1"], input: fixture)
    #expect(
      found.output == "2026-11-24T16:01:00.000000Z INFO    classify textclassifier@1 OK 9.0 ms "
        + "(receive 1 ns, queue 20 ns, compute 300 ns, encode 4 ns) trace \(Self.trace)\n")
    let message = try run(["logs", "-", "--since", "2026-11-24T16:00:10Z", "--until", "2026-11-24T16:00:11Z"],
      input: fixture)
    #expect(message.output.contains("16:00:10.000000Z INFO    drained\n"))
    let forged = #"{"time":"2026-11-24T16:00:10.000000Z","level":"info","message":"a\nb\u001b[31m"}"# + "\n"
    #expect(try run(["logs"], input: forged).output.hasSuffix("INFO    a\\nb\\u{1B}[31m\n"))
  }

  @Test func theSummaryCounts() throws {
    let found = try run(["logs", "-", "--summary", "--json"], input: fixture)
    let summary = try #require(try parsed(found.output).first)
    #expect(summary["calls"] as? Int == 12 && summary["errors"] as? Int == 2)
    #expect(summary["skipped_lines"] as? Int == 3 && summary["not_logged"] as? Int == 7)
    let models = try #require(summary["models"] as? [[String: Any]])
    #expect(models.map { $0["model"] as? String } == ["digits@1", "textclassifier@1"])
    #expect(models.map { $0["calls"] as? Int } == [10, 2])
    #expect(models.map { $0["errors"] as? Int } == [2, 0])
    let digits = try #require(models.first?["total_ns"] as? [String: Int])
    // Ten times: 500 twice, then 1000 to 8000; with two significant digits.
    #expect((2950...3050).contains(digits["p50"] ?? 0) && (7900...8100).contains(digits["max"] ?? 0))
    let failures = try #require(summary["failures"] as? [[String: Any]])
    #expect(failures.count == 1 && failures.first?["count"] as? Int == 2)
    #expect(failures.first?["code"] as? String == "NOT_FOUND")
    #expect(failures.first?["reason"] as? String == "VERSION_NOT_FOUND")
    let slowest = try #require(summary["slowest"] as? [[String: Any]])
    #expect(slowest.count == 10 && slowest.first?["total_ns"] as? Int == 9_000_000)
    let times = slowest.map { $0["total_ns"] as? Int ?? 0 }
    #expect(times == times.sorted(by: >))
    let rate = try #require(summary["rate"] as? [String: Any])
    let rows = try #require(rate["rows"] as? [[String: Any]])
    #expect(rate["step_s"] as? Int == 10)
    #expect(rows.map { $0["calls"] as? Int ?? 0 } == [10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1])
    #expect(rows.first?["time"] as? String == "2026-11-24T16:00:00Z")
  }

  @Test func theSummaryForPeopleHasAllParts() throws {
    let text = try run(["logs", "-", "--summary"], input: fixture).output
    #expect(text.hasPrefix("12 calls, 2 of them errors; 3 lines skipped, 7 not logged\n"))
    for part in ["MODEL", "SLOWEST", "VERSION_NOT_FOUND", "A SECOND, in steps of 10.0 s", "█", Self.trace] {
      #expect(text.contains(part), "\(part) in \(text)")
    }
    #expect(try run(["logs", "--summary"], input: "").output.hasPrefix("0 calls"))
  }

  /// More seconds than are kept apart, and more names.
  @Test func aSummaryStaysSmall() {
    var rate = LogRate()
    for second in stride(from: Int64(0), to: 40_000_000, by: 1009) { rate.add(second: second) }
    let (step, rows) = rate.rows(atMost: 24)
    #expect(rows.count <= 24 && rows.map(\.calls).reduce(0, +) == (40_000_000 + 1008) / 1009 && step > 86_400)
    var summary = LogSummary()
    for name in 0..<2000 {
      let text = call(0, "m\(name)", "NOT_FOUND", total: 5, #","reason":"R\#(name)""#)
      let entry = Array(text.utf8).withUnsafeBytes { LogEntry($0) }
      if let entry { summary.add(entry) }
    }
    #expect(summary.calls == 2000 && summary.models.count == 501 && summary.failures.count == 501)
  }

  @Test func wrongUsageIsSaid() throws {
    for (arguments, part) in [
      (["--follow", "--summary"], "--summary"), (["--since", "soon"], "--since takes a time"),
      (["--slower-than", "-1"], "--slower-than"), (["--code", "BAD"], "--code takes a status"),
    ] {
      let found = try run(["logs"] + arguments)
      #expect(found.status == 2 && found.errors.contains(part), "\(found)")
    }
    let missing = try run(["logs", "/none/log"])
    #expect(missing.status == 1 && missing.errors == "apus: open /none/log: No such file or directory\n")
  }

  @Test func followingGoesOnBehindARename() throws {
    let folder = try Folder()
    let path = try folder.write(call(1, "digits", "OK", total: 1) + "\n", "log")
    let process = Process()
    process.executableURL = apusExecutable
    process.arguments = ["logs", path, "--follow", "--json"]
    process.standardOutput = FileHandle(forWritingAtPath: try folder.write("", "out"))
    try process.run()
    defer {
      // The thread that starts it may block every other signal, and so does the child then.
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    func requests() throws -> [Int] { try folder.lines("out").compactMap { $0["request"] as? Int } }
    #expect(try waitUntil { try requests() == [1] })
    let handle = try #require(FileHandle(forWritingAtPath: path))
    handle.seekToEndOfFile()
    handle.write(Data((call(2, "digits", "OK", total: 1) + "\n").utf8))
    #expect(try waitUntil { try requests() == [1, 2] })
    try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
    _ = try folder.write(call(3, "digits", "OK", total: 1) + "\n", "log")
    #expect(try waitUntil { try requests() == [1, 2, 3] })
  }
}
