import CApusProto

/// Moves a connection into a lane.
package struct OpenLaneRequest: Equatable, Sendable {
  /// Bytes that the client wants of each ring; 0: as the server likes.
  package var requestBytes: UInt64 = 0
  package var answerBytes: UInt64 = 0

  package init() {}

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__OpenLaneRequest()
    apus__v1__open_lane_request__init(&message)
    message.request_ring_bytes = requestBytes
    message.answer_ring_bytes = answerBytes
    return pack(
      &message, into: output, arena, size: apus__v1__open_lane_request__get_packed_size,
      pack: apus__v1__open_lane_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__OpenLaneRequest> = try unpack(
      metadata, arena, apus__v1__open_lane_request__unpack)
    requestBytes = message.pointee.request_ring_bytes
    answerBytes = message.pointee.answer_ring_bytes
  }
}

extension LaneLayout {
  /// As an `OpenLaneResponse`.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__OpenLaneResponse()
    apus__v1__open_lane_response__init(&message)
    message.layout = Self.version
    message.memory_bytes = UInt64(memoryBytes)
    message.requests = requests.message(in: arena)
    message.answers = answers.message(in: arena)
    return pack(
      &message, into: output, arena, size: apus__v1__open_lane_response__get_packed_size,
      pack: apus__v1__open_lane_response__pack)
  }

  /// Reads an `OpenLaneResponse`.
  ///
  /// - Throws: `Status` for a message of another kind, or of a layout that this code does not know.
  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__OpenLaneResponse> = try unpack(
      metadata, arena, apus__v1__open_lane_response__unpack)
    guard message.pointee.layout == Self.version, let requests = message.pointee.requests,
      let answers = message.pointee.answers
    else { throw broken("this layout of a lane is not known here") }
    self.init(
      requests: RingPlace(requests.pointee), answers: RingPlace(answers.pointee),
      memoryBytes: Int(clamping: message.pointee.memory_bytes))
  }
}

extension RingPlace {
  fileprivate func message(in arena: borrowing MetadataArena) -> UnsafeMutablePointer<Apus__V1__LaneRing>? {
    let message = arena.make(apus__v1__lane_ring__init)
    message?.pointee.control_offset = UInt64(controlOffset)
    message?.pointee.data_offset = UInt64(dataOffset)
    message?.pointee.bytes = UInt64(byteCount)
    return message
  }

  fileprivate init(_ message: Apus__V1__LaneRing) {
    self.init(
      controlOffset: Int(clamping: message.control_offset), dataOffset: Int(clamping: message.data_offset),
      byteCount: Int(clamping: message.bytes))
  }
}

/// Gives the server a look into memory of the client's.
package struct RegisterRegionRequest: Equatable, Sendable {
  package var region: UInt32
  package var byteCount: UInt64

  package init(region: UInt32, byteCount: UInt64) {
    self.region = region
    self.byteCount = byteCount
  }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__RegisterRegionRequest()
    apus__v1__register_region_request__init(&message)
    message.region = region
    message.bytes = byteCount
    return pack(
      &message, into: output, arena, size: apus__v1__register_region_request__get_packed_size,
      pack: apus__v1__register_region_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__RegisterRegionRequest> = try unpack(
      metadata, arena, apus__v1__register_region_request__unpack)
    region = message.pointee.region
    byteCount = message.pointee.bytes
  }
}

/// Ends the server's look into a region.
package struct UnregisterRegionRequest: Equatable, Sendable {
  package var region: UInt32

  package init(region: UInt32) { self.region = region }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__UnregisterRegionRequest()
    apus__v1__unregister_region_request__init(&message)
    message.region = region
    return pack(
      &message, into: output, arena, size: apus__v1__unregister_region_request__get_packed_size,
      pack: apus__v1__unregister_region_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__UnregisterRegionRequest> = try unpack(
      metadata, arena, apus__v1__unregister_region_request__unpack)
    region = message.pointee.region
  }
}
