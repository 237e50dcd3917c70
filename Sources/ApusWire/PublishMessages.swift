import CApusProto

/// A file of a version that is being published.
package struct UploadFile: Equatable, Sendable {
  /// Without a folder.
  package var name: String
  /// Bytes.
  package var size: UInt64
  /// SHA-256 of the file, 32 bytes.
  package var sha256: [UInt8]

  package init(name: String, size: UInt64, sha256: [UInt8]) {
    self.name = name
    self.size = size
    self.sha256 = sha256
  }
}

/// Begins a publication: which files there will be.
package struct BeginPublishRequest: Equatable, Sendable {
  /// Most files of a version.
  package static let maximumFiles = 64
  /// Most names that a publication gives to its version.
  package static let maximumAliases = 16

  /// Name of the model, which may be new.
  package var model: String
  /// 0: the highest there has been, plus one.
  package var version: UInt64 = 0
  package var files: [UploadFile] = []
  /// What it comes from, for a person.
  package var source = ""
  /// Names that mean the version as soon as it serves.
  package var aliases: [String] = []
  /// Calls without version stay with the version that they go to now.
  package var keepLatest = false

  package init(model: String) { self.model = model }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__BeginPublishRequest()
    apus__v1__begin_publish_request__init(&message)
    message.model = arena.string(model)
    message.version = version
    message.files = repeated(files, arena, { apus__v1__upload_file__init($0) }) { file, place, arena in
      place.pointee.name = arena.string(file.name)
      place.pointee.size = file.size
      place.pointee.sha256 = arena.binary(file.sha256)
    }
    message.n_files = files.count
    message.source = arena.string(source)
    message.aliases = repeatedStrings(aliases, arena)
    message.n_aliases = aliases.count
    message.keep_latest = keepLatest ? 1 : 0
    return pack(
      &message, into: output, arena, size: apus__v1__begin_publish_request__get_packed_size,
      pack: apus__v1__begin_publish_request__pack)
  }

  /// - Throws: `Status`, INVALID_ARGUMENT, for bytes that are no such message, texts that are no UTF-8, more
  ///   files or aliases than there may be, and a SHA-256 that is not 32 bytes.
  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__BeginPublishRequest> = try unpack(
      metadata, arena, apus__v1__begin_publish_request__unpack)
    try checkStrings(metadata, [.field(1), .field(4), .field(5)])
    try checkStrings(metadata, inside: .field(3), .field(1))
    guard message.pointee.n_files <= Self.maximumFiles, message.pointee.n_aliases <= Self.maximumAliases
    else {
      throw Status(
        .invalidArgument, "PUBLICATION_INVALID",
        "a version has at most \(Self.maximumFiles) files, and is published with at most "
          + "\(Self.maximumAliases) aliases")
    }
    model = text(message.pointee.model)
    version = message.pointee.version
    files = values(message.pointee.files, message.pointee.n_files) {
      UploadFile(name: text($0.name), size: $0.size, sha256: array($0.sha256))
    }
    guard files.allSatisfy({ $0.sha256.count == 32 }) else {
      throw Status(.invalidArgument, "PUBLICATION_INVALID", "the SHA-256 of each file has 32 bytes")
    }
    source = text(message.pointee.source)
    aliases = texts(message.pointee.aliases, message.pointee.n_aliases)
    keepLatest = message.pointee.keep_latest != 0
  }
}

package struct BeginPublishResponse: Equatable, Sendable {
  /// Names this publication in what follows.
  package var upload: UInt64
  /// The version that it will be.
  package var version: UInt64
  /// Longest piece of a file, in bytes.
  package var maximumChunkBytes: UInt32

  package init(upload: UInt64, version: UInt64, maximumChunkBytes: UInt32) {
    self.upload = upload
    self.version = version
    self.maximumChunkBytes = maximumChunkBytes
  }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__BeginPublishResponse()
    apus__v1__begin_publish_response__init(&message)
    message.upload = upload
    message.version = version
    message.max_chunk_bytes = maximumChunkBytes
    return pack(
      &message, into: output, arena, size: apus__v1__begin_publish_response__get_packed_size,
      pack: apus__v1__begin_publish_response__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__BeginPublishResponse> = try unpack(
      metadata, arena, apus__v1__begin_publish_response__unpack)
    upload = message.pointee.upload
    version = message.pointee.version
    maximumChunkBytes = message.pointee.max_chunk_bytes
  }
}

/// Says where the piece in the frame's body belongs. Pieces of a file come in order.
package struct UploadRequest: Equatable, Sendable {
  package var upload: UInt64
  /// Index in `BeginPublishRequest.files`.
  package var file: UInt32
  /// Of the piece in the file, in bytes.
  package var offset: UInt64

  package init(upload: UInt64, file: UInt32, offset: UInt64) {
    self.upload = upload
    self.file = file
    self.offset = offset
  }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__UploadRequest()
    apus__v1__upload_request__init(&message)
    message.upload = upload
    message.file = file
    message.offset = offset
    return pack(
      &message, into: output, arena, size: apus__v1__upload_request__get_packed_size,
      pack: apus__v1__upload_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__UploadRequest> = try unpack(
      metadata, arena, apus__v1__upload_request__unpack)
    upload = message.pointee.upload
    file = message.pointee.file
    offset = message.pointee.offset
  }
}

package struct UploadResponse: Equatable, Sendable {
  /// Bytes of the file that the server has.
  package var received: UInt64

  package init(received: UInt64) { self.received = received }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__UploadResponse()
    apus__v1__upload_response__init(&message)
    message.received = received
    return pack(
      &message, into: output, arena, size: apus__v1__upload_response__get_packed_size,
      pack: apus__v1__upload_response__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__UploadResponse> = try unpack(
      metadata, arena, apus__v1__upload_response__unpack)
    received = message.pointee.received
  }
}

/// A request whose one field names a publication: `CommitPublishRequest` and `AbortPublishRequest`. The
/// answer to the second is empty.
package struct PublicationRequest: Equatable, Sendable {
  /// Of `BeginPublishResponse`.
  package var upload: UInt64

  package init(upload: UInt64) { self.upload = upload }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__CommitPublishRequest()
    apus__v1__commit_publish_request__init(&message)
    message.upload = upload
    return pack(
      &message, into: output, arena, size: apus__v1__commit_publish_request__get_packed_size,
      pack: apus__v1__commit_publish_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__CommitPublishRequest> = try unpack(
      metadata, arena, apus__v1__commit_publish_request__unpack)
    upload = message.pointee.upload
  }
}
