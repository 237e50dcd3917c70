import CApusProto

/// What to do with a version; the method says what.
package struct VersionRequest: Equatable, Sendable {
  package var model: String
  /// 0 for Rollback alone: the version that answered before.
  package var version: UInt64
  /// Why, for the history; for Deprecate what callers are told, empty: no longer.
  package var note: String
  /// For Withdraw: not only out of service, but off the disk.
  package var deleteFiles: Bool

  package init(model: String, version: UInt64, note: String = "", deleteFiles: Bool = false) {
    self.model = model
    self.version = version
    self.note = note
    self.deleteFiles = deleteFiles
  }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__VersionRequest()
    apus__v1__version_request__init(&message)
    message.model = arena.string(model)
    message.version = version
    message.note = arena.string(note)
    message.delete_files = deleteFiles ? 1 : 0
    return pack(
      &message, into: output, arena, size: apus__v1__version_request__get_packed_size,
      pack: apus__v1__version_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__VersionRequest> = try unpack(
      metadata, arena, apus__v1__version_request__unpack)
    try checkStrings(metadata, [.field(1), .field(3)])
    model = text(message.pointee.model)
    version = message.pointee.version
    note = text(message.pointee.note)
    deleteFiles = message.pointee.delete_files != 0
  }
}

/// The version as it is now, after an act or a step of one.
package struct VersionResponse: Equatable, Sendable {
  /// Without inputs, outputs and labels.
  package var model: ModelInfo
  /// What was done, for a person.
  package var detail: String

  package init(model: ModelInfo, detail: String) {
    self.model = model
    self.detail = detail
  }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__VersionResponse()
    apus__v1__version_response__init(&message)
    let info: UnsafeMutablePointer<Apus__V1__ModelInfo>? = arena.make { apus__v1__model_info__init($0) }
    guard let info else { return 0 }
    model.fill(info, arena)
    message.model = info
    message.detail = arena.string(detail)
    return pack(
      &message, into: output, arena, size: apus__v1__version_response__get_packed_size,
      pack: apus__v1__version_response__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__VersionResponse> = try unpack(
      metadata, arena, apus__v1__version_response__unpack)
    model = message.pointee.model.map { ModelInfo($0.pointee) } ?? ModelInfo()
    detail = text(message.pointee.detail)
  }
}

/// Makes a name mean a version.
package struct SetAliasRequest: Equatable, Sendable {
  package var model: String
  /// "latest" is what calls without version and alias go to.
  package var alias: String
  /// A ready one; 0 removes the alias.
  package var version: UInt64

  package init(model: String, alias: String, version: UInt64) {
    self.model = model
    self.alias = alias
    self.version = version
  }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__SetAliasRequest()
    apus__v1__set_alias_request__init(&message)
    message.model = arena.string(model)
    message.alias = arena.string(alias)
    message.version = version
    return pack(
      &message, into: output, arena, size: apus__v1__set_alias_request__get_packed_size,
      pack: apus__v1__set_alias_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__SetAliasRequest> = try unpack(
      metadata, arena, apus__v1__set_alias_request__unpack)
    try checkStrings(metadata, [.field(1), .field(2)])
    model = text(message.pointee.model)
    alias = text(message.pointee.alias)
    version = message.pointee.version
  }
}
