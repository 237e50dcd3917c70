import ApusClient
import ApusWire
import Testing

private func healthFrame(
  _ request: ReceivedFrame, _ status: ServingStatus, flags: FrameFlags = []
) -> [UInt8] {
  let response = HealthResponse(status: status, detail: "test")
  return frame(
    .answer, .watchHealth, id: request.header.requestID, flags: flags,
    metadata: encoded { response.encode(into: $0, arena: $1) })
}

private func isWatch(_ request: ReceivedFrame) -> Bool {
  request.header.method == Method.watchHealth.rawValue
}

/// The answer to a call; a cancel, which comes when a watch is read no more, has none.
private func answer(_ request: ReceivedFrame) -> [Step] {
  request.header.kind == FrameKind.request.rawValue ? [.send(classifyFrame(request))] : []
}

private let unprocessed = Status(.unavailable, "NOT_PROCESSED", "the server is closing; try another")

@Suite("Health updates", .timeLimit(.minutes(15)))
struct HealthUpdatesTests {
  @Test("no call is sent on a connection whose watch said that the server serves no more")
  func notServing() async throws {
    let server = try FakeServer { request in
      guard isWatch(request) else { return answer(request) }
      return [.send(healthFrame(request, .serving, flags: .more)), .send(healthFrame(request, .notServing))]
    }
    let client = try ApusClient(server.address)
    var states: [String] = []
    for try await health in client.watchHealth() { states.append(health.status) }
    #expect(states == ["SERVING", "NOT_SERVING"])
    #expect(try await client.classify("digits", [1]).probabilities[0] == 1)
    #expect(server.frames.map(\.connection) == [0, 1])
  }

  @Test("a model that does not serve leaves its connection in use")
  func modelNotServing() async throws {
    let server = try FakeServer { request in
      guard isWatch(request) else { return answer(request) }
      return [.send(healthFrame(request, .notServing, flags: .more))]
    }
    let client = try ApusClient(server.address)
    var watch = client.watchHealth(model: "other").makeAsyncIterator()
    #expect(try await watch.next()?.status == "NOT_SERVING")
    #expect(try await client.classify("digits", [1]).probabilities[0] == 1)
    #expect(server.frames.map(\.connection) == [0, 0])
  }

  @Test("a watch that was not processed is sent again on the next connection")
  func notProcessed() async throws {
    let server = try FakeServer { request in
      guard request.connection == 0 else { return [.send(healthFrame(request, .serving, flags: .more))] }
      return [.send(goAwayFrame()), .send(statusFrame(id: request.header.requestID, unprocessed))]
    }
    let client = try ApusClient(server.address)
    var watch = client.watchHealth().makeAsyncIterator()
    #expect(try await watch.next()?.status == "SERVING")
    #expect(server.frames.map(\.connection) == [0, 1])
  }

  @Test("a watch whose refusal is lost with a connection that said goaway is sent again")
  func refusalLost() async throws {
    let server = try FakeServer { request in
      guard request.connection == 0 else { return [.send(healthFrame(request, .serving, flags: .more))] }
      return [.send(goAwayFrame()), .close]
    }
    let client = try ApusClient(server.address)
    var watch = client.watchHealth().makeAsyncIterator()
    #expect(try await watch.next()?.status == "SERVING")
    #expect(server.frames.map(\.connection) == [0, 1])
  }

  @Test("a watch takes none of the calls that the server allows")
  func limit() async throws {
    let server = try FakeServer(hello: { request in
      let response = HelloResponse(server: "fake", metadataBytes: 0, bodyBytes: 0, callsInFlight: 1)
      return [
        .send(frame(.answer, .hello, id: 0, metadata: encoded { response.encode(into: $0, arena: $1) }))
      ]
    }) { request in
      isWatch(request)
        ? [.send(healthFrame(request, .serving, flags: .more))] : answer(request)
    }
    let client = try ApusClient(server.address)
    var watch = client.watchHealth().makeAsyncIterator()
    #expect(try await watch.next()?.status == "SERVING")
    for value in 1...3 {
      #expect(try await client.classify("digits", [Float(value)]).probabilities.count == 3)
    }
  }

  @Test("a task that stops reading cancels its watch")
  func cancel() async throws {
    let server = try FakeServer { request in
      guard isWatch(request), request.header.kind == FrameKind.request.rawValue else { return [] }
      return [.send(healthFrame(request, .serving, flags: .more))]
    }
    let client = try ApusClient(server.address)
    let task = Task { for try await _ in client.watchHealth() {} }
    while server.frames.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
    task.cancel()
    let result = await task.result
    #expect(throws: ClientError.cancelled) { try result.get() }
    while server.frames.count < 2 { try await Task.sleep(for: .milliseconds(1)) }
    #expect(server.frames[1].header.kind == FrameKind.cancel.rawValue)
    #expect(server.frames[1].header.requestID == server.frames[0].header.requestID)
  }
}
