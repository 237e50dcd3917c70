import CApusProto

/// Opens a connection: what the client speaks and who it is.
package struct HelloRequest: Equatable, Sendable {
  package var minimumVersion: UInt32 = 1
  package var maximumVersion: UInt32 = 1
  /// Name and version of the client library.
  package var client: String
  /// Bearer token; empty: none.
  package var token: [UInt8] = []

  package init(client: String) { self.client = client }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__HelloRequest()
    apus__v1__hello_request__init(&message)
    message.min_version = minimumVersion
    message.max_version = maximumVersion
    message.client = arena.string(client)
    message.token = arena.binary(token)
    return pack(
      &message, into: output, arena, size: apus__v1__hello_request__get_packed_size,
      pack: apus__v1__hello_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__HelloRequest> = try unpack(
      metadata, arena, apus__v1__hello_request__unpack)
    try checkStrings(metadata, .field(3))
    minimumVersion = message.pointee.min_version
    maximumVersion = message.pointee.max_version
    client = text(message.pointee.client)
    token = array(message.pointee.token)
  }
}

/// What the server chose and the limits that hold on the connection.
package struct HelloResponse: Equatable, Sendable {
  package var version: UInt32 = 1
  package var server: String
  package var metadataBytes: UInt64
  package var bodyBytes: UInt64
  package var callsInFlight: UInt32

  package init(server: String, metadataBytes: Int, bodyBytes: Int, callsInFlight: Int) {
    self.server = server
    self.metadataBytes = UInt64(metadataBytes)
    self.bodyBytes = UInt64(bodyBytes)
    self.callsInFlight = UInt32(callsInFlight)
  }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__HelloResponse()
    apus__v1__hello_response__init(&message)
    message.version = version
    message.server = arena.string(server)
    message.max_metadata_bytes = metadataBytes
    message.max_body_bytes = bodyBytes
    message.max_in_flight = callsInFlight
    return pack(
      &message, into: output, arena, size: apus__v1__hello_response__get_packed_size,
      pack: apus__v1__hello_response__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__HelloResponse> = try unpack(
      metadata, arena, apus__v1__hello_response__unpack)
    version = message.pointee.version
    server = text(message.pointee.server)
    metadataBytes = message.pointee.max_metadata_bytes
    bodyBytes = message.pointee.max_body_bytes
    callsInFlight = message.pointee.max_in_flight
  }
}
