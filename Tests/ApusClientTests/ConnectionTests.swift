import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Testing

@Suite("Client connection", .timeLimit(.minutes(15)))
struct ConnectionTests {
  /// The server blocks on each answer until the client has taken the ones before, and reads nothing
  /// meanwhile; requests and answers are each more than buffers and sockets hold.
  @Test("neither side waits for the other when both have more to send than sockets hold")
  func manyLargeCalls() throws {
    let server = try FakeServer { [.send(classifyFrame($0, classes: 2048))] }
    var connection = try ClientConnection.open(try Address(server.address))
    let deadline = Instant.now.advanced(by: 30_000_000_000)
    let input = [Float](repeating: 1, count: 256)
    var (sent, answered, refused) = (0, 0, 0)
    while answered < 3000 {
      while sent < 3000 {
        guard try submit(&connection, input) != nil else {
          refused += 1
          break
        }
        sent += 1
      }
      connection.sendSome()
      let next = try connection.receive(until: deadline)
      let answer = try #require(next, "both sides wait")
      answered += 1
      #expect(answer.requestID == UInt64(answered))
    }
    #expect(refused > 0)
    let (hasUnsent, inFlight) = (connection.hasUnsent, connection.callsInFlight)
    #expect(!hasUnsent)
    #expect(inFlight == 0)
  }

  @Test("a frame larger than the buffer is sent behind small ones, and received while it is sent")
  func largeFrame() throws {
    let server = try FakeServer { [.send(classifyFrame($0, classes: 500_000))] }
    var connection = try ClientConnection.open(try Address(server.address))
    let input = [Float](repeating: 1, count: 1_000_000)
    for id: UInt64 in 1...3 {
      let submitted = try submit(&connection, input)
      #expect(submitted == id)
      let next = try connection.receive(until: .now.advanced(by: 30_000_000_000))
      let answer = try #require(next)
      #expect(answer.requestID == id)
      let response = try connection.classifyResponse(answer)
      #expect(response.form.classes == 500_000)
    }
  }

  @Test("Hello is the first frame, travels with the first call, and its limits hold from then on")
  func hello() throws {
    let server = try FakeServer(hello: { request in
      let response = HelloResponse(server: "fake", metadataBytes: 40, bodyBytes: 64, callsInFlight: 2)
      return [.send(helloFrame(request, encoded { response.encode(into: $0, arena: $1) }))]
    }) { $0.header.requestID < 2 ? [.send(classifyFrame($0))] : [] }
    var connection = try ClientConnection.open(try Address(server.address))
    #expect(server.hellos.isEmpty)
    _ = try submit(&connection, [1])
    let first = try connection.receive(until: .now.advanced(by: 10_000_000_000))
    #expect(first?.requestID == 1)
    let hello = try #require(server.hellos.first)
    #expect(hello.header.requestID == 0)
    try hello.metadata.withUnsafeBytes {
      let request = try HelloRequest(decoding: $0, arena: MetadataArena(byteCount: 65_536))
      #expect(request.minimumVersion == 1 && request.maximumVersion == 1 && !request.client.isEmpty)
    }
    let outcomes = [
      outcome(&connection, [Float](repeating: 1, count: 17)),
      outcome(&connection, [1], model: String(repeating: "m", count: 40)),
      outcome(&connection, [1]), outcome(&connection, [1]), outcome(&connection, [1]),
    ]
    #expect(outcomes == ["invalid", "invalid", "2", "3", "none"])
    let hasRoom = connection.hasRoom(inputBytes: 4)
    #expect(!hasRoom)
  }

  private func outcome(_ connection: inout ClientConnection, _ input: [Float], model: String = "d") -> String
  {
    do { return try submit(&connection, input, model: model).map(String.init) ?? "none" } catch {
      if case .invalidInput = error as? ClientError { return "invalid" }
      return "\(error)"
    }
  }

  @Test("a server that does not know Hello is used all the same, one of another version is not")
  func refusedHello() throws {
    for (reason, isFatal) in [("METHOD_UNKNOWN", false), ("VERSION_UNSUPPORTED", true)] {
      let server = try FakeServer(hello: { request in
        let status = Status(.unimplemented, reason, "no")
        return [.send(helloFrame(request, encoded { status.encode(into: $0, arena: $1) }, .status))]
      }) { [.send(classifyFrame($0))] }
      let client = try SynchronousClient(server.address)
      var result = ClassifyResult()
      if isFatal {
        let error = #expect(throws: ClientError.self) {
          try client.classify([1], ClassifyCall("d"), into: &result)
        }
        guard case .status(let status) = error else {
          return #expect(Bool(false), "\(String(describing: error))")
        }
        #expect(status.reason == reason)
      } else {
        try client.classify([1], ClassifyCall("d"), into: &result)
        #expect(result.probabilities[0] == 1)
      }
    }
  }

  @Test("a short and a long deadline pass when they should", arguments: [2, 60] as [UInt64])
  func deadlines(milliseconds: UInt64) throws {
    let server = try FakeServer { _ in [] }
    var connection = try ClientConnection.open(try Address(server.address))
    _ = try submit(&connection, [1])
    let deadline = Instant.now.advanced(by: milliseconds * 1_000_000)
    let answer = try connection.receive(until: deadline)
    #expect(answer == nil)
    #expect(Instant.now >= deadline)
  }

  private func submit(
    _ connection: inout ClientConnection, _ input: [Float], model: String = "d"
  ) throws -> UInt64? {
    try input.withUnsafeBytes { try connection.submit(ClassifyCall(model), $0) }
  }
}

private func helloFrame(_ request: ReceivedFrame, _ metadata: [UInt8], _ flags: FrameFlags = []) -> [UInt8] {
  frame(.answer, .hello, id: request.header.requestID, flags: flags, metadata: metadata)
}
