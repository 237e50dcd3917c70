package import ApusWire

/// What an administrator does with versions: each call answers with the version as it is then.
extension SynchronousClient {
  /// Takes a version out of service, and with `deleteFiles` off the disk.
  package func withdraw(
    _ request: VersionRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> VersionResponse {
    try administer(.withdraw, request, timeoutNanoseconds)
  }

  /// Lets a version answer that did before; version 0: the last one that did.
  package func rollback(
    _ request: VersionRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> VersionResponse {
    try administer(.rollback, request, timeoutNanoseconds)
  }

  /// Loads a version that is on disk alone.
  ///
  /// - Parameters:
  ///   - timeoutNanoseconds: how long to wait for the first answer.
  ///   - tell: is told of each step but the last.
  package func load(
    _ request: VersionRequest, timeoutNanoseconds: UInt64, _ tell: (VersionResponse) -> Void
  ) throws(ClientError) -> VersionResponse {
    try administer(.load, request, timeoutNanoseconds, tell)
  }

  /// Takes a version out of memory; it stays on disk.
  package func unload(
    _ request: VersionRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> VersionResponse {
    try administer(.unload, request, timeoutNanoseconds)
  }

  /// Compares a version's files with its digest and its signature.
  package func verify(
    _ request: VersionRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> VersionResponse {
    try administer(.verify, request, timeoutNanoseconds)
  }

  /// Tells callers of a version to leave it; an empty note: no longer.
  package func deprecate(
    _ request: VersionRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> VersionResponse {
    try administer(.deprecate, request, timeoutNanoseconds)
  }

  /// Makes a name mean a version, or nothing.
  package func setAlias(
    _ request: SetAliasRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> VersionResponse {
    try checkName(request.model)
    try checkName(request.alias)
    return try steps(.setAlias, timeoutNanoseconds, { request.encode(into: $0, arena: $1) })
  }

  /// Sends a share of a model's calls to a version, or mirrors it to one.
  package func setTraffic(
    _ request: SetTrafficRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> VersionResponse {
    try checkName(request.model)
    return try steps(.setTraffic, timeoutNanoseconds, { request.encode(into: $0, arena: $1) })
  }

  /// The newest acts of the audit log, newest first.
  package func history(
    _ request: HistoryRequest, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> [Act] {
    try checkName(request.model)
    var acts: [Act] = []
    try exchange(.history, timeoutNanoseconds, { request.encode(into: $0, arena: $1) }) {
      (metadata, arena) throws(Status) in
      acts += try HistoryResponse(decoding: metadata, arena: arena).acts
    }
    return acts
  }

  private func administer(
    _ method: Method, _ request: VersionRequest, _ timeoutNanoseconds: UInt64,
    _ tell: (VersionResponse) -> Void = { _ in }
  ) throws(ClientError) -> VersionResponse {
    try checkName(request.model)
    try checkName(request.note)
    return try steps(method, timeoutNanoseconds, { request.encode(into: $0, arena: $1) }, tell)
  }

  /// A call that a version answers, for each step and at the end.
  func steps(
    _ method: Method, _ timeoutNanoseconds: UInt64,
    _ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int,
    _ tell: (VersionResponse) -> Void = { _ in }
  ) throws(ClientError) -> VersionResponse {
    var last: VersionResponse?
    try exchange(method, timeoutNanoseconds, encode) { (metadata, arena) throws(Status) in
      if let last { tell(last) }
      last = try VersionResponse(decoding: metadata, arena: arena)
    }
    guard let last else { throw .protocolBroken("no answer to a call that was answered") }
    return last
  }
}
