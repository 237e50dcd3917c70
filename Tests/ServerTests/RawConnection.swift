import ApusBase
import ApusIO
import ApusWire
import Foundation
import Glibc

/// A connection below the client library, on which a test may send anything. One thread may send while
/// another receives: `input` belongs to the receiving one. Bytes are moved by memcpy: in a debug build
/// everything else takes too long.
final class RawConnection: @unchecked Sendable {
  private var descriptor: Descriptor?
  private let input = Input()
  private let decoder = FrameDecoder(reader: .client, limits: Limits())
  private let arena = MetadataArena(byteCount: 256 << 10)

  struct TimedOut: Error {}
  struct Broken: Error { let reason: String }

  init(_ address: String) throws { descriptor = try Address(address).connect() }

  var number: Int32 {
    switch descriptor {
    case .some(let descriptor): descriptor.number
    case .none: -1
    }
  }

  // MARK: Sending

  /// Sends what the kernel takes within so long.
  ///
  /// - Returns: how many bytes; fewer than there are when the server does not read, or is gone.
  @discardableResult
  func send(_ bytes: [UInt8], milliseconds: Int32 = 10_000) -> Int {
    var sent = 0
    while sent < bytes.count {
      var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
      guard poll(&entry, 1, milliseconds) > 0 else { break }
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      if count < 0 {
        if errno == EAGAIN { continue }
        break
      }
      sent += count
    }
    return sent
  }

  /// Nothing more will be sent; answers may still come.
  func endSending() { _ = shutdown(number, Int32(SHUT_WR)) }

  /// Whether the kernel says that the peer has closed the connection altogether.
  var isBroken: Bool {
    var entry = pollfd(fd: number, events: 0, revents: 0)
    return poll(&entry, 1, 0) > 0 && Int32(entry.revents) & (POLLHUP | POLLERR) != 0
  }

  func close() { descriptor = nil }

  /// Closes so that the peer of a TCP connection sees a reset instead of an end.
  func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    _ = setsockopt(number, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  // MARK: Receiving

  struct Answer: Equatable {
    let header: FrameHeader
    let metadata: [UInt8]
    let body: [UInt8]
    /// Set when the answer is a status.
    let status: Status?

    init(_ frame: Frame, _ bytes: UnsafeRawBufferPointer, _ arena: borrowing MetadataArena) {
      let layout = frame.layout
      let metadata = UnsafeRawBufferPointer(
        rebasing: bytes[FrameHeader.byteCount..<FrameHeader.byteCount + layout.metadataBytes])
      header = frame.header
      self.metadata = Array(metadata)
      body = [UInt8](
        UnsafeRawBufferPointer(rebasing: bytes[layout.bodyOffset..<layout.bodyOffset + layout.bodyBytes]))
      let isStatus = FrameFlags(rawValue: frame.header.flags).contains(.status)
      status = isStatus ? Status(decoding: metadata, arena: arena) : nil
    }

    var id: UInt64 { header.requestID }
    var isGoaway: Bool { header.kind == FrameKind.goaway.rawValue }
    var probabilities: [Float] {
      [Float](unsafeUninitializedCapacity: body.count / 4) { place, count in
        count = body.count / 4
        if count > 0 { _ = body.withUnsafeBytes { memcpy(place.baseAddress!, $0.baseAddress!, $0.count) } }
      }
    }
  }

  /// The next frame; nil when the server has ended the connection.
  ///
  /// - Throws: `TimedOut` when nothing comes, `Broken` when what comes is no frame or ends inside of one.
  func answer(within seconds: Double = 10) throws -> Answer? {
    let end = Date().addingTimeInterval(seconds)
    while true {
      if let answer = try next() { return answer }
      var entry = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
      let left = end.timeIntervalSinceNow
      guard left > 0, poll(&entry, 1, Int32(left * 1000) + 1) > 0 else { throw TimedOut() }
      guard try receive() else { return nil }
    }
  }

  /// - Returns: false at the end of the connection.
  private func receive() throws -> Bool {
    let space = input.space()
    let count = recv(number, space.baseAddress, space.count, 0)
    if count > 0 {
      input.end += count
      return true
    }
    // A server that closes while bytes are still on their way to it resets the connection.
    guard input.bytes.isEmpty, count == 0 || errno == ECONNRESET else {
      throw Broken(reason: "the connection ended inside of a frame")
    }
    return false
  }

  /// Takes bytes that were received by other means, and the answer that they end.
  func take(_ bytes: [UInt8]) throws -> Answer? {
    input.space().copyBytes(from: bytes)
    input.end += bytes.count
    return try next()
  }

  private func next() throws -> Answer? {
    let bytes = input.bytes
    switch decoder.next(bytes) {
    case .needMore: return nil
    case .broken(let error, _): throw Broken(reason: error.status.message)
    case .frame(let frame):
      input.start += frame.layout.frameBytes
      return Answer(frame, bytes, arena)
    }
  }

  /// Bytes received and not read: `start..<end` of `memory`.
  private final class Input {
    private var memory = UnsafeMutableRawPointer.allocate(byteCount: 16 << 10, alignment: 64)
    private var capacity = 16 << 10
    var start = 0
    var end = 0

    deinit { memory.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory + start, count: end - start) }

    /// Room behind what was received.
    func space() -> UnsafeMutableRawBufferPointer {
      if end == capacity || start == end {
        let larger = end - start > capacity / 2 ? 2 * capacity : capacity
        let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 64)
        memcpy(moved, memory + start, end - start)
        memory.deallocate()
        (memory, capacity, start, end) = (moved, larger, 0, end - start)
      }
      return UnsafeMutableRawBufferPointer(start: memory + end, count: capacity - end)
    }
  }

  /// All frames until the server ends the connection.
  func answersUntilEnd(within seconds: Double = 10) throws -> [Answer] {
    var answers: [Answer] = []
    while let answer = try answer(within: seconds) { answers.append(answer) }
    return answers
  }
}

// MARK: Frames

/// A Classify request as it goes over the wire.
func classifyFrame(
  _ id: UInt64, _ model: String, _ input: [Float], rows: Int = 1, shape: [Int]? = nil,
  dtype: DataType = .float32,
  _ configure: (inout ClassifyOptions) -> Void = { _ in }
) -> [UInt8] {
  var options = ClassifyOptions(model: model)
  configure(&options)
  var metadata = [UInt8](repeating: 0, count: 4096)
  let metadataBytes = metadata.withUnsafeMutableBytes {
    options.encode(
      dtype: dtype, shape: shape ?? [rows, input.count / rows], byteCount: 4 * input.count, into: $0,
      arena: MetadataArena(byteCount: 64 << 10))
  }
  let header = FrameHeader(
    kind: .request, method: Method.classify.rawValue, requestID: id, metadataBytes: metadataBytes,
    bodyBytes: 4 * input.count)
  let layout = FrameLayout(metadataBytes: metadataBytes, bodyBytes: 4 * input.count)
  var frame = [UInt8](repeating: 0, count: layout.frameBytes)
  frame.withUnsafeMutableBytes { bytes in
    header.write(to: bytes.baseAddress!)
    memcpy(bytes.baseAddress! + FrameHeader.byteCount, metadata, metadataBytes)
    memcpy(bytes.baseAddress! + layout.bodyOffset, input, 4 * input.count)
  }
  return frame
}

/// A frame that is a header alone, with whatever is said about lengths.
func headerFrame(
  _ id: UInt64, kind: FrameKind = .request, method: Method = .classify,
  _ change: (inout FrameHeader) -> Void = { _ in }
) -> [UInt8] {
  var header = FrameHeader(kind: kind, method: method.rawValue, requestID: id)
  change(&header)
  var frame = [UInt8](repeating: 0, count: 64)
  frame.withUnsafeMutableBytes { header.write(to: $0.baseAddress!) }
  return frame
}
