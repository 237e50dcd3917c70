import CApusProto

extension Status {
  /// Packs the metadata of an answer with flag bit 1, or of nothing when it does not fit.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var status = Apus__V1__Status()
    apus__v1__status__init(&status)
    status.code = code.rawValue
    status.message = arena.string(message)
    status.reason = arena.string(reason)
    status.retry_after_ns = retryAfterNanoseconds
    guard apus__v1__status__get_packed_size(&status) <= output.count else { return 0 }
    return apus__v1__status__pack(&status, output.baseAddress?.assumingMemoryBound(to: UInt8.self))
  }

  /// Reads an answer's status. Bytes that are none become INTERNAL, so that a caller always has a reason.
  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) {
    let message: UnsafeMutablePointer<Apus__V1__Status>
    do { message = try unpack(metadata, arena, apus__v1__status__unpack) } catch {
      self.init(.internal, "STATUS_BROKEN", "the server answered with a status that cannot be read")
      return
    }
    let status = message.pointee
    self.init(
      StatusCode(rawValue: status.code) ?? .unknown, text(status.reason), text(status.message),
      retryAfterNanoseconds: status.retry_after_ns)
    if code == .ok { code = .unknown }
  }
}

/// Metadata of a goaway frame.
package struct GoAway: Equatable, Sendable {
  /// For a person.
  package var reason: String
  package var graceNanoseconds: UInt64

  package init(reason: String, graceNanoseconds: UInt64) {
    self.reason = reason
    self.graceNanoseconds = graceNanoseconds
  }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__GoAway()
    apus__v1__go_away__init(&message)
    message.reason = arena.string(reason)
    message.grace_ns = graceNanoseconds
    guard apus__v1__go_away__get_packed_size(&message) <= output.count else { return 0 }
    return apus__v1__go_away__pack(&message, output.baseAddress?.assumingMemoryBound(to: UInt8.self))
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__GoAway> = try unpack(
      metadata, arena, apus__v1__go_away__unpack)
    self.init(reason: text(message.pointee.reason), graceNanoseconds: message.pointee.grace_ns)
  }
}

/// A `string` field as a Swift string; bytes that are no UTF-8 are replaced.
func text(_ field: UnsafeMutablePointer<CChar>?) -> String {
  guard let field else { return "" }
  return String(decoding: bytes(field), as: UTF8.self)
}

/// A `bytes` field as an array.
func array(_ field: ProtobufCBinaryData) -> [UInt8] {
  guard let data = field.data else { return [] }
  return Array(UnsafeBufferPointer(start: data, count: field.len))
}
