package import ApusBase

/// One whole frame in a receive buffer. `offset` counts from the start of the bytes it was found in.
package struct Frame: Sendable {
  package var header: FrameHeader
  package var layout: FrameLayout
}

/// Why bytes are not a frame. After any of these the connection cannot go on: what follows has no known
/// beginning.
package enum FrameError: Error, Equatable, Sendable {
  case notApus
  case version(UInt8)
  case kind(UInt8)
  case flags(UInt32)
  case requestIDZero
  case metadataTooLong(UInt32, limit: Int)
  case bodyTooLong(UInt64, limit: Int)
  case paddingNotZero
  case contentNotAllowed

  /// What the peer is told.
  package var status: Status {
    switch self {
    case .notApus:
      Status(.invalidArgument, "NOT_APUS", "these bytes are no Apus frame; connect with an Apus client")
    case .version(let version):
      Status(
        .unimplemented, "VERSION_UNSUPPORTED",
        "protocol version \(version) is not spoken here; versions 1 to 1 are")
    case .kind(let kind):
      Status(.invalidArgument, "KIND_UNKNOWN", "frame kind \(kind) may not be sent here")
    case .flags(let flags):
      Status(
        .invalidArgument, "FLAGS_UNKNOWN", "frame flags 0x\(String(flags, radix: 16)) may not be sent here")
    case .requestIDZero:
      Status(.invalidArgument, "REQUEST_ID_ZERO", "request id 0 is the connection's own; start at 1")
    case .metadataTooLong(let length, let limit):
      Status(
        .resourceExhausted, "METADATA_TOO_LARGE", "metadata of \(length) bytes is over the limit of \(limit)")
    case .bodyTooLong(let length, let limit):
      Status(
        .resourceExhausted, "BODY_TOO_LARGE",
        "a body of \(length) bytes is over the limit of \(limit); send fewer rows in a call")
    case .paddingNotZero:
      Status(.invalidArgument, "PADDING_NOT_ZERO", "the padding of a frame must be zero")
    case .contentNotAllowed:
      Status(.invalidArgument, "CONTENT_NOT_ALLOWED", "a cancel frame has no metadata and no body")
    }
  }
}

/// Finds frames in a stream of bytes, whatever way it is cut. It keeps no state: the caller shows it the
/// bytes that have arrived and not been consumed, from the start of a frame.
package struct FrameDecoder: Sendable {
  /// Which side reads: each accepts only what the other may send.
  package enum Reader: Sendable {
    case server, client
    /// A server, from a ring in shared memory.
    case lane
  }

  package enum Step {
    /// The frame is not whole; it will take so many bytes in all, as far as is known.
    case needMore(frameBytes: Int)
    case frame(Frame)
    /// The request id is 0 when it could not be read.
    case broken(FrameError, requestID: UInt64)
  }

  private let reader: Reader
  private let metadataLimit: Int
  private let bodyLimit: Int

  package init(reader: Reader, limits: Limits) {
    self.reader = reader
    metadataLimit = limits.metadataBytes
    bodyLimit = limits.bodyBytes
  }

  /// Looks at the bytes from the start of a frame.
  package func next(_ bytes: UnsafeRawBufferPointer) -> Step {
    guard bytes.count >= FrameHeader.byteCount, let start = bytes.baseAddress else { return beginning(bytes) }
    guard UInt32(littleEndian: start.loadUnaligned(as: UInt32.self)) == FrameHeader.magic else {
      return .broken(.notApus, requestID: 0)
    }
    let header = FrameHeader(reading: start)
    if let error = check(header) { return .broken(error, requestID: header.requestID) }
    let layout = FrameLayout(metadataBytes: Int(header.metadataBytes), bodyBytes: Int(header.bodyBytes))
    guard bytes.count >= layout.frameBytes else { return .needMore(frameBytes: layout.frameBytes) }
    guard
      isZero(start, FrameHeader.byteCount + layout.metadataBytes, layout.bodyOffset),
      isZero(start, layout.bodyOffset + layout.bodyBytes, layout.frameBytes)
    else { return .broken(.paddingNotZero, requestID: header.requestID) }
    return .frame(Frame(header: header, layout: layout))
  }

  /// Less than a header: a peer that speaks something else, or an unknown version, is still told at once.
  private func beginning(_ bytes: UnsafeRawBufferPointer) -> Step {
    for (index, byte) in bytes.prefix(4).enumerated() {
      guard byte == UInt8(truncatingIfNeeded: FrameHeader.magic >> UInt32(8 * index)) else {
        return .broken(.notApus, requestID: 0)
      }
    }
    return .needMore(frameBytes: FrameHeader.byteCount)
  }

  /// Each length is held against its limit before the two are added.
  private func check(_ header: FrameHeader) -> FrameError? {
    if header.version != FrameHeader.protocolVersion { return .version(header.version) }
    guard let kind = FrameKind(rawValue: header.kind), isAllowed(kind) else { return .kind(header.kind) }
    guard isAllowed(FrameFlags(rawValue: header.flags), kind) else { return .flags(header.flags) }
    if header.metadataBytes > UInt32(metadataLimit) {
      return .metadataTooLong(header.metadataBytes, limit: metadataLimit)
    }
    if header.bodyBytes > UInt64(bodyLimit) { return .bodyTooLong(header.bodyBytes, limit: bodyLimit) }
    switch kind {
    case .request where header.requestID == 0 && header.method != Method.hello.rawValue: return .requestIDZero
    case .cancel where header.metadataBytes != 0 || header.bodyBytes != 0: return .contentNotAllowed
    default: return nil
    }
  }

  private func isAllowed(_ kind: FrameKind) -> Bool {
    switch (reader, kind) {
    case (.server, .request), (.server, .cancel), (.client, .answer), (.client, .goaway): true
    case (.lane, .request), (.lane, .cancel), (.lane, .skip): true
    default: false
    }
  }

  private func isAllowed(_ flags: FrameFlags, _ kind: FrameKind) -> Bool {
    switch (reader, kind) {
    case (_, .answer): flags.subtracting(.status).subtracting(.more).isEmpty
    case (.lane, .request): flags.subtracting(.sharedRegion).isEmpty
    default: flags.isEmpty
    }
  }

  /// Whether padding is as it must be.
  package func isZero(_ start: UnsafeRawPointer, _ from: Int, _ to: Int) -> Bool {
    var offset = from
    while offset + 8 <= to {
      if start.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != 0 { return false }
      offset += 8
    }
    while offset < to {
      if start.load(fromByteOffset: offset, as: UInt8.self) != 0 { return false }
      offset += 1
    }
    return true
  }
}
