import ApusBase
import ApusClient
import ApusWire
import Testing

@Suite("Synchronous client")
struct SynchronousClientTests {
  @Test("a call carries its numbers and options, and its answer comes back whole")
  func roundTrip() throws {
    let server = try FakeServer { [.send(classifyFrame($0, withIndices: true))] }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    for value: Float in [0.5, 1.5, 2.5] {
      try client.classify([value, 9], ClassifyCall("digits", top: 3), into: &result)
      #expect(result.probabilities == [value, value + 1, value + 2])
    }
    #expect(result.indices == [2, 1, 0])
    #expect(result.version == 5)
    #expect(result.prediction().label == "2")
    let frames = server.frames
    #expect(frames.map(\.header.requestID) == [1, 2, 3])
    let arena = MetadataArena(byteCount: 65_536)
    try frames[2].metadata.withUnsafeBytes {
      let request = try ClassifyRequest(decoding: $0, bodyBytes: frames[2].body.count, arena: arena)
      #expect(String(decoding: request.model.name, as: UTF8.self) == "digits")
      #expect(request.topK == 3)
      #expect(Array(request.input.shape) == [1, 2])
    }
  }

  @Test("an answer like the last one still brings its own load, time and numbers")
  func answerTemplate() throws {
    let loads: [Float?] = [0.25, 0.5, 0.75, 1, nil, nil, 0, 0.5]
    let server = try FakeServer { request in
      let id = request.header.requestID
      let load = loads[Int(id) - 1]
      return [.send(classifyFrame(request, classes: id == 3 ? 4 : 3, load: load, time: id * 100))]
    }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    for id: UInt64 in 1...8 {
      try client.classify([Float(id)], ClassifyCall("digits"), into: &result)
      #expect(result.load == loads[Int(id) - 1] ?? 0)
      #expect(result.time.totalNanoseconds == id * 100)
      #expect(result.classes == (id == 3 ? 4 : 3))
      #expect(result.probabilities.count == result.classes)
      #expect(result.probabilities[0] == Float(id))
    }
  }

  @Test("a call says its priority")
  func priority() throws {
    let server = try FakeServer { [.send(classifyFrame($0))] }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    var call = ClassifyCall("digits")
    #expect(call.priority == nil)
    try client.classify([1], call, into: &result)
    for priority in ["batch", "interactive"] {
      call.priority = .init(rawValue: priority)
      #expect(call.priority?.rawValue == priority)
      try client.classify([1], call, into: &result)
    }
    let arena = MetadataArena(byteCount: 65_536)
    let seen = try server.frames.map { frame in
      try frame.metadata.withUnsafeBytes {
        try ClassifyRequest(decoding: $0, bodyBytes: frame.body.count, arena: arena).priority
      }
    }
    #expect(seen == [nil, .batch, .interactive])
  }

  @Test("a changed shape, option or type is sent anew")
  func requestTemplate() throws {
    let server = try FakeServer { [.send(classifyFrame($0))] }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    try client.classify([1, 2, 3, 4], ClassifyCall("digits"), into: &result)
    try client.classify([1, 2, 3, 4], ClassifyCall("digits", shape: [2, 2]), into: &result)
    try client.classify([1, 2, 3, 4], ClassifyCall("letters", shape: [2, 2]), into: &result)
    let arena = MetadataArena(byteCount: 65_536)
    let seen = try server.frames.map { frame in
      try frame.metadata.withUnsafeBytes {
        let request = try ClassifyRequest(decoding: $0, bodyBytes: frame.body.count, arena: arena)
        return "\(String(decoding: request.model.name, as: UTF8.self)) \(Array(request.input.shape))"
      }
    }
    #expect(seen == ["digits [1, 4]", "digits [2, 2]", "letters [2, 2]"])
  }

  @Test("a status becomes a typed error and the connection goes on")
  func statuses() throws {
    let server = try FakeServer { request in
      guard request.header.requestID == 1 else { return [.send(classifyFrame(request))] }
      let status = Status(.notFound, "MODEL_UNKNOWN", "there is no model 'x'", retryAfterNanoseconds: 5)
      return [.send(statusFrame(id: 1, status))]
    }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    let error = #expect(throws: ClientError.self) {
      try client.classify([1], ClassifyCall("x"), into: &result)
    }
    guard case .status(let status) = error else {
      return #expect(Bool(false), "\(String(describing: error))")
    }
    #expect(status.codeName == "NOT_FOUND")
    #expect(status.reason == "MODEL_UNKNOWN")
    #expect(status.retryAfter == .nanoseconds(5))
    try client.classify([1], ClassifyCall("digits"), into: &result)
    #expect(server.frames.map(\.connection) == [0, 0])
  }

  @Test(
    "answers cut into single bytes, and ones larger than the ring, are read whole", arguments: [3, 100_000])
  func cutFrames(classes: Int) throws {
    let server = try FakeServer { request in
      let bytes = classifyFrame(request, classes: classes)
      return classes == 3 ? [.sendByteByByte(bytes)] : [.send(bytes)]
    }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    for value: Float in [1, 2] {
      try client.classify([value], ClassifyCall("digits"), into: &result)
      #expect(result.probabilities.count == classes)
      #expect(result.probabilities.last == value + Float(classes - 1))
    }
  }

  @Test("a call refused because the server is going away is sent again on a new connection")
  func goAway() throws {
    let server = try FakeServer { request in
      guard request.connection == 0 else { return [.send(classifyFrame(request))] }
      return [.send(goAwayFrame()), .send(statusFrame(id: request.header.requestID, notProcessed)), .close]
    }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    try client.classify([4], ClassifyCall("digits"), into: &result)
    #expect(result.probabilities[0] == 4)
    #expect(server.frames.map(\.connection) == [0, 1])
  }

  @Test("a call without an answer ends at its deadline, and a late answer is not taken for the next one's")
  func deadline() throws {
    let server = try FakeServer { request in
      switch request.header.requestID {
      case 1: []
      default:
        request.header.kind == FrameKind.cancel.rawValue
          ? []
          : [
            .send(statusFrame(id: 1, Status(.deadlineExceeded, "DEADLINE", "late"))),
            .send(classifyFrame(request)),
          ]
      }
    }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    var call = ClassifyCall("digits")
    call.timeoutNanoseconds = 20_000_000
    #expect(throws: ClientError.timedOut) { try client.classify([1], call, into: &result) }
    try client.classify([2], ClassifyCall("digits"), into: &result)
    #expect(result.probabilities[0] == 2)
    #expect(server.frames.map(\.header.kind) == [1, 3, 1])
  }

  @Test("a server that dies in mid-call is an error, not a second try; the next call connects again")
  func serverDies() throws {
    let server = try FakeServer { request in
      request.connection == 0
        ? [.send(Array(classifyFrame(request)[..<70])), .close] : [.send(classifyFrame(request))]
    }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    let error = #expect(throws: ClientError.self) {
      try client.classify([1], ClassifyCall("d"), into: &result)
    }
    guard case .connectionLost = error else { return #expect(Bool(false), "\(String(describing: error))") }
    #expect(server.frames.count == 1)
    try client.classify([3], ClassifyCall("d"), into: &result)
    #expect(result.probabilities[0] == 3)
  }

  @Test("frames that break the protocol are refused", arguments: 0..<6)
  func brokenFrames(kind: Int) throws {
    let server = try FakeServer { request in
      var bytes = classifyFrame(request)
      switch kind {
      case 0: bytes[0] = 0x20
      case 1: bytes[5] = FrameKind.request.rawValue
      case 2: bytes[31] = 0xFF
      case 3: bytes[bytes.count - 1] = 1
      // An unknown wire type in the metadata.
      case 4: bytes[32] = 0xFF
      // Three classes become many more than the body holds.
      default: bytes[35] = 0x7F
      }
      return [.send(bytes)]
    }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    let error = #expect(throws: ClientError.self) {
      try client.classify([1], ClassifyCall("d"), into: &result)
    }
    guard case .protocolBroken = error else { return #expect(Bool(false), "\(String(describing: error))") }
    #expect(result == ClassifyResult())
  }

  @Test("input that does not fit its call is refused before anything is sent")
  func invalidInput() throws {
    let server = try FakeServer { [.send(classifyFrame($0))] }
    let client = try SynchronousClient(server.address)
    var result = ClassifyResult()
    var both = ClassifyCall("d")
    both.version = 1
    both.alias = "stable"
    for call in [
      ClassifyCall("d", shape: [2, 2]), ClassifyCall("d", shape: [-1, -3]),
      ClassifyCall("d", shape: [.max, 3]), both,
    ] {
      let error = #expect(throws: ClientError.self) { try client.classify([1, 2, 3], call, into: &result) }
      guard case .invalidInput = error else { return #expect(Bool(false), "\(String(describing: error))") }
    }
    #expect(server.frames.isEmpty)
  }

  @Test("an address where nobody listens, and one that is none")
  func noServer() {
    let error = #expect(throws: ClientError.self) { try SynchronousClient("unix:/nonexistent/apus.sock") }
    guard case .connectionFailed = error else { return #expect(Bool(false), "\(String(describing: error))") }
    let invalid = #expect(throws: ClientError.self) { try SynchronousClient("apus.sock") }
    guard case .invalidInput = invalid else { return #expect(Bool(false), "\(String(describing: invalid))") }
  }
}
