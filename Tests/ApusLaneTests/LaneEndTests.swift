import ApusBase
import ApusIO
import ApusWire
import Foundation
import Glibc
import Synchronization
import Testing

@testable import ApusLane

/// Both sides of a lane in one process.
private struct Pair {
  let layout: LaneLayout
  let server: Side
  let client: Side
  /// A view of the memory for tests that lie.
  private let memory: View

  private final class View {
    let memory: SharedMemory
    init(_ descriptor: borrowing Descriptor, _ byteCount: Int) throws(SystemError) {
      memory = try SharedMemory(mapping: descriptor, byteCount: byteCount, isWritable: true)
    }
  }

  init(requestBytes: Int = 4096, answerBytes: Int = 4096) throws {
    layout = LaneLayout(requestBytes: requestBytes, answerBytes: answerBytes)
    let descriptor = try SharedMemory.make(byteCount: layout.memoryBytes)
    memory = try View(descriptor, layout.memoryBytes)
    server = Side(try LaneEnd(descriptor, layout, as: .server))
    client = Side(try LaneEnd(descriptor, layout, as: .client))
  }

  func store(_ value: UInt64, at offset: Int) {
    memory.memory.baseAddress.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
  }
}

/// A lane's end that expectations can hold.
private final class Side: @unchecked Sendable {
  private var end: LaneEnd

  init(_ end: consuming LaneEnd) { self.end = end }

  func send(_ bytes: [UInt8]) -> Transfer { bytes.withUnsafeBytes { end.send($0) } }

  /// What has come, at most so many bytes; nil where it is a lie.
  func received(_ most: Int = 1 << 20) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: most)
    switch bytes.withUnsafeMutableBytes({ end.receive(into: $0) }) {
    case .bytes(let count): return Array(bytes[..<count])
    case .wouldBlock: return []
    case .end, .failed: return nil
    }
  }

  func arm() -> Bool { end.arm() }
  func takeOwedBell() -> Bool { end.takeOwedBell() }
  var isArmed: Bool { end.isArmed }
  var hasArrived: Bool { end.hasArrived }
}

@Suite struct LaneEndTests {
  @Test func bytesArriveOnTheOtherSideInOrderAndAroundTheEnd() throws {
    let pair = try Pair()
    var random = SystemRandomNumberGenerator()
    var sent: [UInt8] = []
    var taken: [UInt8] = []
    while taken.count < 100_000 {
      let bytes = (0..<Int.random(in: 1...3000, using: &random)).map { _ in UInt8.random(in: 0...255) }
      switch pair.client.send(bytes) {
      case .bytes(let count): sent += bytes[..<count]
      case .wouldBlock: #expect(sent.count - taken.count == 4096)
      case .end, .failed: Issue.record("the ring broke")
      }
      taken += try #require(pair.server.received(Int.random(in: 1...3000)))
    }
    taken += try #require(pair.server.received())
    #expect(taken == sent)
    #expect(!pair.client.hasArrived && !pair.server.hasArrived)
  }

  @Test func bothDirectionsAreApart() throws {
    let pair = try Pair(requestBytes: 8192)
    #expect(pair.client.send([1, 2, 3]) == .bytes(3))
    #expect(pair.server.send([4, 5]) == .bytes(2))
    #expect(pair.server.received() == [1, 2, 3])
    #expect(pair.client.received() == [4, 5])
  }

  @Test func bellIsOwedOnceToAReaderThatSleeps() throws {
    let pair = try Pair()
    #expect(pair.client.send([1]) == .bytes(1))
    #expect(!pair.client.takeOwedBell())
    #expect(!pair.server.arm() && !pair.server.isArmed)
    _ = pair.server.received()
    #expect(pair.server.arm() && pair.server.isArmed)
    _ = pair.client.send([2])
    #expect(pair.client.takeOwedBell())
    #expect(!pair.client.takeOwedBell())
    _ = pair.client.send([3])
    #expect(!pair.client.takeOwedBell())
  }

  @Test func bellIsOwedToAWriterThatFoundNoRoom() throws {
    let pair = try Pair()
    #expect(pair.client.send([UInt8](repeating: 7, count: 5000)) == .bytes(4096))
    #expect(pair.client.send([1]) == .wouldBlock)
    #expect(pair.server.received(10)?.count == 10)
    #expect(pair.server.takeOwedBell())
    #expect(pair.client.send([UInt8](repeating: 8, count: 20)) == .bytes(10))
    #expect(pair.server.received(10)?.count == 10)
    #expect(!pair.server.takeOwedBell())
  }

  /// What a side has read and written it knows itself: only the other's words can lie.
  @Test func wordsThatMakeNoSenseBreakTheLane() throws {
    for lie: UInt64 in [4097, 1 << 32, .max, 1 << 63] {
      let pair = try Pair()
      pair.store(lie, at: pair.layout.requests.controlOffset)
      #expect(pair.server.received() == nil)
      let other = try Pair()
      #expect(other.server.send([UInt8](repeating: 1, count: 4096)) == .bytes(4096))
      other.store(lie == 4097 ? 4097 : lie, at: other.layout.answers.controlOffset + 128)
      #expect(other.server.send([2]) == .failed(EPROTO))
    }
    let pair = try Pair()
    _ = pair.client.send([1, 2, 3])
    // The reader's own position, and the words of the other ring's other side.
    pair.store(77, at: pair.layout.requests.controlOffset + 128)
    pair.store(99, at: pair.layout.answers.controlOffset)
    #expect(pair.server.received() == [1, 2, 3])
    #expect(pair.server.send([9]) == .bytes(1))
  }

  @Test func layoutsThatDoNotLieInTheirMemoryAreRefused() throws {
    let good = RingPlace(controlOffset: 1024, dataOffset: 4096, byteCount: 4096)
    let bad = [
      RingPlace(controlOffset: 1000, dataOffset: 4096, byteCount: 4096),
      RingPlace(controlOffset: 8192, dataOffset: 4096, byteCount: 4096),
      RingPlace(controlOffset: -64, dataOffset: 4096, byteCount: 4096),
      RingPlace(controlOffset: 1024, dataOffset: 4160, byteCount: 4096),
      RingPlace(controlOffset: 1024, dataOffset: .max & ~63, byteCount: 4096),
      RingPlace(controlOffset: 1024, dataOffset: 4096, byteCount: 4095),
      RingPlace(controlOffset: 1024, dataOffset: 4096, byteCount: 0),
      RingPlace(controlOffset: 1024, dataOffset: 0, byteCount: 1 << 40),
    ]
    let descriptor = try SharedMemory.make(byteCount: 8192)
    func opens(_ layout: LaneLayout) -> Bool {
      do {
        _ = try LaneEnd(descriptor, layout, as: .client)
        return true
      } catch { return false }
    }
    #expect(opens(LaneLayout(requests: good, answers: good, memoryBytes: 8192)))
    for place in bad {
      #expect(!opens(LaneLayout(requests: place, answers: good, memoryBytes: 8192)), "\(place)")
      #expect(!opens(LaneLayout(requests: good, answers: place, memoryBytes: 8192)), "\(place)")
    }
  }

  @Test func ringsAreAsLargeAsIsWantedAndAllowed() {
    #expect(LaneLayout.ringBytes(atLeast: 0, atMost: 1 << 20) == 4096)
    #expect(LaneLayout.ringBytes(atLeast: 4097, atMost: 1 << 20) == 8192)
    #expect(LaneLayout.ringBytes(atLeast: .max, atMost: 1 << 20) == 1 << 20)
    #expect(LaneLayout.ringBytes(atLeast: .max, atMost: .max) == LaneLayout.mostRingBytes)
  }

  /// Two threads, each sleeping whenever it may: no bell is lost, and every byte comes once.
  @Test func noBellIsLostBetweenThreads() throws {
    let pair = try Pair()
    var ends: [Int32] = [0, 0]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    defer { for end in ends { close(end) } }
    let total = 3_000_000
    let outcome = Outcome()
    let readerSocket = ends[0]
    let reader = pair.server
    let thread = try ApusIO.Thread(name: "reader") {
      var position = 0
      while position < total {
        guard let bytes = reader.received(1000) else { break }
        for byte in bytes {
          if byte != UInt8(truncatingIfNeeded: position &* 31) { outcome.wrong.add(1, ordering: .relaxed) }
          position += 1
        }
        ring(reader, readerSocket)
        if bytes.isEmpty, reader.arm() { sleep(on: readerSocket) }
      }
      if position != total { outcome.wrong.add(1_000_000, ordering: .relaxed) }
    }
    var position = 0
    while position < total {
      let piece = (position..<min(total, position + Int.random(in: 1...2000))).map {
        UInt8(truncatingIfNeeded: $0 &* 31)
      }
      switch pair.client.send(piece) {
      case .bytes(let count): position += count
      case .wouldBlock: sleep(on: ends[1])
      case .end, .failed:
        Issue.record("the ring broke")
        return
      }
      ring(pair.client, ends[1])
    }
    thread.join()
    #expect(outcome.wrong.load(ordering: .relaxed) == 0)
  }
}

private final class Outcome: Sendable {
  let wrong = Atomic<Int>(0)
}

private func ring(_ side: Side, _ socket: Int32) {
  if side.takeOwedBell() { _ = send(socket, "", 1, Int32(MSG_DONTWAIT)) }
}

/// Until a bell is rung; a bell that was lost fails the test by time.
private func sleep(on socket: Int32) {
  var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
  if poll(&entry, 1, 10_000) <= 0 { Issue.record("a bell was lost") }
  var bells = [UInt8](repeating: 0, count: 64)
  _ = recv(socket, &bells, bells.count, Int32(MSG_DONTWAIT))
}
