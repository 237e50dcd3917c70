import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Foundation
import Testing

/// System calls that the server makes: few under load, none when idle.
@Suite(.serialized) struct SystemCallTests {
  @Test func pipelinedCallsShareSystemCalls() throws {
    let server = try ServedRepository()
    let made = try pipelinedCalls(to: server.address, of: server)
    #expect(made.requests == 50_001)
    #expect(made.systemCalls > 0 && made.systemCalls * 5 < made.requests)
  }

  /// In a lane a call takes none, but where a side has fallen asleep.
  @Test func callsInALaneTakeFewSystemCalls() throws {
    let server = try ServedRepository()
    let made = try pipelinedCalls(to: server.lane, of: server)
    #expect(made.systemCalls * 20 < 50_000)
  }

  /// Makes 50,000 calls, 128 in flight, of which no tensor is copied.
  private func pipelinedCalls(
    to address: String, of server: ServedRepository
  ) throws -> (requests: UInt64, systemCalls: UInt64) {
    let observer = try SynchronousClient(server.address)
    var connection = try ClientConnection.open(Address(address))
    let call = ClassifyCall("textclassifier")
    let input = [Float](repeating: 0.5, count: 100)
    try connection.classify(input, call, calls: 1000, inFlight: 128)
    let before = try #require(try observer.stats("", timeoutNanoseconds: 0).server)
    try connection.classify(input, call, calls: 50_000, inFlight: 128)
    let after = try #require(try observer.stats("", timeoutNanoseconds: 0).server)
    #expect(after.tensorCopiesTotal == 0)
    let requests = after.requestsTotal - before.requestsTotal
    let systemCalls = after.systemCallsTotal - before.systemCallsTotal
    print(
      "\(systemCalls) system calls for \(requests) requests: \(Double(systemCalls) / Double(requests)) each")
    return (requests, systemCalls)
  }

  /// The server's own count is what strace counts.
  @Test(.enabled(if: Tracer.isInstalled)) func systemCallsAreCountedRightly() throws {
    let server = try ServedRepository()
    let observer = try SynchronousClient(server.address)
    var connection = try ClientConnection.open(Address(server.address))
    let call = ClassifyCall("textclassifier")
    let input = [Float](repeating: 0.5, count: 100)
    try connection.classify(input, call, calls: 1000, inFlight: 128)
    guard let tracer = try Tracer(server.processID, threads: server.threads.count) else { return }
    let before = try #require(try observer.stats("", timeoutNanoseconds: 0).server)
    try connection.classify(input, call, calls: 20_000, inFlight: 4)
    let after = try #require(try observer.stats("", timeoutNanoseconds: 0).server)
    server.terminate()
    let traced = try tracer.systemCalls()
    let counted = Int(after.systemCallsTotal - before.systemCallsTotal)
    print("\(counted) system calls by Stats, \(traced) by strace")
    // The tracer also sees what each thread waits in when it comes, two calls of Stats, and the server's end.
    #expect(counted > 2000)
    #expect(abs(traced - counted) <= 200 + counted / 50)
  }

  /// A thread that is never scheduled makes no system call.
  @Test func idleServerSleeps() throws {
    let server = try ServedRepository()
    let call = ClassifyCall("digits")
    let input = [Float](repeating: 0.5, count: 64)
    var result = ClassifyResult()
    var clients = try (0..<100).map { _ in try SynchronousClient(server.address) }
    clients += try (0..<4).map { _ in try SynchronousClient(server.lane) }
    for client in clients { try client.classify(input, call, into: &result) }
    usleep(200_000)
    let before = try activity(server)
    sleep(2)
    let after = try activity(server)
    #expect(after.switches == before.switches)
    #expect(after.ticks - before.ticks <= 1)
    withExtendedLifetime(clients) {}
  }

  private func activity(_ server: ServedRepository) throws -> (switches: [String: Int], ticks: Int) {
    var switches: [String: Int] = [:]
    for thread in try server.threads {
      switches[thread] =
        try server.statusLine("voluntary_ctxt_switches", thread: thread)
        + server.statusLine("nonvoluntary_ctxt_switches", thread: thread)
    }
    return (switches, try ticks(server.processID))
  }

  /// Processor time that a process has used.
  private func ticks(_ processID: Int32) throws -> Int {
    let stat = try String(contentsOfFile: "/proc/\(processID)/stat", encoding: .utf8)
    // After the name in parentheses, utime and stime are the 12th and 13th field.
    let fields = stat[stat.lastIndex(of: ")")!...].split(separator: " ")
    return try #require(Int(fields[12])) + #require(Int(fields[13]))
  }

  /// The asynchronous client looks around in a lane while calls keep coming, so that the server need not
  /// ring for each answer, and sleeps when none come. It looks longer than usual: so slow is a debug build.
  @Test func asynchronousClientPollsALaneWhileCallsCome() throws {
    let calls: UInt64 = 1000
    let server = try ServedRepository(["--threads", "1"])
    let observer = try SynchronousClient(server.address)
    let probe = try Probe(
      [server.lane, "digits", "64", "\(calls)"],
      environment: ["APUS_PROBE": "asynchronous", "APUS_PROBE_SPIN": "20000000"])
    try probe.waitForStep()
    let before = try #require(try observer.stats("", timeoutNanoseconds: 0).server).laneBellsTotal
    try probe.goOn()
    try probe.waitForStep()
    let bells = try #require(try observer.stats("", timeoutNanoseconds: 0).server).laneBellsTotal - before
    print("\(bells) bells for \(calls) calls")
    #expect(bells * 10 < calls)
    usleep(200_000)
    let used = try ticks(probe.processID)
    sleep(1)
    #expect(try ticks(probe.processID) - used <= 1)
    try probe.goOn()
  }

  @Test func serverIsSmall() throws {
    let server = try ServedRepository()
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    try client.classify([Float](repeating: 0.5, count: 64), ClassifyCall("digits"), into: &result)
    let kibibytes = try server.statusLine("VmRSS")
    #expect(kibibytes < 20_000)
  }

  /// The main thread and the reactors: OpenBLAS starts none of its own.
  @Test func everyThreadIsAReactor() throws {
    for reactors in 1...3 {
      let server = try ServedRepository(["--threads", "\(reactors)"])
      // The socket is there a moment before the last thread.
      for _ in 0..<200 where try server.threads.count < 1 + reactors { usleep(10_000) }
      #expect(try server.threads.count == 1 + reactors)
    }
  }
}

/// `strace -f -c` on a running process.
private final class Tracer {
  private let process = Process()
  private let summary = FileManager.default.temporaryDirectory
    .appendingPathComponent("apus-strace-\(UUID().uuidString.prefix(8))").path

  static let isInstalled = FileManager.default.isExecutableFile(atPath: "/usr/bin/strace")

  /// - Returns: nil where tracing is not allowed.
  init?(_ processID: Int32, threads: Int) throws {
    process.executableURL = URL(fileURLWithPath: "/usr/bin/strace")
    process.arguments = ["-f", "-c", "-o", summary, "-p", "\(processID)"]
    process.standardError = FileHandle.nullDevice
    try process.run()
    for _ in 0..<250 {
      usleep(20_000)
      guard process.isRunning else { return nil }
      let traced = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(processID)/task").filter {
        thread in
        let status = try? String(contentsOfFile: "/proc/\(processID)/task/\(thread)/status", encoding: .utf8)
        return status?.contains("TracerPid:\t\(process.processIdentifier)\n") == true
      }
      if traced.count == threads { return }
    }
    kill(process.processIdentifier, SIGKILL)
    return nil
  }

  /// The calls of all kinds, once the traced process has ended. (A tracer started from a thread that blocks
  /// signals, as those of the tests do, cannot be interrupted.)
  func systemCalls() throws -> Int {
    process.waitUntilExit()
    let text = try String(contentsOfFile: summary, encoding: .utf8)
    // Columns: % time, seconds, usecs/call, calls, and errors where there are any, then the name.
    return text.split(separator: "\n").reduce(0) { sum, line in
      let fields = line.split(separator: " ")
      guard fields.count >= 5, Double(fields[0]) != nil, fields.last != "total" else { return sum }
      return sum + (Int(fields[3]) ?? 0)
    }
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    unlink(summary)
  }
}
