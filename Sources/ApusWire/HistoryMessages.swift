import CApusProto

/// Asks for the newest lines of the audit log.
package struct HistoryRequest: Equatable, Sendable {
  /// Empty: all models.
  package var model: String
  /// Newest acts; 0: 100.
  package var limit: UInt32

  package init(model: String = "", limit: UInt32 = 0) {
    self.model = model
    self.limit = limit
  }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena. A request for all
  ///   also has 0 bytes.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__HistoryRequest()
    apus__v1__history_request__init(&message)
    message.model = arena.string(model)
    message.limit = limit
    return pack(
      &message, into: output, arena, size: apus__v1__history_request__get_packed_size,
      pack: apus__v1__history_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__HistoryRequest> = try unpack(
      metadata, arena, apus__v1__history_request__unpack)
    try checkStrings(metadata, .field(1))
    model = text(message.pointee.model)
    limit = message.pointee.limit
  }
}

/// A line of the audit log.
package struct Act: Equatable, Sendable {
  /// 1 for the log's first line.
  package var sequence: UInt64 = 0
  /// Since 1970.
  package var timeNanoseconds: UInt64 = 0
  /// Identity, as a policy names it, or "server".
  package var who = ""
  /// Transport: unix, tcp, tls, or "server".
  package var from = ""
  /// For example "publish".
  package var act = ""
  package var model = ""
  /// 0: none.
  package var version: UInt64 = 0
  /// For a person.
  package var detail = ""
  /// "ok", or the status code's name.
  package var result = ""

  package init() {}
}

/// One frame of the answer to History; newest first.
package struct HistoryResponse: Equatable, Sendable {
  package var acts: [Act]

  package init(acts: [Act]) { self.acts = acts }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena. A message without
  ///   acts also has 0 bytes.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__HistoryResponse()
    apus__v1__history_response__init(&message)
    message.acts = repeated(acts, arena, { apus__v1__act__init($0) }) { $0.fill($1, $2) }
    message.n_acts = acts.count
    return pack(
      &message, into: output, arena, size: apus__v1__history_response__get_packed_size,
      pack: apus__v1__history_response__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__HistoryResponse> = try unpack(
      metadata, arena, apus__v1__history_response__unpack)
    acts = values(message.pointee.acts, message.pointee.n_acts) { Act($0) }
  }
}

extension Act {
  fileprivate func fill(_ message: UnsafeMutablePointer<Apus__V1__Act>, _ arena: borrowing MetadataArena) {
    message.pointee.sequence = sequence
    message.pointee.time_ns = timeNanoseconds
    message.pointee.who = arena.string(who)
    message.pointee.from = arena.string(from)
    message.pointee.act = arena.string(act)
    message.pointee.model = arena.string(model)
    message.pointee.version = version
    message.pointee.detail = arena.string(detail)
    message.pointee.result = arena.string(result)
  }

  fileprivate init(_ message: Apus__V1__Act) {
    sequence = message.sequence
    timeNanoseconds = message.time_ns
    who = text(message.who)
    from = text(message.from)
    act = text(message.act)
    model = text(message.model)
    version = message.version
    detail = text(message.detail)
    result = text(message.result)
  }
}
