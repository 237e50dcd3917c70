import ApusBase
import ApusIO
import ApusWire
import Foundation
import Testing

@testable import ApusLog

/// Rings and the thread that empties them, without a server.
@Suite struct AccessLogTests {
  private func record(_ request: UInt64, total: UInt64 = 1000, model: Int32 = 0) -> AccessRecord {
    var record = AccessRecord()
    record.end = .now
    record.requestID = request
    record.totalNanoseconds = total
    record.model = model
    record.version = 3
    return record
  }

  private func log(
    _ folder: Folder, _ output: LogOutput? = nil, _ change: (inout AccessLog.Settings) -> Void = { _ in }
  ) throws -> AccessLog {
    var settings = AccessLog.Settings()
    settings.path = folder.path + "access"
    change(&settings)
    let quiet = LogOutput(style: .json, level: .error, descriptor: -1)
    return try AccessLog(settings, models: ["digits", "a\"b"], output: output ?? quiet)
  }

  private func requests(_ lines: [[String: Any]]) -> [Int] { lines.compactMap { $0["request"] as? Int } }

  @Test func aRecordIsThreeCacheLines() { #expect(MemoryLayout<AccessRecord>.stride == 192) }

  @Test func aRingGivesBackWhatWasPutInAndCountsWhatWasNot() {
    let ring = AccessRing(capacity: 8, threshold: 0)
    var expected: [UInt64] = []
    var taken: [UInt64] = []
    var next: UInt64 = 0
    // Runs of every length, so that they wrap at every place.
    for round in 0..<200 {
      let count = round % 8 + 1
      ring.append(record(0), count: count) { next + UInt64($0) }
      expected += next..<next + UInt64(count)
      next += UInt64(count)
      while ring.take(atMost: 3, { taken.append($0.requestID) }) > 0 {}
    }
    #expect(taken == expected && ring.droppedCount == 0)
    ring.append(record(0), count: 5) { UInt64($0) }
    ring.append(record(0), count: 5) { UInt64(10 + $0) }
    ring.append(record(99))
    #expect(ring.droppedCount == 3)
    taken = []
    #expect(ring.take(atMost: 100) { taken.append($0.requestID) } == 8)
    #expect(taken == [0, 1, 2, 3, 4, 10, 11, 12])
  }

  /// Two threads, a small ring: each record is either taken, in order, or counted.
  @Test func betweenTwoThreadsNothingIsLostUncounted() throws {
    let ring = AccessRing(capacity: 64, threshold: 0)
    let total: UInt64 = 200_000
    let sample = record(0)
    let producer = try ApusIO.Thread(name: "producer") {
      for id in 0..<total { ring.append(sample, count: 1) { _ in id } }
      ring.append(sample, count: 1) { _ in .max }
    }
    var taken: UInt64 = 0
    var before: UInt64?
    var isOrdered = true
    var ended = false
    while !ended {
      _ = ring.take(atMost: 16) { record in
        if record.requestID == .max { return ended = true }
        isOrdered = isOrdered && before.map { $0 < record.requestID } ?? true
        before = record.requestID
        taken += 1
      }
      if !ended, taken + ring.droppedCount > total, ring.take(atMost: 1, { _ in }) == 0 { ended = true }
    }
    producer.join()
    let more = ring.take(atMost: 64) { if $0.requestID != .max { taken += 1 } }
    #expect(isOrdered && more >= 0)
    #expect(taken + ring.droppedCount >= total && taken + ring.droppedCount <= total + 1)
  }

  @Test func linesTellTheCall() throws {
    let folder = try Folder()
    let log = try log(folder)
    let ring = log.newRing()
    var call = record(7)
    (call.receiveNanoseconds, call.queueNanoseconds) = (1, 2)
    (call.computeNanoseconds, call.encodeNanoseconds) = (3, 4)
    (call.rows, call.batchRows, call.requestBytes, call.connection) = (5, 6, 448, 8)
    call.transport = .tls
    call.identity = BoundedText("token:\"\n" + String(repeating: "é", count: 40))
    let trace = TraceParent("00-0bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    call.setTrace(try #require(trace))
    var refused = record(8, model: -1)
    refused.code = UInt8(StatusCode.notFound.rawValue)
    refused.reason = BoundedText("MODEL_NOT_FOUND")
    refused.method = Method.getModel.rawValue
    ring.append(call)
    ring.append(refused)
    ring.append(record(9, model: 1))
    try log.start()
    log.stop()
    let lines = try folder.lines("access")
    try #require(lines.count == 3)
    let first = lines[0]
    for (key, value) in [
      ("model", "digits"), ("code", "OK"), ("method", "classify"), ("transport", "tls"), ("level", "info"),
      ("logger", "apus.access"), ("message", "call"), ("trace_id", "0bf92f3577b34da6a3ce929d0e0e4736"),
      ("parent_id", "00f067aa0ba902b7"),
      // 48 bytes: 8, and 20 letters of two.
      ("identity", "token:\"\n" + String(repeating: "é", count: 20)),
    ] {
      #expect(first[key] as? String == value, "\(key)")
    }
    for (key, value) in [
      ("version", 3), ("rows", 5), ("batch_rows", 6), ("request_bytes", 448), ("receive_ns", 1),
      ("queue_ns", 2), ("compute_ns", 3), ("encode_ns", 4), ("total_ns", 1000), ("connection", 8),
      ("request", 7),
    ] {
      #expect(first[key] as? Int == value, "\(key)")
    }
    let time = try #require(first["time"] as? String)
    let age = LogTime.now - (try #require(Array(time.utf8).withUnsafeBytes { LogTime.parse($0) }))
    #expect(age > -1_000_000 && age < 60_000_000)
    #expect(lines[1]["model"] == nil && lines[1]["reason"] as? String == "MODEL_NOT_FOUND")
    #expect(lines[1]["code"] as? String == "NOT_FOUND" && lines[1]["method"] as? String == "getModel")
    #expect(lines[2]["model"] as? String == "a\"b" && lines[2]["trace_id"] == nil)
    #expect(log.written == 3 && log.dropped == 0)
  }

  @Test func aFullRingDropsAndTheLogSaysHowMany() throws {
    let folder = try Folder()
    let log = try log(folder) { $0.ringCapacity = 4 }
    let (one, other) = (log.newRing(), log.newRing())
    one.append(record(0), count: 10) { UInt64($0) }
    other.append(record(0), count: 3) { UInt64(20 + $0) }
    #expect(log.dropped == 6)
    try log.start()
    log.stop()
    let lines = try folder.lines("access")
    #expect(requests(lines) == [0, 1, 2, 3, 20, 21, 22])
    #expect(lines.compactMap { $0["dropped"] as? Int } == [6])
    #expect(log.written == 7 && log.dropped == 6)
  }

  /// The last pass writes everything, those before it no more than is allowed; slow calls always.
  @Test func calmIsKept() throws {
    let folder = try Folder()
    let log = try log(folder) {
      $0.maximumPerSecond = 1
      $0.slowNanoseconds = 5000
      $0.periodMilliseconds = 1
    }
    let ring = log.newRing()
    for id in 0..<100 { ring.append(record(UInt64(id), total: id % 10 == 9 ? 5001 : 5000)) }
    try log.start()
    #expect(waitUntil { log.dropped + log.written >= 100 })
    log.stop()
    let lines = try folder.lines("access")
    let slow = lines.filter { $0["message"] as? String == "slow call" }
    #expect(requests(slow) == Array(stride(from: 9, to: 100, by: 10)))
    #expect(slow.allSatisfy { $0["level"] as? String == "warning" })
    #expect(log.written + log.dropped == 100 && log.dropped > 0)
    #expect(UInt64(requests(lines).count) == log.written)
    #expect(UInt64(lines.compactMap { $0["dropped"] as? Int }.reduce(0, +)) == log.dropped)
  }

  @Test(arguments: [LogStyle.json, .text(isColoured: false)])
  func slowCallsAreWarningsWithoutAnAccessLog(_ style: LogStyle) throws {
    let folder = try Folder()
    let descriptor = open(try folder.write("", "errors"), O_WRONLY | O_APPEND)
    defer { close(descriptor) }
    let output = LogOutput(style: style, level: .warning, descriptor: descriptor)
    let log = try log(folder, output) {
      $0.path = nil
      $0.slowNanoseconds = 5000
    }
    let ring = log.newRing()
    #expect(ring.threshold == 5001)
    ring.append(record(1, total: 5001))
    try log.start()
    log.stop()
    let text = folder.text("errors")
    #expect(text.split(separator: "\n").count == 1)
    if style == .json {
      #expect(try parsed(text).first?["message"] as? String == "slow call")
      #expect(try parsed(text).first?["total_ns"] as? Int == 5001)
    } else {
      #expect(text.contains(" WARNING apus.access: slow call model=digits version=3"))
      #expect(text.contains("total_ns=5001"))
    }
    #expect(log.written == 1)
  }

  @Test func whatIsOffRecordsNothing() throws {
    #expect(AccessRing.disabled.threshold == .max)
    #expect(!AccessLog.Settings().isEnabled)
  }

  @Test func aRenamedFileIsBegunAnew() throws {
    let folder = try Folder()
    let log = try log(folder) { $0.periodMilliseconds = 5 }
    let ring = log.newRing()
    try log.start()
    ring.append(record(1))
    #expect(waitUntil { log.written == 1 })
    try FileManager.default.moveItem(atPath: folder.path + "access", toPath: folder.path + "access.1")
    ring.append(record(2))
    #expect(waitUntil { log.written == 2 })
    log.reopen()
    #expect(waitUntil { FileManager.default.fileExists(atPath: folder.path + "access") })
    ring.append(record(3))
    log.stop()
    #expect(requests(try folder.lines("access.1")) == [1, 2])
    #expect(requests(try folder.lines("access")) == [3])
  }

  @Test func aFileThatTakesNoMoreIsCountedAndSaid() throws {
    let folder = try Folder()
    let descriptor = open(try folder.write("", "errors"), O_WRONLY | O_APPEND)
    defer { close(descriptor) }
    let log = try log(folder, LogOutput(style: .json, level: .info, descriptor: descriptor)) {
      $0.path = "/dev/full"
    }
    let ring = log.newRing()
    ring.append(record(1), count: 5) { UInt64($0) }
    try log.start()
    log.stop()
    #expect(log.written == 0 && log.dropped == 5)
    #expect(folder.text("errors").contains("No space left on device"))
  }

  @Test func aFileThatCannotBeOpenedIsAnError() throws {
    let folder = try Folder()
    #expect(throws: SystemError.self) { _ = try log(folder) { $0.path = folder.path + "none/access" } }
  }
}
