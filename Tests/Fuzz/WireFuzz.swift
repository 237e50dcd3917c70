import ApusBase
import ApusWire

/// Reads the bytes as what a peer sends. They are cut in two ways, which must give the same frames and the
/// same end; what a frame holds, and the bytes as they are, go through every decoder. Nothing but a status
/// may come of bad bytes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  for reader in [FrameDecoder.Reader.server, .client, .lane] {
    let decoder = FrameDecoder(reader: reader, limits: Limits())
    let whole = read(bytes, decoder) { _ in size }
    let pieces = read(bytes, decoder) { arrived in 1 + Int(bytes[arrived] & 0x3F) }
    precondition(whole == pieces, "the same frames whatever way the bytes are cut")
    for found in whole.frames {
      let metadata = found.offset + FrameHeader.byteCount
      decode(
        UnsafeRawBufferPointer(rebasing: bytes[metadata..<(metadata + found.layout.metadataBytes)]),
        bodyBytes: found.layout.bodyBytes)
    }
  }
  decode(bytes, bodyBytes: size)
  return 0
}

// MARK: Frames

private struct Found: Equatable {
  var offset: Int
  var header: FrameHeader
  var layout: FrameLayout
}

private struct Stream: Equatable {
  var frames: [Found] = []
  var error: FrameError?
  /// Of the frame that broke the stream.
  var requestID: UInt64 = 0
  /// Bytes that the frame which has not ended will take; 0 after a broken one.
  var awaitedBytes = 0
}

/// Decodes as a connection does: `step` says how many bytes come next when so many have arrived.
private func read(_ bytes: UnsafeRawBufferPointer, _ decoder: FrameDecoder, _ step: (Int) -> Int) -> Stream {
  var stream = Stream()
  var start = 0
  var arrived = 0
  while true {
    decoding: while true {
      switch decoder.next(UnsafeRawBufferPointer(rebasing: bytes[start..<arrived])) {
      case .frame(let frame):
        stream.frames.append(Found(offset: start, header: frame.header, layout: frame.layout))
        precondition(frame.layout.frameBytes <= arrived - start, "a frame inside what has arrived")
        start += frame.layout.frameBytes
      case .broken(let error, let requestID):
        stream.error = error
        stream.requestID = requestID
        stream.awaitedBytes = 0
        return stream
      case .needMore(let frameBytes):
        precondition(frameBytes > arrived - start, "more than what has arrived")
        stream.awaitedBytes = frameBytes
        break decoding
      }
    }
    if arrived == bytes.count { return stream }
    arrived += min(step(arrived), bytes.count - arrived)
  }
}

// MARK: Metadata

nonisolated(unsafe) private let arena = MetadataArena(byteCount: Limits().metadataArenaBytes)
private let output = AlignedBuffer(byteCount: Limits().metadataBytes)

private func decode(_ metadata: UnsafeRawBufferPointer, bodyBytes: Int) {
  decodeClassify(metadata, bodyBytes: bodyBytes)
  roundTrip(
    metadata, { try? HelloRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? HelloResponse(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? ModelNameRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? StatsRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? HealthResponse(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? StatsResponse(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? ListModelsResponse(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? GetModelRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? GetModelResponse(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  decodeAdministration(metadata)
  decodeLane(metadata)
  roundTrip(
    metadata, { try? GoAway(decoding: $0, arena: arena) }, { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(metadata, { Status(decoding: $0, arena: arena) }, { $0.encode(into: output.bytes, arena: arena) })
}

/// Lanes and regions.
private func decodeLane(_ metadata: UnsafeRawBufferPointer) {
  roundTrip(
    metadata, { try? OpenLaneRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? RegisterRegionRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? UnregisterRegionRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  guard let layout = try? LaneLayout(decoding: metadata, arena: arena), layout.isValid else { return }
  for ring in [layout.requests, layout.answers] {
    precondition(ring.byteCount.nonzeroBitCount == 1, "a power of two")
    precondition(
      ring.dataOffset >= 0 && ring.dataOffset + ring.byteCount <= layout.memoryBytes
        && ring.controlOffset >= 0 && ring.controlOffset + LaneLayout.controlBytes <= layout.memoryBytes
        && ring.dataOffset % 64 == 0 && ring.controlOffset % 64 == 0, "a ring inside the memory")
  }
}

/// Publishing, and what is done with versions.
private func decodeAdministration(_ metadata: UnsafeRawBufferPointer) {
  roundTrip(
    metadata, { try? BeginPublishRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? BeginPublishResponse(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? UploadRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? UploadResponse(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? PublicationRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? VersionRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? VersionResponse(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? SetAliasRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? SetTrafficRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? HistoryRequest(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  roundTrip(
    metadata, { try? HistoryResponse(decoding: $0, arena: arena) },
    { $0.encode(into: output.bytes, arena: arena) })
  if let begun = try? BeginPublishRequest(decoding: metadata, arena: arena) {
    precondition(begun.files.count <= 64 && begun.aliases.count <= 16, "no more than there may be")
    precondition(begun.files.allSatisfy { $0.sha256.count == 32 }, "whole digests")
  }
  if let traffic = try? SetTrafficRequest(decoding: metadata, arena: arena) {
    precondition(traffic.weight <= 10_000, "a share of the whole")
  }
}

/// What was understood means the same when it is written again. A message of no bytes is an empty one, or one
/// that did not fit because bytes that are no UTF-8 grew when they were replaced.
private func roundTrip<Message: Equatable>(
  _ metadata: UnsafeRawBufferPointer, _ decode: (UnsafeRawBufferPointer) -> Message?,
  _ encode: (Message) -> Int
) {
  guard let message = decode(metadata) else { return }
  let byteCount = encode(message)
  guard byteCount > 0 else { return }
  let again = decode(UnsafeRawBufferPointer(rebasing: output.bytes[..<byteCount]))
  precondition(again == message, "a message means the same after a round trip")
}

private func decodeClassify(_ metadata: UnsafeRawBufferPointer, bodyBytes: Int) {
  if let request = try? ClassifyRequest(decoding: metadata, bodyBytes: bodyBytes, arena: arena) {
    check(request.input, bodyBytes: bodyBytes)
    precondition(request.model.version == 0 || request.model.alias.isEmpty, "a version or an alias")
    precondition(
      !request.model.name.contains(0) && !request.model.alias.contains(0), "names without zero bytes")
  }
  // A region of a mebibyte: what lies in it is held against that, and what lies in the body against the body.
  let regionBytes = 1 << 20
  if let request = try? ClassifyRequest(
    decoding: metadata, bodyBytes: bodyBytes, arena: arena, regionBytes: { $0 == 1 ? regionBytes : 0 })
  {
    precondition(request.input.region <= 1, "a region that is registered")
    check(request.input, bodyBytes: request.input.region == 0 ? bodyBytes : regionBytes)
  }
  if let answer = try? ClassifyResponse(decoding: metadata, bodyBytes: bodyBytes, arena: arena).form {
    let partBytes = answer.rows * answer.classes * 4
    precondition(answer.probabilitiesOffset + partBytes <= bodyBytes, "probabilities inside the body")
    precondition((answer.indicesOffset ?? 0) + partBytes <= bodyBytes, "indices inside the body")
    precondition(
      (answer.scoresOffset ?? 0) + answer.rows * answer.allClasses * 4 <= bodyBytes, "scores inside the body")
  }
  if metadata.count >= TimeAccount.encodedBytes,
    let account = TimeAccount(
      reading: UnsafeRawBufferPointer(rebasing: metadata.suffix(TimeAccount.encodedBytes)))
  {
    account.write(to: output.baseAddress)
    let again = TimeAccount(
      reading: UnsafeRawBufferPointer(rebasing: output.bytes[..<TimeAccount.encodedBytes]))
    precondition(again == account, "a time account means the same after a round trip")
  }
  if let tail = AnswerTail(endOf: metadata) {
    AnswerTail.write(load: tail.load, tail.time, to: output.baseAddress)
    let again = AnswerTail(
      reading: UnsafeRawBufferPointer(rebasing: output.bytes[..<AnswerTail.encodedBytes]))
    precondition(again?.time == tail.time, "a tail's time means the same after a round trip")
    precondition(again.map { (0...1).contains($0.load) } == true, "a load is written from 0 to 1")
  }
}

/// Whoever reads the input's numbers relies on these.
private func check(_ input: InputPart, bodyBytes: Int) {
  precondition(
    input.offset % 64 == 0 && input.offset >= 0 && input.byteCount >= 0, "a place on a multiple of 64")
  precondition(input.byteCount <= bodyBytes && input.offset <= bodyBytes - input.byteCount, "inside the body")
  if input.dtype.byteCount > 0 {
    let elements = input.shape.reduce(UInt64(1)) { $0 * $1 }
    precondition(
      elements * UInt64(input.dtype.byteCount) == UInt64(input.byteCount), "the bytes that its shape takes")
    precondition(input.lengths.isEmpty, "numbers have no lengths")
  } else {
    precondition(Array(input.shape) == [UInt64(input.lengths.count)], "a length for each text")
    precondition(input.lengths.allSatisfy { $0 <= UInt64(bodyBytes) }, "each inside the body")
    precondition(input.lengths.reduce(0, +) == UInt64(input.byteCount), "the texts fill the part")
  }
  precondition(!describe(input.shape).isEmpty)
}
