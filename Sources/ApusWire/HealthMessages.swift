import CApusProto

/// The states of the gRPC health checking protocol (github.com/grpc/grpc, doc/health-checking.md).
package enum ServingStatus: UInt32, Sendable {
  case unknown = 0
  case serving = 1
  case notServing = 2
  case serviceUnknown = 3

  /// The name as gRPC writes it.
  package var name: String {
    switch self {
    case .unknown: "UNKNOWN"
    case .serving: "SERVING"
    case .notServing: "NOT_SERVING"
    case .serviceUnknown: "SERVICE_UNKNOWN"
    }
  }
}

/// A request whose one field names a model: `HealthRequest`. Empty: the whole server.
package struct ModelNameRequest: Equatable, Sendable {
  package var model: String

  package init(model: String) { self.model = model }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__HealthRequest()
    apus__v1__health_request__init(&message)
    message.model = arena.string(model)
    return pack(
      &message, into: output, arena, size: apus__v1__health_request__get_packed_size,
      pack: apus__v1__health_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__HealthRequest> = try unpack(
      metadata, arena, apus__v1__health_request__unpack)
    try checkStrings(metadata, .field(1))
    model = text(message.pointee.model)
  }
}

package struct HealthResponse: Equatable, Sendable {
  package var status: ServingStatus
  /// For a person.
  package var detail: String

  package init(status: ServingStatus, detail: String) {
    self.status = status
    self.detail = detail
  }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__HealthResponse()
    apus__v1__health_response__init(&message)
    message.status = Apus__V1__ServingStatus(rawValue: status.rawValue)
    message.detail = arena.string(detail)
    return pack(
      &message, into: output, arena, size: apus__v1__health_response__get_packed_size,
      pack: apus__v1__health_response__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__HealthResponse> = try unpack(
      metadata, arena, apus__v1__health_response__unpack)
    status = ServingStatus(rawValue: UInt32(message.pointee.status.rawValue)) ?? .unknown
    detail = text(message.pointee.detail)
  }
}
