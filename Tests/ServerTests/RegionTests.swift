import ApusBase
import ApusClient
import ApusEngine
import ApusIO
import ApusLane
import ApusWire
import CLinux
import Foundation
import Glibc
import Synchronization
import Testing

/// Tensors in memory that client and server share.
@Suite struct RegionTests {
  private static let golden = GoldenAnswerTests.models[1]

  private func write(_ rows: [Float], to region: TensorRegion, at offset: Int = 0) {
    rows.withUnsafeBytes {
      region.bytes.baseAddress!.advanced(by: offset).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
    }
  }

  @Test func tensorsInRegionsAnswerAsThoseInBodies() throws {
    let (server, folder) = try LaneTests.digits()
    defer { withExtendedLifetime(folder) {} }
    let client = try SynchronousClient(server.lane)
    let rows = try Self.golden.rows()
    let call = ClassifyCall("digits", shape: [128, 64])
    var expected = ClassifyResult()
    try client.classify(rows, call, into: &expected)
    let copies = try client.copies()
    let region = try client.makeRegion(byteCount: 1 << 20)
    for offset in [0, 64, 4096, (1 << 20) - 128 * 64 * 4] {
      write(rows, to: region, at: offset)
      var result = ClassifyResult()
      try client.classify(region, offset: offset, byteCount: 128 * 64 * 4, call, into: &result)
      #expect(result.probabilities == expected.probabilities)
    }
    #expect(try client.copies() == copies)
    try client.release(region)
    // The next call registers it again.
    var result = ClassifyResult()
    try client.classify(region, byteCount: 64 * 4, ClassifyCall("digits", shape: [1, 64]), into: &result)
    #expect(result.rows == 1)
    let second = try client.makeRegion(byteCount: 4096)
    try client.classify(second, byteCount: 64 * 4, ClassifyCall("digits", shape: [1, 64]), into: &result)
    #expect(throws: ClientError.self) {
      try client.classify(second, offset: 32, byteCount: 64 * 4, ClassifyCall("digits"), into: &result)
    }
    #expect(throws: ClientError.self) {
      try client.classify(second, offset: 4096, byteCount: 64 * 4, ClassifyCall("digits"), into: &result)
    }
  }

  @Test func regionsAreSentOverASocket() throws {
    let (server, folder) = try LaneTests.digits()
    defer { withExtendedLifetime(folder) {} }
    let client = try SynchronousClient(server.unix)
    let region = try client.makeRegion(byteCount: 1 << 16)
    let rows = try Self.golden.rows()
    write(rows, to: region)
    let call = ClassifyCall("digits", shape: [128, 64])
    var expected = ClassifyResult()
    var result = ClassifyResult()
    try client.classify(rows, call, into: &expected)
    try client.classify(region, byteCount: rows.count * 4, call, into: &result)
    #expect(result.probabilities == expected.probabilities)
    try client.release(region)
  }

  /// Numbers that say what is read are copied before they are looked at: they may be anything a moment later.
  @Test func numbersThatLeadSomewhereAreCopiedFirst() throws {
    let server = try MetricsServer([GraphCallTests.lookup(.int32)])
    let client = try SynchronousClient("shm:" + server.address.dropFirst(5))
    let region = try client.makeRegion(byteCount: 4096)
    var call = ClassifyCall("table", shape: [64, 1])
    call.elementType = .int32
    try Scribbler.scribbling(
      region.bytes[..<256], [UInt32](repeating: 1, count: 400) + [0, 2, 1 << 30, .max, 1 << 31]
    ) {
      var answered = 0
      for _ in 0..<3000 {
        var result = ClassifyResult()
        do {
          try client.classify(region, byteCount: 256, call, into: &result)
          answered += 1
          try #require(result.probabilities.allSatisfy { (1...6).contains($0) })
        } catch ClientError.status(let status) { try #require(status.reason == "INPUT_REFUSED") }
      }
      print("\(answered) of 3000 calls answered")
    }
    #expect(try client.copies() >= 3000)
  }

  // MARK: Refusals

  private func memory(seals: Int = Int(CLINUX_SEAL_SHRINK)) throws -> Descriptor {
    let number = clinux_shared_memory("test", 4096, Int32(seals), 0)
    try #require(number >= 0)
    return Descriptor(owning: number)
  }

  @Test func memoryThatCouldVanishIsRefusedAndTheLaneGoesOn() throws {
    let server = try ServerProcess()
    let lane = try RawLane(server.unix)
    let descriptors = server.descriptors
    let unsealed = try memory(seals: 0)
    #expect(try lane.register(1, 4096, unsealed)?.reason == "REGION_REFUSED")
    let short = try memory()
    #expect(try lane.register(1, 4097, short)?.reason == "REGION_REFUSED")
    #expect(try lane.register(1, 0, short)?.reason == "REGION_LIMIT")
    #expect(try lane.register(1, .max, short)?.reason == "REGION_LIMIT")
    #expect(try lane.register(0, 4096, short)?.reason == "REGION_IN_USE")
    let path = NSTemporaryDirectory() + "apus-\(UUID().uuidString)"
    defer { unlink(path) }
    let file = Descriptor(owning: open(path, O_RDWR | O_CREAT, 0o600))
    try #require(ftruncate(file.number, 4096) == 0)
    #expect(try lane.register(1, 4096, file)?.reason == "REGION_REFUSED")
    let device = Descriptor(owning: open("/dev/zero", O_RDWR))
    #expect(try lane.register(1, 4096, device)?.reason == "REGION_REFUSED")
    #expect(try lane.register(1, 4096, short) == nil)
    #expect(try lane.register(1, 4096, short)?.reason == "REGION_IN_USE")
    lane.send(classifyFrame(9, "textclassifier", FaultTests.text))
    #expect(try lane.answer()?.id == 9)
    #expect(server.descriptors <= descriptors)
  }

  @Test func tenThousandRegionsEndAtTheLimit() throws {
    let server = try ServerProcess()
    let lane = try RawLane(server.unix)
    let (descriptors, mappings) = (server.descriptors, server.sharedMappings)
    let shared = try memory()
    var taken = 0
    for number in 1...10_000 {
      if let refusal = try lane.register(UInt32(number), 4096, shared) {
        try #require(refusal.reason == "REGION_LIMIT")
      } else {
        taken += 1
      }
    }
    #expect(taken == 64)
    #expect(server.descriptors <= descriptors)
    #expect(server.sharedMappings == mappings + 64)
    lane.close()
    #expect(waitUntil(seconds: 5) { server.sharedMappings == mappings - 1 })
    try FaultTests.expectServing(server.lane)
  }

  @Test func partsThatLieInNoRegionAreRefused() throws {
    let server = try ServerProcess()
    let lane = try RawLane(server.unix)
    #expect(try lane.register(5, 4096, try memory()) == nil)
    func reason(_ id: UInt64, region: UInt32, offset: Int = 0, flags: FrameFlags = .sharedRegion) throws
      -> String?
    {
      lane.send(regionFrame(id, "textclassifier", floats: 100, region: region, offset: offset, flags: flags))
      let answer = try #require(try lane.answer())
      try #require(answer.id == id)
      return answer.status?.reason
    }
    #expect(try reason(1, region: 5) == nil)
    #expect(try reason(2, region: 6) == "REGION_UNKNOWN")
    #expect(try reason(3, region: 5, offset: 3712) == "PART_OUTSIDE_BODY")
    #expect(try reason(4, region: 5, offset: 4) == "PART_OFFSET")
    #expect(try reason(5, region: 5, offset: 1 << 60) == "PART_OUTSIDE_BODY")
    #expect(try reason(6, region: 5, flags: []) == "FLAGS_UNKNOWN")
    #expect(try reason(7, region: 5, offset: 3648) == nil)
    // The same bytes again once the region is gone.
    lane.send(
      frame(8, .unregisterRegion) {
        UnregisterRegionRequest(region: 5).encode(into: $0, arena: $1)
      })
    #expect(try lane.answer()?.status == nil)
    #expect(try reason(9, region: 5, offset: 3648) == "REGION_UNKNOWN")
  }

  @Test func regionsAreForLanes() throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    connection.send(
      frame(1, .registerRegion) {
        RegisterRegionRequest(region: 1, byteCount: 4096).encode(into: $0, arena: $1)
      })
    #expect(try connection.answer()?.status?.reason == "LANE_NOT_HERE")
    connection.send(regionFrame(2, "textclassifier", floats: 100, region: 1))
    #expect(try connection.answer()?.status?.reason == "FLAGS_UNKNOWN")
  }

  /// Numbers that change while they are read give some answer, and nothing worse.
  @Test func tensorsThatChangeAllTheTimeAreAnswered() throws {
    let server = try ServerProcess()
    let client = try SynchronousClient(server.lane)
    let region = try client.makeRegion(byteCount: 4096)
    try Scribbler.scribbling(region.bytes[..<400], (0..<64).map { _ in UInt32.random(in: 0...UInt32.max) }) {
      var result = ClassifyResult()
      for _ in 0..<5000 {
        try client.classify(
          region, byteCount: 400, ClassifyCall("textclassifier", shape: [1, 100]), into: &result)
        try #require(result.probabilities.count == 2)
      }
    }
    try FaultTests.expectServing(server.unix)
  }
}

/// A thread that writes to memory which others read.
enum Scribbler {
  /// Writes these words over and over, at random places, while `body` runs.
  static func scribbling(
    _ bytes: Slice<UnsafeMutableRawBufferPointer>, _ words: [UInt32], _ body: () throws -> Void
  ) throws {
    let end = End()
    let count = bytes.count / 4
    let address = UInt(bitPattern: UnsafeMutableRawBufferPointer(rebasing: bytes).baseAddress)
    let thread = try ApusIO.Thread(name: "scribbler") {
      let memory = UnsafeMutablePointer<UInt32>(bitPattern: address)!
      while !end.isOver.load(ordering: .relaxed) {
        memory[Int.random(in: 0..<count)] = words.randomElement()!
      }
    }
    let outcome = Result { try body() }
    end.isOver.store(true, ordering: .relaxed)
    thread.join()
    try outcome.get()
  }

  private final class End: Sendable {
    let isOver = Atomic<Bool>(false)
  }
}

/// A Classify request whose input lies in a region.
func regionFrame(
  _ id: UInt64, _ model: String, floats: Int, region: UInt32, offset: Int = 0,
  flags: FrameFlags = .sharedRegion
) -> [UInt8] {
  var bytes = frame(id, .classify) {
    ClassifyOptions(model: model).encode(
      dtype: .float32, shape: [1, floats], byteCount: 4 * floats, region: region, offset: offset, into: $0,
      arena: $1)
  }
  bytes[20] = UInt8(flags.rawValue)
  return bytes
}

extension SynchronousClient {
  /// Tensors that the server has copied.
  fileprivate func copies() throws -> UInt64 {
    try stats("", timeoutNanoseconds: 5_000_000_000).server?.tensorCopiesTotal ?? .max
  }
}
