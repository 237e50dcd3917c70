import ApusBase
import ApusIO
import ApusLane
import ApusWire
import Foundation
import Glibc
import Testing

/// A lane below the client library, on whose memory a test may write anything.
final class RawLane {
  private let socket: RawConnection
  private let arena = MetadataArena(byteCount: 64 << 10)
  private let decoder = FrameDecoder(reader: .client, limits: Limits())
  private var received: [UInt8] = []
  let layout: LaneLayout
  let memory: SharedMemory
  private var end: LaneEnd

  init(_ address: String, ringBytes: UInt64 = 0) throws {
    socket = try RawConnection(address)
    var request = OpenLaneRequest()
    request.requestBytes = ringBytes
    request.answerBytes = ringBytes
    socket.send(frame(1, .openLane) { request.encode(into: $0, arena: $1) })
    let (answer, passed) = try socket.answerWithDescriptor()
    let number = try #require(passed, "\(String(describing: answer.status))")
    let descriptor = Descriptor(owning: number)
    let scratch = MetadataArena(byteCount: 4096)
    layout = try answer.metadata.withUnsafeBytes { try LaneLayout(decoding: $0, arena: scratch) }
    memory = try SharedMemory(mapping: descriptor, byteCount: layout.memoryBytes, isWritable: true)
    end = try LaneEnd(descriptor, layout, as: .client)
  }

  /// Writes what fits, and rings as the server wishes.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Int {
    var count = 0
    if case .bytes(let sent) = bytes.withUnsafeBytes({ end.send($0) }) { count = sent }
    if end.takeOwedBell() { ring() }
    return count
  }

  func ring(_ bells: Int = 1) { socket.send([UInt8](repeating: 0, count: bells)) }

  /// The next answer in the ring, looked for again and again.
  func answer(within seconds: Double = 10) throws -> RawConnection.Answer? {
    let deadline = Date().addingTimeInterval(seconds)
    while true {
      if let answer = next() { return answer }
      var space = [UInt8](repeating: 0, count: 64 << 10)
      switch space.withUnsafeMutableBytes({ end.receive(into: $0) }) {
      case .bytes(let count): received += space[..<count]
      case .wouldBlock:
        if socket.isBroken { return nil }
        guard Date() < deadline else { throw RawConnection.TimedOut() }
        usleep(200)
      case .end, .failed: throw RawConnection.Broken(reason: "the server's words make no sense")
      }
      if end.takeOwedBell() { ring() }
    }
  }

  private func next() -> RawConnection.Answer? {
    received.withUnsafeBytes { bytes -> RawConnection.Answer? in
      guard case .frame(let found) = decoder.next(bytes) else { return nil }
      return RawConnection.Answer(found, bytes, arena)
    }.map { answer in
      let layout = FrameLayout(
        metadataBytes: Int(answer.header.metadataBytes), bodyBytes: Int(answer.header.bodyBytes))
      received.removeFirst(layout.frameBytes)
      return answer
    }
  }

  /// Whether the server has closed the lane.
  func isClosed(within seconds: Double = 10) -> Bool { waitUntil(seconds: seconds) { self.socket.isBroken } }

  /// As if the process had ended.
  func close() { socket.close() }

  // MARK: Regions

  /// Registers a region as the protocol wants it: the descriptor comes when the server says so.
  func register(_ region: UInt32, _ byteCount: UInt64, _ descriptor: borrowing Descriptor) throws -> Status? {
    let request = RegisterRegionRequest(region: region, byteCount: byteCount)
    send(frame(1_000_000 + UInt64(region), .registerRegion) { request.encode(into: $0, arena: $1) })
    let first = try #require(try answer())
    if let status = first.status { return status }
    try #require(FrameFlags(rawValue: first.header.flags).contains(.more))
    socket.pass(descriptor)
    return try #require(try answer()).status
  }

  func pass(_ descriptor: borrowing Descriptor) { socket.pass(descriptor) }
}

/// A frame without a body.
func frame(
  _ id: UInt64, _ method: Method, _ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int
) -> [UInt8] {
  var metadata = [UInt8](repeating: 0, count: 4096)
  let arena = MetadataArena(byteCount: 64 << 10)
  let count = metadata.withUnsafeMutableBytes { encode($0, arena) }
  let layout = FrameLayout(metadataBytes: count, bodyBytes: 0)
  var frame = [UInt8](repeating: 0, count: layout.frameBytes)
  frame.withUnsafeMutableBytes { bytes in
    FrameHeader(kind: .request, method: method.rawValue, requestID: id, metadataBytes: count)
      .write(to: bytes.baseAddress!)
    memcpy(bytes.baseAddress! + FrameHeader.byteCount, metadata, count)
  }
  return frame
}

extension RawConnection {
  /// Sends one byte and a descriptor.
  func pass(_ descriptor: borrowing Descriptor) {
    let end = Descriptor(owning: dup(number))
    var byte: UInt8 = 0
    _ = withUnsafeBytes(of: &byte) { end.send($0, passing: descriptor) }
  }

  /// The next frame, and the descriptor that came with it, which the caller owns.
  func answerWithDescriptor() throws -> (answer: Answer, passed: Int32?) {
    let end = Descriptor(owning: dup(number))
    var bytes = [UInt8](repeating: 0, count: 4096)
    var passed: Int32 = -1
    end.wait(forWritingToo: false, nanoseconds: 10_000_000_000)
    guard case .bytes(let count) = bytes.withUnsafeMutableBytes({ end.receive(into: $0, passed: &passed) }),
      let answer = try take(Array(bytes[..<count]))
    else { throw TimedOut() }
    return (answer, passed < 0 ? nil : passed)
  }
}
