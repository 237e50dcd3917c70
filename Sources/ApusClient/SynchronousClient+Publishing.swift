import ApusBase
package import ApusWire

/// How far a publication is.
package enum PublishProgress: Equatable, Sendable {
  /// The server takes the files, for this version.
  case began(version: UInt64)
  /// The server has so many bytes of all files.
  case uploaded(bytes: UInt64, of: UInt64)
  /// A step of the server's after it has all files.
  case step(VersionResponse)
}

extension SynchronousClient {
  /// Publishes the files of a folder as a version of a model.
  ///
  /// - Parameters:
  ///   - folder: its regular files without hidden ones, `manifest.json` and `model.plan`.
  ///   - request: model, version, aliases and source; its files are filled in.
  ///   - timeoutNanoseconds: how long to wait for each answer, except for what the server does once it has
  ///     all files: the steps of that are waited for without limit after the first.
  /// - Returns: the version as it serves.
  package func publish(
    folder: String, _ request: BeginPublishRequest, timeoutNanoseconds: UInt64,
    _ tell: (PublishProgress) -> Void = { _ in }
  ) throws(ClientError) -> VersionResponse {
    try publish(
      PublishedFile.all(inFolder: folder), request, timeoutNanoseconds: timeoutNanoseconds, tell)
  }

  /// Publishes files as a version of a model. They are read piece by piece. What fails after the beginning is
  /// taken back on the server where it can still be told.
  package func publish(
    _ files: [PublishedFile], _ request: BeginPublishRequest, timeoutNanoseconds: UInt64,
    _ tell: (PublishProgress) -> Void = { _ in }
  ) throws(ClientError) -> VersionResponse {
    var request = request
    request.files = files.map(\.uploadFile)
    let begun = try beginPublish(request, timeoutNanoseconds: timeoutNanoseconds)
    tell(.began(version: begun.version))
    do throws(ClientError) {
      try upload(files, begun, timeoutNanoseconds, tell)
      return try commitPublish(begun.upload, timeoutNanoseconds: timeoutNanoseconds) { tell(.step($0)) }
    } catch {
      if canStillTell(error) { try? abortPublish(begun.upload, timeoutNanoseconds: timeoutNanoseconds) }
      throw error
    }
  }

  /// After a time-out nobody knows what the server is doing, and without a connection it forgets the
  /// publication itself.
  private func canStillTell(_ error: ClientError) -> Bool {
    switch error {
    case .status, .invalidInput: isConnected
    default: false
    }
  }

  /// Begins a publication.
  package func beginPublish(
    _ request: BeginPublishRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> BeginPublishResponse {
    for name in [request.model, request.source] + request.aliases { try checkName(name) }
    var response = BeginPublishResponse(upload: 0, version: 0, maximumChunkBytes: 0)
    try exchange(.beginPublish, timeoutNanoseconds, { request.encode(into: $0, arena: $1) }) {
      (metadata, arena) throws(Status) in
      response = try BeginPublishResponse(decoding: metadata, arena: arena)
    }
    return response
  }

  /// Sends one piece of a file.
  package func upload(
    _ request: UploadRequest, _ piece: UnsafeRawBufferPointer, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> UploadResponse {
    var response = UploadResponse(received: 0)
    try exchange(.upload, timeoutNanoseconds, body: piece, { request.encode(into: $0, arena: $1) }) {
      (metadata, arena) throws(Status) in
      response = try UploadResponse(decoding: metadata, arena: arena)
    }
    return response
  }

  /// Makes a version of the files that were sent.
  ///
  /// - Parameters:
  ///   - timeoutNanoseconds: how long to wait for the first answer.
  ///   - tell: is told of each step but the last.
  package func commitPublish(
    _ upload: UInt64, timeoutNanoseconds: UInt64, _ tell: (VersionResponse) -> Void
  ) throws(ClientError) -> VersionResponse {
    try steps(
      .commitPublish, timeoutNanoseconds,
      { PublicationRequest(upload: upload).encode(into: $0, arena: $1) }, tell)
  }

  /// Takes a publication back.
  package func abortPublish(_ upload: UInt64, timeoutNanoseconds: UInt64) throws(ClientError) {
    try exchange(
      .abortPublish, timeoutNanoseconds,
      { PublicationRequest(upload: upload).encode(into: $0, arena: $1) }, { (_, _) in })
  }

  // MARK: Pieces

  /// Pieces on their way at one time: the next ones travel while the server writes the first.
  private static var piecesInFlight: Int { 4 }
  /// A server that takes longer pieces gets shorter ones: `piecesInFlight` of them lie in memory.
  private static var longestPieceBytes: Int { 1 << 20 }

  private func upload(
    _ files: [PublishedFile], _ begun: BeginPublishResponse, _ timeoutNanoseconds: UInt64,
    _ tell: (PublishProgress) -> Void
  ) throws(ClientError) {
    let total = files.reduce(0) { $0 + $1.size }
    let pieceBytes = min(Int(begun.maximumChunkBytes), Self.longestPieceBytes, connection?.bodyLimit ?? 0)
    guard pieceBytes > 0 else { throw .protocolBroken("pieces of no bytes can carry no file") }
    connection?.reserveUnsent(Self.piecesInFlight * (pieceBytes + 1024))
    let memory = AlignedBuffer(byteCount: pieceBytes)
    // The memory may be longer than was asked for, and a piece may not.
    let buffer = UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<pieceBytes])
    var reader = PieceReader(files)
    var waiting: PieceReader.Piece?
    var inFlight: [(id: UInt64, byteCount: Int)] = []
    var uploaded: UInt64 = 0
    while true {
      if waiting == nil { waiting = try reader.next(into: buffer) }
      if let piece = waiting, inFlight.count < Self.piecesInFlight,
        let id = try submit(piece, of: begun.upload, buffer)
      {
        inFlight.append((id, piece.byteCount))
        waiting = nil
        continue
      }
      guard let next = inFlight.first else {
        guard waiting == nil else { throw .connectionLost("the server takes no pieces") }
        return
      }
      _ = try read(next.id, timeoutNanoseconds)
      inFlight.removeFirst()
      uploaded += UInt64(next.byteCount)
      tell(.uploaded(bytes: uploaded, of: total))
    }
  }

  /// - Returns: nil when an answer must be taken first.
  private func submit(
    _ piece: PieceReader.Piece, of upload: UInt64, _ buffer: UnsafeMutableRawBufferPointer
  ) throws(ClientError) -> UInt64? {
    let request = UploadRequest(upload: upload, file: piece.file, offset: piece.offset)
    let body = UnsafeRawBufferPointer(rebasing: buffer[..<piece.byteCount])
    let id = try connection?.submit(.upload, body: body) { request.encode(into: $0, arena: $1) }
    connection?.sendSome()
    return id
  }

  private func read(_ id: UInt64, _ timeoutNanoseconds: UInt64) throws(ClientError) -> UploadResponse {
    var response = UploadResponse(received: 0)
    try reading { () throws(ClientError) in
      let view = try answer(id, deadline(timeoutNanoseconds))
      try connection?.decode(view) { (metadata, arena) throws(Status) in
        response = try UploadResponse(decoding: metadata, arena: arena)
      }
    }
    return response
  }
}
