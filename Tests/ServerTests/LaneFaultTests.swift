import ApusClient
import ApusIO
import ApusLane
import ApusWire
import Foundation
import Glibc
import Testing

/// Clients of lanes that die, lie or stop: nobody else notices, and all that they took comes back. `make
/// soak` makes many more rounds (SOAK_ROUNDS; a server takes what begins with APUS for its own settings).
@Suite struct LaneFaultTests {
  private static let rounds =
    ProcessInfo.processInfo.environment["SOAK_ROUNDS"].flatMap { Int($0) } ?? 1000

  /// A server that has served a lane, and the descriptors that it holds then.
  private func servingServer() throws -> (ServerProcess, descriptors: Int) {
    let server = try ServerProcess()
    try FaultTests.expectServing(server.lane)
    return (server, server.descriptors)
  }

  /// What a server holds once no lane is open.
  private func expectNothingLeft(_ server: ServerProcess, _ descriptors: Int) throws {
    try FaultTests.expectServing(server.unix)
    try FaultTests.expectServing(server.lane)
    #expect(waitUntil(seconds: 10) { server.descriptors <= descriptors && server.sharedMappings == 0 })
  }

  /// A frame cut at any byte, and the end of its writer.
  @Test func clientsGoneInMidFrameLeaveNothingBehind() throws {
    let (server, descriptors) = try servingServer()
    let whole = classifyFrame(1, "textclassifier", FaultTests.text)
    for round in 0..<Self.rounds {
      let lane = try RawLane(server.unix, ringBytes: 4096)
      for _ in 0..<Int.random(in: 0...20) { lane.send(whole) }
      lane.send(Array(whole[..<Int.random(in: 0..<whole.count)]))
      if round % 3 == 0 { usleep(UInt32.random(in: 0...300)) }
      lane.close()
    }
    try expectNothingLeft(server, descriptors)
  }

  /// Real clients, killed at any instruction: a quarter of the rounds, for each is a process.
  @Test func clientsKilledWhileTheyCallLeaveNothingBehind() throws {
    let (server, descriptors) = try servingServer()
    let calm = try SynchronousClient(server.lane)
    for _ in 0..<max(10, Self.rounds / 4) {
      let client = Process()
      client.executableURL = ServerProcess.executable
      client.arguments = [
        "bench", "--to", server.lane, "--model", "textclassifier", "--duration", "30", "--concurrency", "8",
      ]
      client.standardOutput = FileHandle.nullDevice
      client.standardError = FileHandle.nullDevice
      try client.run()
      usleep(UInt32.random(in: 20_000...120_000))
      var result = ClassifyResult()
      try calm.classify(FaultTests.text, ClassifyCall("textclassifier"), into: &result)
      kill(client.processIdentifier, SIGKILL)
      client.waitUntilExit()
    }
    calm.disconnect()
    try expectNothingLeft(server, descriptors)
  }

  /// Words, indices, headers, texts and numbers that are anything at any time.
  @Test func clientsThatScribbleHarmNobodyElse() throws {
    let (server, descriptors) = try servingServer()
    let calm = try SynchronousClient(server.lane)
    let whole = classifyFrame(1, "textclassifier", FaultTests.text)
    for round in 0..<Self.rounds {
      let lane = try RawLane(server.unix, ringBytes: 16_384)
      let memory = lane.memory.bytes
      for _ in 0..<50 {
        lane.send(whole)
        for _ in 0..<Int.random(in: 1...8) {
          let place =
            switch round % 3 {
            // The words; the frame that is being read; anything.
            case 0: [1024, 1152, 1280, 1408, 2048, 2176, 2304, 2432].randomElement()! + Int.random(in: 0..<8)
            case 1: lane.layout.requests.dataOffset + Int.random(in: 0..<whole.count)
            default: Int.random(in: 0..<memory.count)
            }
          memory[place] = UInt8.random(in: 0...255)
        }
        if Bool.random() { lane.ring(Int.random(in: 1...100)) }
      }
      var result = ClassifyResult()
      try calm.classify(FaultTests.text, ClassifyCall("textclassifier"), into: &result)
      lane.close()
    }
    calm.disconnect()
    try expectNothingLeft(server, descriptors)
  }

  /// Answers that nobody takes stop the reading of that lane alone, and end it in time.
  @Test func clientThatNeverReadsIsClosed() throws {
    let folder = try ModelFolder().copy("torch/digits_mlp/digits_mlp.pth", to: "digits/1/model.pth")
    defer { withExtendedLifetime(folder) {} }
    let short = try folder.configuration("limits:\n  write_timeout_ms: 1000\n")
    let server = try ServerProcess(models: folder.path, arguments: ["--config", short])
    let lane = try RawLane(server.unix, ringBytes: 4096)
    let call = classifyFrame(1, "digits", [Float](repeating: 0.5, count: 64))
    var id: UInt64 = 0
    var isFull = false
    for _ in 0..<2000 where !isFull {
      id += 1
      var bytes = call
      withUnsafeBytes(of: id.littleEndian) { for place in 0..<8 { bytes[8 + place] = $0[place] } }
      var vain = 0
      while !bytes.isEmpty, !isFull {
        let sent = lane.send(bytes)
        bytes.removeFirst(sent)
        if sent == 0 { usleep(5000) }
        vain = sent == 0 ? vain + 1 : 0
        isFull = vain == 100
      }
    }
    let calm = try SynchronousClient(server.lane)
    var result = ClassifyResult()
    for _ in 0..<100 {
      try calm.classify([Float](repeating: 0.5, count: 64), ClassifyCall("digits"), into: &result)
    }
    let before = server.processorTicks
    #expect(isFull)
    #expect(lane.isClosed())
    // Waiting for a client takes no processor time.
    #expect(server.processorTicks - before < 20)
  }

  /// Descriptors come where one is awaited and nowhere else.
  @Test func strayDescriptorsAreClosedUnseen() throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    let lane = try RawLane(server.unix)
    connection.send(classifyFrame(1, "textclassifier", FaultTests.text))
    #expect(try connection.answer()?.id == 1)
    let descriptors = server.descriptors
    let other = Descriptor(owning: open("/dev/zero", O_RDONLY))
    for id in 2...200 as ClosedRange<UInt64> {
      lane.pass(other)
      lane.send(classifyFrame(id, "textclassifier", FaultTests.text))
      #expect(try lane.answer()?.id == id)
    }
    #expect(server.descriptors <= descriptors)
    // On a plain connection the byte that comes with it is no frame.
    connection.pass(other)
    #expect(try connection.answer()?.status?.reason == "NOT_APUS")
    #expect(waitUntil(seconds: 5) { server.descriptors <= descriptors })
    try FaultTests.expectServing(server.lane)
  }

  @Test func manyLanesComeAndGo() throws {
    let (server, descriptors) = try servingServer()
    for _ in 0..<3 {
      var lanes: [SynchronousClient] = []
      for _ in 0..<100 { lanes.append(try SynchronousClient(server.lane)) }
      var result = ClassifyResult()
      for lane in lanes { try lane.classify(FaultTests.text, ClassifyCall("textclassifier"), into: &result) }
      #expect(try lanes[0].lanes() == 100)
    }
    try expectNothingLeft(server, descriptors)
  }

  @Test func lanesBeyondTheLimitAreRefused() throws {
    let folder = try ModelFolder()
    let three = try folder.configuration("limits:\n  lanes: 3\n")
    let server = try ServerProcess(arguments: ["--config", three])
    let lanes = try (0..<3).map { _ in try RawLane(server.unix) }
    #expect { _ = try SynchronousClient(server.lane) } throws: { "\($0)".contains("as many lanes as it may") }
    lanes[0].close()
    #expect(waitUntil(seconds: 5) { (try? SynchronousClient(server.lane)) != nil })
  }
}
