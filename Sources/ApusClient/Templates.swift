import ApusBase
import ApusWire

/// Where the input of a call lies.
struct InputPlace: Equatable {
  var byteCount: Int
  /// 0: it is the body.
  var region: UInt32 = 0
  /// In the region, a multiple of 64.
  var offset = 0

  var bodyBytes: Int { region == 0 ? byteCount : 0 }
}

/// The head of the last request, header, metadata and padding, which the next one like it repeats.
///
/// Invariant of the unsafe code here: the first `layout.bodyOffset` bytes of `memory` are that head while
/// `call` is set.
struct RequestTemplate: ~Copyable {
  private let memory: AlignedBuffer
  /// Longest metadata of a request, in bytes.
  private(set) var metadataLimit: Int
  private var call: ClassifyCall?
  private var place = InputPlace(byteCount: 0)
  private(set) var layout = FrameLayout(metadataBytes: 0, bodyBytes: 0)

  init(metadataBytes: Int) {
    metadataLimit = metadataBytes
    memory = AlignedBuffer(byteCount: FrameHeader.byteCount + metadataBytes + 64)
  }

  /// The server takes no more than this.
  mutating func limitMetadata(to byteCount: Int) {
    guard byteCount < metadataLimit else { return }
    metadataLimit = byteCount
    call = nil
  }

  func matches(_ other: ClassifyCall, _ otherPlace: InputPlace) -> Bool {
    guard place == otherPlace, let call else { return false }
    return call == other
  }

  private var metadata: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: memory.baseAddress + FrameHeader.byteCount, count: metadataLimit)
  }

  mutating func make(
    _ call: ClassifyCall, _ place: InputPlace, arena: borrowing MetadataArena
  ) throws(ClientError) {
    self.call = nil
    guard call.version == 0 || call.alias.isEmpty else {
      throw .invalidInput("name a version or an alias, not both")
    }
    let shape = try call.wireShape(byteCount: place.byteCount)
    let metadataBytes = call.options.encode(
      dtype: call.dataType, shape: shape, lengths: call.textLengths, byteCount: place.byteCount,
      region: place.region, offset: place.offset, into: metadata, arena: arena)
    guard metadataBytes > 0 else {
      throw .invalidInput("its description takes more than the \(metadataLimit) bytes that a frame may have")
    }
    layout = FrameLayout(metadataBytes: metadataBytes, bodyBytes: place.bodyBytes)
    FrameHeader(
      kind: .request, method: Method.classify.rawValue, requestID: 0, metadataBytes: metadataBytes,
      flags: place.region == 0 ? [] : .sharedRegion, bodyBytes: place.bodyBytes
    ).write(to: memory.baseAddress)
    clear(memory.baseAddress, FrameHeader.byteCount + metadataBytes, layout.bodyOffset)
    self.call = call
    self.place = place
  }

  /// Writes the whole frame; `frame` has room for `layout.frameBytes`.
  func write(to frame: UnsafeMutableRawPointer, requestID: UInt64, body: UnsafeRawBufferPointer) {
    frame.copyMemory(from: memory.baseAddress, byteCount: layout.bodyOffset)
    frame.storeBytes(of: requestID.littleEndian, toByteOffset: 8, as: UInt64.self)
    if let numbers = body.baseAddress {
      (frame + layout.bodyOffset).copyMemory(from: numbers, byteCount: body.count)
    }
    clear(frame, layout.bodyOffset + body.count, layout.frameBytes)
  }

  /// Writes the frame without its body; `frame` has room for all but `layout.bodyBytes`.
  func writeAroundBody(to frame: UnsafeMutableRawPointer, requestID: UInt64) {
    frame.copyMemory(from: memory.baseAddress, byteCount: layout.bodyOffset)
    frame.storeBytes(of: requestID.littleEndian, toByteOffset: 8, as: UInt64.self)
    clear(frame, layout.bodyOffset, layout.frameBytes - layout.bodyBytes)
  }

  /// Forgets the head and lends the metadata's memory for a request of another method.
  mutating func invalidated() -> UnsafeMutableRawBufferPointer {
    call = nil
    return metadata
  }

  /// Writes a frame whose metadata lies where `invalidated` lent it; `frame` has room for
  /// `layout.frameBytes`.
  func write(
    _ header: FrameHeader, _ layout: FrameLayout, body: UnsafeRawBufferPointer,
    to frame: UnsafeMutableRawPointer
  ) {
    header.write(to: frame)
    let metadataStart = memory.baseAddress + FrameHeader.byteCount
    (frame + FrameHeader.byteCount).copyMemory(from: metadataStart, byteCount: layout.metadataBytes)
    clear(frame, FrameHeader.byteCount + layout.metadataBytes, layout.bodyOffset)
    if let bytes = body.baseAddress {
      (frame + layout.bodyOffset).copyMemory(from: bytes, byteCount: body.count)
    }
    clear(frame, layout.bodyOffset + body.count, layout.frameBytes)
  }
}

private func clear(_ start: UnsafeMutableRawPointer, _ from: Int, _ to: Int) {
  _ = (start + from).initializeMemory(as: UInt8.self, repeating: 0, count: to - from)
}

/// The last Classify answer: one with the same metadata up to its tail, and a body of the same length, has
/// the same form.
struct AnswerTemplate: ~Copyable {
  /// What of the metadata's end may differ: a server may tell its load there or not.
  private enum Tail {
    case none, time, loadAndTime

    var byteCount: Int {
      switch self {
      case .none: 0
      case .time: TimeAccount.encodedBytes
      case .loadAndTime: AnswerTail.encodedBytes
      }
    }
  }

  private let metadata: AlignedBuffer
  private var metadataBytes = 0
  private var bodyBytes = 0
  private var tail = Tail.none
  private var response: ClassifyResponse?

  init(metadataBytes: Int) { metadata = AlignedBuffer(byteCount: metadataBytes) }

  mutating func read(
    _ view: AnswerView, arena: borrowing MetadataArena
  ) throws(ClientError) -> ClassifyResponse {
    if !isRepeated(by: view) { try decode(view, arena) }
    guard let response else { throw .protocolBroken("an answer has no form") }
    return response
  }

  /// Whether the answer has the last one's form; its tail has then been read.
  private mutating func isRepeated(by view: AnswerView) -> Bool {
    guard response != nil, view.metadata.count == metadataBytes, view.body.count == bodyBytes else {
      return false
    }
    let end = UnsafeRawBufferPointer(rebasing: view.metadata.suffix(tail.byteCount))
    switch tail {
    case .none: return false
    case .time:
      guard let time = TimeAccount(reading: end), isLikeLast(view.metadata) else { return false }
      response?.time = time
    case .loadAndTime:
      guard let read = AnswerTail(reading: end), isLikeLast(view.metadata) else { return false }
      response?.load = read.load
      response?.time = read.time
    }
    return true
  }

  private func isLikeLast(_ other: UnsafeRawBufferPointer) -> Bool {
    let end = metadataBytes - tail.byteCount
    var offset = 0
    while offset + 8 <= end {
      guard
        other.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
          == metadata.bytes.load(fromByteOffset: offset, as: UInt64.self)
      else { return false }
      offset += 8
    }
    while offset < end {
      guard other[offset] == metadata.bytes[offset] else { return false }
      offset += 1
    }
    return true
  }

  private mutating func decode(_ view: AnswerView, _ arena: borrowing MetadataArena) throws(ClientError) {
    response = nil
    let decoded: ClassifyResponse
    do {
      decoded = try ClassifyResponse(decoding: view.metadata, bodyBytes: view.body.count, arena: arena)
    } catch { throw .protocolBroken(error.message) }
    metadata.bytes.copyMemory(from: view.metadata)
    (metadataBytes, bodyBytes) = (view.metadata.count, view.body.count)
    tail = Self.tail(view.metadata, decoded)
    response = decoded
  }

  /// The end of the metadata is a tail only if protobuf read the same time.
  private static func tail(_ metadata: UnsafeRawBufferPointer, _ decoded: ClassifyResponse) -> Tail {
    if let tail = AnswerTail(endOf: metadata), tail.time == decoded.time { return .loadAndTime }
    guard metadata.count >= TimeAccount.encodedBytes else { return .none }
    let end = UnsafeRawBufferPointer(rebasing: metadata.suffix(TimeAccount.encodedBytes))
    return TimeAccount(reading: end) == decoded.time ? .time : .none
  }
}
