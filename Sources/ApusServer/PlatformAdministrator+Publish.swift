import ApusBase
import ApusLog
import ApusModels
import ApusWire

/// A version that is being sent.
struct Upload {
  let request: BeginPublishRequest
  let version: UInt64
  let administrator: Administrator
  let staged: StagedVersion
  var lastHeard: Instant
  /// The files are complete and being loaded.
  var isCommitted = false
}

/// What is done with a version once it has been loaded.
struct LoadingAct {
  enum Purpose {
    /// Of the upload with this id.
    case publish(UInt64)
    case load
    /// Calls go to it then.
    case rollback
    /// Found in the folder.
    case found
  }

  let pending: PlatformAdministrator.PendingAct
  let purpose: Purpose
}

/// Publication: files come in pieces into a hidden folder; they are checked, loaded, warmed up and held
/// against their samples there; then one rename shows them, and calls go to the new version from the next one
/// on.
extension PlatformAdministrator {
  /// Pieces of files are at most so long: a frame with one is received without memory of its own.
  private static let maximumChunkBytes = 64 << 10
  private static let maximumUploads = 8
  /// A publisher that has not been heard for so long has given up.
  private static let staleNanoseconds: UInt64 = 120_000_000_000

  mutating func beginPublish(_ request: BeginPublishRequest, _ call: AdministrationCall) throws(Status) {
    let act = PendingAct(
      act: "publish", model: request.model, version: request.version, administrator: call.administrator,
      reply: call.reply)
    do throws(Status) {
      try call.administrator.require(model: request.model)
      let version = try check(request)
      guard uploads.count < Self.maximumUploads else {
        throw Status(
          .resourceExhausted, "TOO_MANY_UPLOADS",
          "\(Self.maximumUploads) publications are under way; try again",
          retryAfterNanoseconds: 1_000_000_000)
      }
      let id = UInt64.random(in: 1...UInt64.max)
      let staged: StagedVersion
      do throws(ModelError) {
        var files: [StagedVersion.File] = []
        for file in request.files {
          files.append(try StagedVersion.File(name: file.name, size: file.size, sha256: file.sha256))
        }
        staged = try platform.repository.stage(
          request.model, version: version, files: files, id: String(id, radix: 16))
      } catch { throw Status(.invalidArgument, "FILES_REFUSED", error.description) }
      uploads[id] = Upload(
        request: request, version: version, administrator: call.administrator, staged: staged,
        lastHeard: .now)
      let response = BeginPublishResponse(
        upload: id, version: version, maximumChunkBytes: UInt32(Self.maximumChunkBytes))
      call.reply.send(.success(encoded { response.encode(into: $0, arena: $1) }))
    } catch { failed(act, error) }
  }

  /// - Returns: the version that it will be.
  private func check(_ request: BeginPublishRequest) throws(Status) -> UInt64 {
    guard ModelRepository.isModelName(request.model), request.model.utf8.count <= 128 else {
      throw Status(
        .invalidArgument, "NAME_REFUSED",
        "a model's name holds at most 128 letters, digits, dots, hyphens and underscores, no dot first")
    }
    for alias in request.aliases where !ModelRecord.isAlias(alias) || alias == "latest" {
      throw .aliasRefused
    }
    guard VersionManifest.Publication.isSource(request.source) else {
      throw Status(
        .invalidArgument, "PUBLICATION_INVALID",
        "a source is one line of at most \(VersionManifest.maximumSourceBytes) bytes")
    }
    let known = platform.models[request.model]
    if let failure = known?.recordFailure {
      throw Status(
        .failedPrecondition, "STATE_BROKEN", "nothing can be decided about '\(request.model)': \(failure)")
    }
    let underWay = uploads.values.filter { $0.request.model == request.model }.map(\.version)
    let highest = max(
      known?.record.highest ?? 0, known?.versions.keys.max() ?? 0, underWay.max() ?? 0)
    guard request.version != 0 else { return highest + 1 }
    guard known?.versions[request.version] == nil, !underWay.contains(request.version),
      request.version <= UInt64(Int64.max)
    else {
      throw Status(
        .alreadyExists, "VERSION_EXISTS",
        "'\(request.model)' has a version \(request.version) already; versions never change")
    }
    return request.version
  }

  mutating func upload(_ request: UploadRequest, _ call: AdministrationCall) throws(Status) {
    let upload = try ownUpload(request.upload, call)
    guard !upload.isCommitted else {
      throw Status(.failedPrecondition, "UPLOAD_ENDED", "the publication is complete already")
    }
    let received: UInt64
    do throws(ModelError) {
      received = try call.body.withBytes { bytes throws(ModelError) in
        try upload.staged.write(file: Int(request.file), offset: request.offset, bytes)
      }
    } catch {
      throw Status(.invalidArgument, "PIECE_REFUSED", error.description)
    }
    uploads[request.upload]?.lastHeard = .now
    let response = UploadResponse(received: received)
    call.reply.send(.success(encoded { response.encode(into: $0, arena: $1) }))
  }

  mutating func abortPublish(_ request: PublicationRequest, _ call: AdministrationCall) throws(Status) {
    let upload = try ownUpload(request.upload, call)
    guard !upload.isCommitted else {
      throw Status(.failedPrecondition, "UPLOAD_ENDED", "the publication is complete already")
    }
    uploads[request.upload] = nil
    upload.staged.discard()
    call.reply.send(.success([]))
  }

  private func ownUpload(_ id: UInt64, _ call: AdministrationCall) throws(Status) -> Upload {
    guard let upload = uploads[id], upload.administrator.name == call.administrator.name else {
      throw Status(
        .notFound, "UPLOAD_NOT_FOUND", "there is no such publication of this caller; it may have timed out")
    }
    return upload
  }

  mutating func commitPublish(_ request: PublicationRequest, _ call: AdministrationCall) throws(Status) {
    let upload = try ownUpload(request.upload, call)
    guard !upload.isCommitted else {
      throw Status(.failedPrecondition, "UPLOAD_ENDED", "the publication is complete already")
    }
    uploads[request.upload]?.isCommitted = true
    let act = PendingAct(
      act: "publish", model: upload.request.model, version: upload.version,
      administrator: upload.administrator, reply: call.reply)
    do throws(ModelError) {
      try upload.staged.verify()
      let entry = try platform.repository.entry(
        staged: upload.staged.folder, name: upload.request.model, version: upload.version)
      tell(act, .loading, "the files have come as they were sent")
      loading[request.upload] = LoadingAct(pending: act, purpose: .publish(request.upload))
      administration.loads.add(
        request.upload,
        .load(
          entry, platform.repository, platform.loader, files: upload.staged.files.map(\.name)))
    } catch {
      uploads[request.upload] = nil
      upload.staged.discard()
      failed(act, Status(.invalidArgument, "FILES_REFUSED", error.description))
    }
  }

  /// A version that was sent has been loaded, or not.
  mutating func finishPublish(_ id: UInt64, _ act: PendingAct, _ outcome: ModelLoader.Outcome) {
    guard let upload = uploads.removeValue(forKey: id) else { return }
    do throws(Status) {
      if case .failure(let failed) = outcome.result {
        throw Status(.failedPrecondition, "MODEL_FAILED", failed.reason)
      }
      let detail = try reveal(upload, outcome)
      done(act, version: upload.version, detail)
    } catch {
      upload.staged.discard()
      failed(act, error)
    }
  }

  private mutating func reveal(
    _ upload: Upload, _ outcome: ModelLoader.Outcome
  ) throws(Status) -> String {
    let (name, number) = (upload.request.model, upload.version)
    let before = platform.models[name]?.latest
    if upload.request.keepLatest, let before {
      // Before the version can be seen, so that no crash in between sends calls to it.
      try decide(name) { $0.latest = ModelRecord.Latest(version: before, seen: max($0.highest, number)) }
    }
    do throws(ModelError) {
      let manifest = VersionManifest(upload, outcome.description)
      try platform.repository.write(
        manifest.bytes, named: VersionManifest.fileName, staged: upload.staged.folder)
      var outcome = outcome
      outcome.description.take(manifest.published)
      let entry = try platform.repository.place(upload.staged)
      platform.add(entry)
      platform.take(outcome, name, number)
    } catch { throw Status(.internal, "REPOSITORY_FAILED", error.description) }
    try decide(name) { record in
      record.highest = max(record.highest, number)
      for alias in upload.request.aliases { record.aliases[alias] = number }
      guard !upload.request.keepLatest, let before, before < number else { return }
      record.previous = before
    }
    supersede(name)
    let latest = platform.models[name]?.latest
    return latest == number
      ? "version \(number) answers calls of \(name)"
      : "version \(number) is ready; calls without version go to \(latest.map { "\($0)" } ?? "none")"
  }

  mutating func dropStaleUploads() {
    let now = Instant.now
    for (id, upload) in uploads
    where !upload.isCommitted && now.since(upload.lastHeard) > Self.staleNanoseconds {
      uploads[id] = nil
      upload.staged.discard()
      platform.log.write(
        .warning, "the publication of \(upload.request.model) \(upload.version) was given up: nothing came")
    }
  }
}

extension VersionManifest {
  fileprivate init(_ upload: Upload, _ description: ModelDescription) {
    let input = Tensor(
      name: "", dataType: description.features == nil ? description.inputType.name : "utf8",
      shape: [-1] + (description.features == nil ? description.inputShape : []))
    self.init(
      model: upload.request.model, version: upload.version, digest: description.digest,
      files: upload.staged.files.filter { !VersionDigest.leftOut.contains($0.name) }.map {
        VersionFile(name: $0.name, byteCount: Int($0.size), sha256: $0.sha256)
      },
      format: description.format, inputs: [input],
      outputs: [Tensor(name: "", dataType: "float32", shape: [-1, description.classes])],
      labels: description.labels,
      published: Publication(
        by: upload.administrator.name,
        nanoseconds: UTCTime.now,
        from: upload.administrator.from, source: upload.request.source))
  }
}

extension Status {
  static let aliasRefused = Status(
    .invalidArgument, "NAME_REFUSED",
    "an alias holds at most 64 letters, digits, dots, hyphens and underscores, no dot first; it is no number")
}
