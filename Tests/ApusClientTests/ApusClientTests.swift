import ApusClient
import ApusWire
import Testing

@Suite("Async client", .timeLimit(.minutes(15)))
struct ApusClientTests {
  @Test("many tasks share a connection and each gets its own answer")
  func manyTasks() async throws {
    let server = try FakeServer { [.send(classifyFrame($0))] }
    let client = try ApusClient(server.address)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for value in 0..<200 {
        group.addTask {
          let result = try await client.classify("digits", [Float(value)], top: 0)
          return result.probabilities == [Float(value), Float(value) + 1, Float(value) + 2]
        }
      }
      for try await isRight in group { #expect(isRight) }
    }
    #expect(server.frames.count == 200)
    #expect(server.frames.allSatisfy { $0.connection == 0 })
  }

  @Test("calls refused by, and unanswered at the end of, a closing server are sent again")
  func goAway() async throws {
    let server = try FakeServer { request in
      guard request.connection == 0 else { return [.send(classifyFrame(request))] }
      let id = request.header.requestID
      return id == 1 ? [.send(goAwayFrame()), .close] : [.send(statusFrame(id: id, notProcessed)), .close]
    }
    let client = try ApusClient(server.address)
    async let first = client.classify("digits", [1])
    async let second = client.classify("digits", [2])
    #expect(try await first.probabilities[0] == 1)
    #expect(try await second.probabilities[0] == 2)
  }

  @Test("a deadline fires without an answer")
  func deadline() async throws {
    let server = try FakeServer { _ in [] }
    let client = try ApusClient(server.address)
    await #expect(throws: ClientError.timedOut) {
      try await client.classify("digits", [1], timeout: .milliseconds(20))
    }
  }

  @Test("a cancelled task ends at once and the server is told")
  func cancellation() async throws {
    let server = try FakeServer { _ in [] }
    let client = try ApusClient(server.address)
    let task = Task { try await client.classify("digits", [1]) }
    while server.frames.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
    task.cancel()
    let result = await task.result
    #expect(throws: ClientError.cancelled) { try result.get() }
    while server.frames.count < 2 { try await Task.sleep(for: .milliseconds(1)) }
    #expect(server.frames[1].header.kind == FrameKind.cancel.rawValue)
    #expect(server.frames[1].header.requestID == server.frames[0].header.requestID)
  }

  @Test("a task that was cancelled before its call sends none that it waits for")
  func cancelledBefore() async throws {
    let server = try FakeServer { _ in [] }
    let client = try ApusClient(server.address)
    let task = Task {
      while !Task.isCancelled { await Task.yield() }
      return try await client.classify("digits", [1])
    }
    task.cancel()
    let result = await task.result
    #expect(throws: ClientError.cancelled) { try result.get() }
  }

  @Test("a server that dies fails its calls, and the next call connects again")
  func serverDies() async throws {
    let server = try FakeServer { $0.connection == 0 ? [.close] : [.send(classifyFrame($0))] }
    let client = try ApusClient(server.address)
    let error = await #expect(throws: ClientError.self) { try await client.classify("digits", [1]) }
    guard case .connectionLost = error else { return #expect(Bool(false), "\(String(describing: error))") }
    #expect(try await client.classify("digits", [2]).probabilities[0] == 2)
  }

  @Test("closing fails what is in flight, and what comes after")
  func close() async throws {
    let server = try FakeServer { _ in [] }
    let client = try ApusClient(server.address)
    let task = Task { try await client.classify("digits", [1]) }
    while server.frames.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
    client.close()
    let result = await task.result
    #expect(throws: ClientError.closed) { try result.get() }
    await #expect(throws: ClientError.closed) { try await client.classify("digits", [1]) }
  }

  @Test("without a server a call fails with the reason")
  func noServer() async throws {
    let client = try ApusClient("unix:/nonexistent/apus.sock")
    let error = await #expect(throws: ClientError.self) { try await client.classify("digits", [1]) }
    guard case .connectionFailed = error else { return #expect(Bool(false), "\(String(describing: error))") }
  }

  @Test("a deadline passes while the connection is being made")
  func deadlineWhileConnecting() async throws {
    let server = try BusyServer()
    var options = ClientOptions()
    options.connectTimeoutNanoseconds = 500_000_000
    let client = try ApusClient(server.address, options: options)
    await #expect(throws: ClientError.timedOut) {
      try await client.classify("digits", [1], timeout: .milliseconds(20))
    }
    let error = await #expect(throws: ClientError.self) { try await client.classify("digits", [1]) }
    guard case .connectionFailed = error else { return #expect(Bool(false), "\(String(describing: error))") }
  }

  @Test("a call that is sent again says the time that is left")
  func timeLeft() async throws {
    let server = try FakeServer { request in
      request.connection == 0
        ? [.send(goAwayFrame()), .send(statusFrame(id: request.header.requestID, notProcessed)), .close]
        : [.send(classifyFrame(request))]
    }
    var options = ClientOptions()
    options.backoffNanoseconds = 200_000_000
    let client = try ApusClient(server.address, options: options)
    _ = try await client.classify("digits", [1], timeout: .seconds(2))
    let arena = MetadataArena(byteCount: 65_536)
    let times = try server.frames.map { frame in
      try frame.metadata.withUnsafeBytes {
        try ClassifyRequest(decoding: $0, bodyBytes: frame.body.count, arena: arena).timeoutNanoseconds
      }
    }
    #expect(times.count == 2)
    #expect(times[0] > 1_500_000_000 && times[0] <= 2_000_000_000)
    #expect(times[1] <= 1_900_000_000 && times[1] > 0)
  }
}
