import ApusLog
import Dispatch
import Foundation
import Testing

@testable import ApusServer

/// Whether each call has its line in the access log, as `/metrics` tells it.
@Suite(.timeLimit(.minutes(15))) struct AccessLogMetricsTests {
  private func lines(_ result: String, _ server: MetricsServer) throws -> UInt64 {
    try #require(try server.metrics().number("apus_access_log_lines_total", ["result": result]))
  }

  /// More calls than are allowed a second, from four threads' connections: the rest is dropped, and nothing
  /// else is lost.
  @Test func writtenAndDroppedAreTheCalls() throws {
    let calls = (connections: 4, each: 500)
    let total = UInt64(calls.connections * calls.each)
    var log: AccessLog?
    let server = try MetricsServer([MetricsServer.model("m")]) { configuration, files in
      var settings = AccessLog.Settings()
      settings.path = files.path + "/access"
      settings.maximumPerSecond = 10
      settings.ringCapacity = 64
      let made = try AccessLog(
        settings, models: ["m"], output: LogOutput(style: .json, level: .error, descriptor: -1))
      try made.start()
      configuration.threads = 2
      configuration.accessLog = made
      log = made
    }
    let load = DispatchGroup()
    for _ in 0..<calls.connections {
      let connection = try RawConnection(server.address)
      let thread = Foundation.Thread {
        for id in 1...UInt64(calls.each) {
          connection.send(classifyFrame(id, "m", [1, 2, 3, 4]))
          guard let answer = try? connection.answer(), answer.status == nil else { break }
        }
        load.leave()
      }
      load.enter()
      thread.start()
    }
    #expect(load.wait(timeout: .now() + 60) == .success)
    #expect(try server.metrics().number("apus_requests_total") == total)
    let areAll = try waitUntil(seconds: 20) {
      try lines("written", server) + lines("dropped", server) == total
    }
    let told = (written: try lines("written", server), dropped: try lines("dropped", server))
    #expect(areAll, "\(told.written) and \(told.dropped) of \(total)")
    #expect(told.written > 0 && told.dropped > 0)
    server.server.drain()
    log?.stop()
    let text = try String(contentsOfFile: server.files.path + "/access", encoding: .utf8)
    #expect(text.split(separator: "\n").count { $0.contains(#""message":"call""#) } == Int(told.written))
  }

  @Test func bothAreNothingWithoutAnAccessLog() throws {
    let server = try MetricsServer([MetricsServer.model("m")])
    let connection = try RawConnection(server.address)
    try server.exchange([classifyFrame(1, "m", [1, 2, 3, 4])], connection)
    #expect(try lines("written", server) == 0)
    #expect(try lines("dropped", server) == 0)
  }
}
