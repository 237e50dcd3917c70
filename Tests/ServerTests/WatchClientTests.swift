import ApusClient
import Foundation
import Glibc
import Testing

/// Watches as programs have them: the Swift client and the command line, against a real server.
@Suite(.timeLimit(.minutes(15))) struct WatchClientTests {
  @Test func theSequenceEndsWithTheDrain() async throws {
    let server = try ServerProcess()
    let client = try ApusClient(server.unix)
    var states: [String] = []
    for try await health in client.watchHealth() {
      states.append(health.status)
      guard health.isServing else { continue }
      let result = try await client.classify("digits", [Float](repeating: 1, count: 64), top: 1)
      #expect(result.labels.count == 1, "calls go on beside a watch")
      server.signal(SIGTERM)
    }
    #expect(states == ["SERVING", "NOT_SERVING"])
    #expect(server.exitStatus() == 0)
  }

  @Test func twoWatchesOfOneClientAreTwo() async throws {
    let server = try ServerProcess()
    let client = try ApusClient(server.unix)
    var whole = client.watchHealth().makeAsyncIterator()
    var model = client.watchHealth(model: "nobody").makeAsyncIterator()
    #expect(try await whole.next()?.status == "SERVING")
    #expect(try await model.next()?.status == "SERVICE_UNKNOWN")
    server.signal(SIGTERM)
    #expect(try await whole.next()?.status == "NOT_SERVING")
    #expect(try await model.next()?.status == "NOT_SERVING")
    #expect(try await whole.next() == nil)
    #expect(try await model.next() == nil)
  }

  @Test func aCancelledTaskEndsItsWatch() async throws {
    let server = try ServerProcess()
    let client = try ApusClient(server.unix)
    // More, one after another, than a connection may have at one time.
    for _ in 0..<10 {
      let (started, start) = AsyncStream.makeStream(of: Void.self)
      let task = Task {
        for try await _ in client.watchHealth() { start.yield() }
      }
      for await _ in started { break }
      task.cancel()
      let result = await task.result
      #expect(throws: ClientError.cancelled) { try result.get() }
    }
    #expect(try await client.classify("digits", [Float](repeating: 1, count: 64)).rows == 1)
  }

  @Test func errorsAreThrown() async throws {
    let server = try ServerProcess()
    let client = try ApusClient(server.unix)
    var watch = client.watchHealth().makeAsyncIterator()
    #expect(try await watch.next()?.isServing == true)
    server.signal(SIGKILL)
    do {
      while try await watch.next() != nil {}
      Issue.record("the watch of a killed server ended in order")
    } catch {
      guard case .connectionLost = error else { throw error }
    }
    await #expect(throws: ClientError.self) {
      for try await _ in client.watchHealth() { Issue.record("nobody is there") }
    }
    client.close()
    await #expect(throws: ClientError.closed) {
      for try await _ in client.watchHealth() { Issue.record("the client is closed") }
    }
  }

  // MARK: apus health --watch

  /// Runs the command, does something once it has printed a line, and gives what it printed.
  private func watch(
    _ address: String, _ arguments: [String], then act: (pid_t) -> Void
  ) throws -> (output: String, status: Int32) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = ServerProcess.executable
    process.arguments = ["health", "--to", address, "--watch"] + arguments
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    var output = try #require(try pipe.fileHandleForReading.read(upToCount: 1))
    act(process.processIdentifier)
    output += try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit)
    return (String(decoding: output, as: UTF8.self), process.terminationStatus)
  }

  @Test func theCommandPrintsEachChange() throws {
    let server = try ServerProcess()
    let drained = try watch(server.unix, ["--json"]) { _ in server.signal(SIGTERM) }
    #expect(
      drained.output == """
        {"status": "SERVING", "detail": ""}
        {"status": "NOT_SERVING", "detail": "the server is shutting down"}

        """)
    #expect(drained.status == 1)
  }

  @Test func theCommandEndsAtCtrlCWithTheLastState() throws {
    let server = try ServerProcess()
    // The line has been written whole before its first byte can be read.
    let serving = try watch(server.unix, []) {
      usleep(100_000)
      kill($0, SIGINT)
    }
    #expect(serving.output == "SERVING\n" && serving.status == 0)
    let unknown = try watch(server.unix, ["--model", "nobody"]) {
      usleep(100_000)
      kill($0, SIGINT)
    }
    #expect(unknown.output.hasPrefix("SERVICE_UNKNOWN") && unknown.status == 1)
    let lost = try watch(server.unix, []) { _ in server.signal(SIGKILL) }
    #expect(lost.output.hasPrefix("SERVING\napus: the connection was lost") && lost.status == 1)
  }
}
