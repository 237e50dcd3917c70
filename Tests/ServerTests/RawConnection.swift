import ApusBase
import ApusIO
import ApusWire
import Foundation
import Glibc

/// A connection below the client library, on which a test may send anything.
final class RawConnection {
  private var descriptor: Descriptor?
  private var received: [UInt8] = []
  private let decoder = FrameDecoder(reader: .client, limits: Limits())
  private let arena = MetadataArena(byteCount: 256 << 10)

  struct TimedOut: Error {}
  struct Broken: Error { let reason: String }

  init(_ address: String) throws { descriptor = try Address(address).connect() }

  private var number: Int32 {
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
    let body: [UInt8]
    /// Set when the answer is a status.
    let status: Status?

    var id: UInt64 { header.requestID }
    var isGoaway: Bool { header.kind == FrameKind.goaway.rawValue }
    var probabilities: [Float] {
      body.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
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
    let old = received.count
    received.append(contentsOf: repeatElement(0, count: 256 << 10))
    let count = received[old...].withUnsafeMutableBytes { recv(number, $0.baseAddress, $0.count, 0) }
    received.removeLast((256 << 10) - max(0, count))
    if count > 0 { return true }
    // A server that closes while bytes are still on their way to it resets the connection.
    guard received.isEmpty, count == 0 || errno == ECONNRESET else {
      throw Broken(reason: "the connection ended inside of a frame")
    }
    return false
  }

  private func next() throws -> Answer? {
    let answer = try received.withUnsafeBytes { bytes -> (Answer, Int)? in
      switch decoder.next(bytes) {
      case .needMore: return nil
      case .broken(let error, _): throw Broken(reason: error.status.message)
      case .frame(let frame):
        let layout = frame.layout
        let metadata = UnsafeRawBufferPointer(
          rebasing: bytes[FrameHeader.byteCount..<FrameHeader.byteCount + layout.metadataBytes])
        let isStatus = FrameFlags(rawValue: frame.header.flags).contains(.status)
        return (
          Answer(
            header: frame.header, body: Array(bytes[layout.bodyOffset..<layout.bodyOffset + layout.bodyBytes]),
            status: isStatus ? Status(decoding: metadata, arena: arena) : nil), layout.frameBytes
        )
      }
    }
    guard let (answer, byteCount) = answer else { return nil }
    received.removeFirst(byteCount)
    return answer
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
  _ id: UInt64, _ model: String, _ input: [Float], rows: Int = 1, _ configure: (inout ClassifyOptions) -> Void = { _ in }
) -> [UInt8] {
  var options = ClassifyOptions(model: model)
  configure(&options)
  var metadata = [UInt8](repeating: 0, count: 4096)
  let metadataBytes = metadata.withUnsafeMutableBytes {
    options.encode(
      dtype: .float32, shape: [rows, input.count / rows], byteCount: 4 * input.count, into: $0,
      arena: MetadataArena(byteCount: 64 << 10))
  }
  let header = FrameHeader(
    kind: .request, method: Method.classify.rawValue, requestID: id, metadataBytes: metadataBytes,
    bodyBytes: 4 * input.count)
  let layout = FrameLayout(metadataBytes: metadataBytes, bodyBytes: 4 * input.count)
  var frame = [UInt8](repeating: 0, count: layout.frameBytes)
  frame.withUnsafeMutableBytes { bytes in
    header.write(to: bytes.baseAddress!)
    metadata.withUnsafeBytes {
      bytes[FrameHeader.byteCount...].copyBytes(from: $0.prefix(metadataBytes))
    }
    input.withUnsafeBytes { bytes[layout.bodyOffset...].copyBytes(from: $0) }
  }
  return frame
}

/// A frame that is a header alone, with whatever is said about lengths.
func headerFrame(
  _ id: UInt64, kind: FrameKind = .request, method: Method = .classify, _ change: (inout FrameHeader) -> Void = { _ in }
) -> [UInt8] {
  var header = FrameHeader(kind: kind, method: method.rawValue, requestID: id)
  change(&header)
  var frame = [UInt8](repeating: 0, count: 64)
  frame.withUnsafeMutableBytes { header.write(to: $0.baseAddress!) }
  return frame
}
