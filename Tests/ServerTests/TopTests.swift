import ApusBase
import ApusClient
import ApusWire
import Foundation
import Testing

@testable import ApusCommand

@Suite(.timeLimit(.minutes(15))) struct TopTests {
  private func model(
    _ name: String, calls: UInt64, errors: UInt64 = 0, rows: UInt64, batches: [BatchCount] = [],
    buckets: [UInt64] = []
  ) -> ModelStats {
    var model = ModelStats()
    model.model = name
    model.version = 1
    model.requestsTotal = calls
    model.rowsTotal = rows
    model.codes = [CodeCount(code: 0, count: calls - errors), CodeCount(code: 4, count: errors)]
    model.batches = batches
    model.total.bucketCounts = buckets
    return model
  }

  private func answer(_ seconds: UInt64, errors: UInt64 = 0, _ models: [ModelStats]) -> StatsResponse {
    var server = ServerStats()
    server.version = "apus/test"
    server.uptimeNanoseconds = seconds * 1_000_000_000
    server.reactors = 1
    server.codes = [CodeCount(code: 5, count: errors)]
    server.receivedBytesTotal = seconds * 1024
    return StatsResponse(server: server, models: models)
  }

  private func interval() -> TopInterval {
    let first = answer(
      10, errors: 3,
      [
        model("quiet", calls: 5, rows: 5, buckets: [7, 5]),
        model("busy", calls: 100, rows: 100, batches: [BatchCount(rows: 1, count: 100)], buckets: [10, 100]),
      ])
    var second = answer(
      12, errors: 7,
      [
        model("quiet", calls: 5, rows: 5, buckets: [7, 5]),
        model(
          "busy", calls: 300, errors: 4, rows: 900,
          batches: [BatchCount(rows: 1, count: 100), BatchCount(rows: 8, count: 100)],
          buckets: [10, 100, 9, 200]),
        model("new", calls: 20, rows: 20, buckets: [0, 20]),
      ])
    second.server?.queuedCalls = 3
    second.server?.load = 0.25
    return TopInterval(second, since: first)
  }

  @Test func ratesAreThoseOfTheInterval() throws {
    let interval = interval()
    #expect(interval.seconds == 2 && !interval.isSinceStart)
    #expect(interval.calls == 110 && interval.errors == 2 && interval.receivedBytes == 1024)
    #expect(interval.models.map(\.name) == ["busy", "new", "quiet"])
    let busy = interval.models[0]
    #expect(busy.calls == 100 && busy.errors == 2 && busy.rows == 400)
    #expect(busy.rowsPerBatch == 8 && busy.batches == [BatchCount(rows: 8, count: 100)])
    // All 200 calls of the interval took 20 ns; the 100 of before took 10.
    #expect(busy.total?.p50 == 20 && busy.total?.p99 == 20)
    #expect(busy.queue == nil && busy.compute == nil)
    #expect(interval.models[2].total == nil && interval.models[2].calls == 0)
    // Of all models: 20 calls of 0 ns, 200 of 20.
    #expect(interval.total?.p50 == 20)
  }

  @Test func aServerThatWasStartedAgainCountsFromItsStart() {
    let old = answer(100, [model("m", calls: 1000, rows: 1000, buckets: [5, 1000])])
    let new = answer(4, [model("m", calls: 8, rows: 8, buckets: [9, 8])])
    let interval = TopInterval(new, since: old)
    #expect(interval.isSinceStart && interval.seconds == 4 && interval.calls == 2)
    #expect(interval.models[0].total?.p50 == 9)
    #expect(TopInterval(old, since: nil).calls == 10)
    #expect(TopInterval(StatsResponse(server: nil, models: []), since: nil).calls == 0)
  }

  @Test func theScreenIsDrawn() {
    let lines = TopScreen(address: "unix:/s", interval: interval()).lines(width: 120, height: 24)
    #expect(
      lines == [
        "unix:/s  apus/test  up 12.0 s  1 reactor  over 2.0 s",
        "calls 110/s  errors 2.0/s  waiting 3, load 0.25  connections 0, 0/s new  in 1.0 KiB/s  out 0 B/s",
        "p50/p99  total 20 ns/20 ns  queue -  compute -  polls 0/s  sleeps 0/s",
        "",
        "MODEL  VERSION  CALLS/S  ERRORS/S    P50    P99  QUEUE P50  P99  COMPUTE P50  P99  ROWS/BATCH",
        "busy         1      100       2.0  20 ns  20 ns          -    -            -    -    8.0 (≤8)",
        "new          1       10         0   0 ns   0 ns          -    -            -    -           -",
        "quiet        1        0         0      -      -          -    -            -    -           -",
      ])
    #expect(lines[TopScreen.headingLine].hasPrefix("MODEL"))
  }

  @Test func everySizeIsKept() {
    let many = answer(
      1, (0..<60).map { model("a-model-with-a-long-name-\($0)\u{1B}[2J", calls: UInt64($0), rows: 1) })
    let screens = [
      TopScreen(address: "unix:/s", interval: interval()),
      TopScreen(address: "unix:/s", interval: TopInterval(many, since: nil)),
      TopScreen(address: "unix:/s", interval: TopInterval(answer(1, []), since: nil)),
      TopScreen(address: "unix:/s", interval: interval(), problem: String(repeating: "x", count: 300)),
    ]
    for screen in screens {
      for width in [1, 2, 7, 20, 33, 40, 60, 80, 100, 200] {
        for height in [1, 2, 4, 5, 6, 7, 24, 100] {
          let lines = screen.lines(width: width, height: height)
          #expect(lines.count <= height && lines.allSatisfy { $0.count <= width })
          #expect(!lines.joined().contains("\u{1B}"))
        }
      }
    }
    let short = screens[1].lines(width: 100, height: 10)
    #expect(short.count == 10 && short[9] == "… 56 more")
    let narrow = screens[0].lines(width: 40, height: 24)
    #expect(narrow[4] == "MODEL  CALLS/S  ERRORS/S    P50    P99")
    #expect(screens[1].lines(width: 16, height: 10)[5].hasPrefix("a-mode…  "))
  }

  // MARK: Against a real server

  private func top(_ arguments: [String]) throws -> (output: String, status: Int32) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = ServerProcess.executable
    process.arguments = ["top"] + arguments
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (String(decoding: output, as: UTF8.self), process.terminationStatus)
  }

  @Test func oneIntervalIsPrinted() throws {
    let server = try ServerProcess()
    let address = server.unix
    let load = Foundation.Thread {
      guard let client = try? SynchronousClient(address) else { return }
      while (try? classifyDigits(client, rows: 4)) != nil {}
    }
    load.start()
    let run = try top(["--to", address, "--once", "--json", "--interval", "0.5"])
    #expect(run.status == 0 && run.output.split(separator: "\n").count == 1, "\(run.output)")
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    let models = try #require(document["models"] as? [[String: Any]])
    #expect(models.count == 3)
    #expect(models[0]["model"] as? String == "digits")
    let batches = try #require(models[0]["calls_per_second"] as? Double) * 0.5
    #expect(batches > 0)
    // Rows and batches are read one after the other, while the server counts on: at either end one batch of
    // four rows may be counted in one of them alone.
    #expect(abs(try #require(models[0]["rows_per_batch"] as? Double) - 4) < max(0.2, 2 * 4 / batches))
    let total = try #require(models[0]["total_ns"] as? [String: Double])
    let compute = try #require(models[0]["compute_ns"] as? [String: Double])
    #expect(total["p50"]! > 0 && total["p50"]! <= total["p99"]! && compute["p50"]! <= total["p99"]!)
    #expect(models[1]["calls_per_second"] as? Double == 0 && models[1]["total_ns"] is NSNull)
    // Without a terminal it is text, without codes for one.
    let text = try top(["--to", address, "--once", "--interval", "0.2"])
    #expect(text.status == 0 && text.output.contains("\nMODEL ") && !text.output.contains("\u{1B}"))
    #expect(server.terminate() == 0)
    #expect(try top(["--to", address, "--once"]).status == 1)
    #expect(try top(["--to", address, "--interval", "0"]).status == 2)
  }
}
