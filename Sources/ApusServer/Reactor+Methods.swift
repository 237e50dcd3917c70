import ApusAccess
import ApusBase
import ApusEngine
import ApusWire

/// Every method but Classify: rare, so clarity comes before speed here.
extension Reactor {
  /// Answers one request; nil when the connection was closed, false when the request must wait for the peer
  /// to read.
  mutating func answer(
    _ frame: Pending, _ base: UnsafeRawPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>,
    at now: Instant
  ) -> Bool? {
    let metadata = UnsafeRawBufferPointer(
      start: base + frame.offset + FrameHeader.byteCount, count: frame.layout.metadataBytes)
    do throws(Status) {
      switch Method(rawValue: frame.header.method) {
      case .hello:
        try hello(frame, metadata, connection)
      case .openLane:
        let answered = try openLane(frame, metadata, key, connection)
        if answered == true { logAnswer(frame, connection.pointee) }
        return answered
      case .registerRegion:
        try registerRegion(frame, metadata, connection)
        return true
      case .unregisterRegion:
        try unregisterRegion(frame, metadata, connection)
      case .health:
        try health(frame, metadata, connection)
      case .watchHealth:
        try watchHealth(frame, metadata, connection)
      case .getModel:
        try getModel(frame, metadata, connection)
      case .stats, .listModels:
        try require(.read, of: connection)
        try takeCall(rows: 0, connection, at: now)
        let answered = try answerInPages(frame, metadata, key, connection)
        if answered == true { logAnswer(frame, connection.pointee) }
        return answered
      case .beginPublish, .upload, .commitPublish, .abortPublish, .withdraw, .rollback, .load, .unload,
        .verify, .deprecate, .setAlias, .setTraffic, .history:
        try administer(frame, base, key, connection, at: now)
        return true
      case .classify, nil:
        throw Status(
          .unimplemented, "METHOD_UNKNOWN",
          "method 0x\(String(frame.header.method, radix: 16)) is not known to this server")
      }
      logAnswer(frame, connection.pointee)
    } catch {
      deny(frame, error, connection)
      // Whoever was refused at the door has nothing more to say.
      if frame.header.method == Method.hello.rawValue {
        if flush(key, connection) { finish(key, connection) }
        return nil
      }
    }
    return true
  }

  private mutating func hello(
    _ frame: Pending, _ metadata: UnsafeRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    let request = try HelloRequest(decoding: metadata, arena: arena)
    guard request.minimumVersion <= 1, request.maximumVersion >= 1 else {
      throw Status(
        .unimplemented, "VERSION_UNSUPPORTED",
        "protocol versions \(request.minimumVersion) to \(request.maximumVersion) "
          + "are not spoken here; 1 to 1 are")
    }
    try takeToken(request.token, connection)
    let own = connection.pointee.standing?.grants.limits ?? CallLimits.none
    let response = HelloResponse(
      server: serverVersion, metadataBytes: limits.metadataBytes,
      bodyBytes: limits.longestBody(of: connection.pointee.standing),
      callsInFlight: min(limits.callsInFlight, own.maximumInFlight ?? .max))
    succeed(frame) { output, arena in response.encode(into: output, arena: arena) }
  }

  private mutating func health(
    _ frame: Pending, _ metadata: UnsafeRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    let request = try ModelNameRequest(decoding: metadata, arena: arena)
    try requireHealth(of: request.model, connection)
    let response = healthOf(request.model)
    succeed(frame) { output, arena in response.encode(into: output, arena: arena) }
  }

  /// As gRPC's health checking: the empty name is the whole server.
  func healthOf(_ name: String) -> HealthResponse {
    if draining || fleet.isDrainAnnounced {
      return HealthResponse(status: .notServing, detail: "the server is shutting down")
    }
    if name.isEmpty { return HealthResponse(status: .serving, detail: "") }
    let versions = catalog.versions(of: name)
    guard let last = versions.last else {
      return HealthResponse(status: .serviceUnknown, detail: "there is no model '\(name)'")
    }
    let isReady = versions.contains { $0.state == .ready }
    if isReady { return HealthResponse(status: .serving, detail: "") }
    return HealthResponse(status: .notServing, detail: last.failure ?? "the model is \(last.state.name)")
  }

  private mutating func getModel(
    _ frame: Pending, _ metadata: UnsafeRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    let request = try GetModelRequest(decoding: metadata, arena: arena)
    try require(.read, .classify, model: request.model, of: connection)
    let model = try catalog.describe(request)
    var info = model.info
    info.inputs = model.inputs
    info.outputs = model.outputs
    info.labels = model.labels
    succeed(frame) { output, arena in
      var bytes = GetModelResponse(model: info).encode(into: output, arena: arena)
      while bytes == 0, !info.labels.isEmpty {
        info.labels.removeLast(max(1, info.labels.count / 8))
        bytes = GetModelResponse(model: info).encode(into: output, arena: arena)
      }
      return bytes
    }
  }

  mutating func succeed(
    _ frame: Pending, _ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int
  ) {
    recorder.answered(.ok)
    appendFrame(.answer, method: frame.header.method, requestID: frame.header.requestID, flags: [], encode)
  }

  // MARK: Answers of many pages

  /// Stats and ListModels of many models take several frames, all but the last with the flag that more
  /// follow.
  private mutating func answerInPages(
    _ frame: Pending, _ metadata: UnsafeRawBufferPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> Bool? {
    var wanted = Array(catalog.models.indices)
    if let grants = connection.pointee.standing?.grants {
      wanted = wanted.filter { index in
        catalog.models[index].nameBytes.withUnsafeBytes { grants.allows(.read, model: $0) }
      }
    }
    var wantBuckets = false
    if frame.header.method == Method.stats.rawValue {
      let request = try StatsRequest(decoding: metadata, arena: arena)
      let name = request.model
      wantBuckets = request.wantBuckets
      if !name.isEmpty { wanted = wanted.filter { catalog.models[$0].name == name } }
      guard name.isEmpty || !wanted.isEmpty else {
        throw Status(.notFound, "MODEL_NOT_FOUND", "there is no model '\(name)' here")
      }
    }
    guard flush(key, connection) else { return nil }
    if connection.pointee.backlog != nil { return false }
    // Three histograms whose every bucket holds durations take up to 34 KB of the 64 KiB.
    let perPage = wantBuckets ? 1 : 32
    let pages = max(1, (wanted.count + perPage - 1) / perPage)
    let pageBytes = roundedUpTo64(FrameHeader.byteCount + limits.metadataBytes)
    guard let memory = MappedBuffer(byteCount: pages * pageBytes) else {
      throw Status(.resourceExhausted, "MEMORY_EXHAUSTED", "there is no memory for the answer")
    }
    var byteCount = 0
    for page in 0..<pages {
      let models = wanted[min(page * perPage, wanted.count)..<min((page + 1) * perPage, wanted.count)]
      byteCount += writeFrame(
        at: memory.baseAddress + byteCount, room: limits.metadataBytes, .answer, method: frame.header.method,
        requestID: frame.header.requestID, flags: page + 1 < pages ? .more : []
      ) { output, arena in
        frame.header.method == Method.stats.rawValue
          ? StatsResponse(
            server: page == 0 ? fleet.serverStats() : nil,
            models: models.map { fleet.modelStats(of: catalog, $0, wantBuckets: wantBuckets) }
          )
          .encode(into: output, arena: arena)
          : ListModelsResponse(models: models.map { catalog.models[$0].info }).encode(
            into: output, arena: arena)
      }
    }
    recorder.answered(.ok)
    return send(memory, byteCount: byteCount, key, connection) ? true : nil
  }
}

/// What the server calls itself.
let serverVersion = "apus/0.1.0"
