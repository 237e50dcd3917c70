import ApusBase
import ApusEngine
import ApusLog
import ApusWire

/// What is written around the probabilities of Classify, and answers that need memory or metadata of their
/// own.
extension Reactor {
  /// Writes header, metadata and padding around the bodies of a run, and the account of where the time went.
  mutating func finishAnswers(
    _ index: Int, _ run: Int, _ call: PreparedCall, _ output: UnsafeMutableRawPointer, _ times: CallTimes,
    _ prefix: UnsafeMutableRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) {
    let prefix = UnsafeRawPointer(prefix.baseAddress.unsafelyUnwrapped)
    for position in 0..<run {
      beginAnswer(
        output + position * call.layout.frameBytes, call,
        requestID: pending[index + position].header.requestID, prefix: prefix)
    }
    let account = account(of: times)
    let load = load
    for position in 0..<run {
      AnswerTail.write(
        load: load, account,
        to: output + position * call.layout.frameBytes + FrameHeader.byteCount + call.prefixBytes)
    }
    let first = pending + index
    tell(
      call, catalog, account, calls: run, isBatch: true, requestBytes: first.pointee.layout.frameBytes,
      connection.pointee
    ) { first[$0].header.requestID }
  }

  /// Writes what stands around a body, but for its tail.
  @inline(__always)
  func beginAnswer(
    _ frame: UnsafeMutableRawPointer, _ call: PreparedCall, requestID: UInt64, prefix: UnsafeRawPointer
  ) {
    let layout = call.layout
    FrameHeader(
      kind: .answer, method: Method.classify.rawValue, requestID: requestID,
      metadataBytes: layout.metadataBytes, bodyBytes: layout.bodyBytes
    ).write(to: frame)
    (frame + FrameHeader.byteCount).copyMemory(from: prefix, byteCount: call.prefixBytes)
    zero(frame, FrameHeader.byteCount + layout.metadataBytes, layout.bodyOffset)
    zero(frame, layout.bodyOffset + layout.bodyBytes, layout.frameBytes)
    zeroBetweenParts(frame + layout.bodyOffset, call.form)
  }

  /// Where the time went up to now.
  mutating func account(of times: CallTimes) -> TimeAccount {
    clock = .now
    return TimeAccount(times, written: clock)
  }

  /// Counts and logs answered calls that differ in their request ids alone.
  ///
  /// - Parameter isBatch: whether they are the ones by which a batch is counted.
  func tell(
    _ call: PreparedCall, _ catalog: Catalog, _ account: TimeAccount, calls: Int, isBatch: Bool,
    requestBytes: Int, _ connection: borrowing Connection, requestID: (Int) -> UInt64
  ) {
    let slot = catalog.slots[call.modelIndex]
    recorder.answered(model: slot, calls: calls, rows: calls * call.rows, account)
    if isBatch { recorder.batch(model: slot, rows: Int(account.batchRows)) }
    guard account.total >= accessRing.threshold else { return }
    logAnswers(
      call, catalog, requestBytes: requestBytes, account, connection, count: calls, requestID: requestID)
  }

  /// Of the work that may wait here, how much does: 0 idle, 1 saturated.
  var load: Float { ownQueue.isEmpty ? fleet.pool.load : max(fleet.pool.load, ownQueue.load(at: clock)) }

  private func zeroBetweenParts(_ body: UnsafeMutableRawPointer, _ form: AnswerForm) {
    guard form.hasIndices || form.hasScores else { return }
    zero(body, form.probabilitiesBytes, form.indicesOffset)
    if form.hasIndices && form.hasScores {
      zero(body, form.indicesOffset + form.probabilitiesBytes, form.scoresOffset)
    }
  }

  /// An answer over the answers' buffer gets memory of its own. Where the server, or the connection, holds as
  /// much as it may, the call is refused before it is computed.
  mutating func classifyLarge(
    _ index: Int, _ call: PreparedCall, _ plan: Plan, _ base: UnsafeRawPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) -> Int? {
    let frame = pending[index]
    guard
      let lease = MemoryLease(call.layout.frameBytes, of: fleet.memory, for: connection.pointee.account),
      let memory = MappedBuffer(byteCount: call.layout.frameBytes)
    else {
      refuse(frame, .memoryExhausted, connection, model: call.modelIndex)
      return 1
    }
    let times: CallTimes
    do throws(Status) {
      times = try compute(frame, run: 1, call, plan, base, memory.baseAddress, connection, at: now)
    } catch {
      refuse(frame, error, connection, model: call.modelIndex)
      return 1
    }
    finishAnswers(index, 1, call, memory.baseAddress, times, connection.pointee.memory.answer, connection)
    return send(memory, lease, byteCount: call.layout.frameBytes, key, connection) ? 1 : nil
  }

  /// Labels depend on the result where there is a top-k, so the metadata is made after the arithmetic and the
  /// body is moved behind it. Half of the answers' buffer, which is free here, holds any such answer.
  mutating func classifyLabelled(
    _ index: Int, _ call: PreparedCall, _ plan: Plan, _ base: UnsafeRawPointer,
    _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) {
    let frame = pending[index]
    var call = call
    let body = labelled.baseAddress
    call.layout = FrameLayout(metadataBytes: 0, bodyBytes: call.form.bodyBytes)
    do throws(Status) {
      try checkLabels(call)
      let times = try compute(
        frame, run: 1, call, plan, base, body - call.layout.bodyOffset, connection, at: now)
      try appendLabelled(
        body, call, catalog, requestID: frame.header.requestID, times, isBatch: true,
        requestBytes: frame.layout.frameBytes, connection)
    } catch { refuse(frame, error, connection, model: call.modelIndex) }
  }

  /// With the longest metadata and all padding the frame is just below half of the buffer.
  private var labelledBodyRoom: Int { limits.answerBufferBytes / 4 - 128 }

  /// - Throws: RESOURCE_EXHAUSTED for more labels than an answer may hold.
  func checkLabels(_ call: PreparedCall) throws(Status) {
    let count = call.form.rows * call.form.classes
    guard count <= Self.labelCapacity, call.form.bodyBytes <= labelledBodyRoom else {
      throw Status(
        .resourceExhausted, "LABELS_TOO_MANY", "\(count) labels are too many for an answer; use top_k")
    }
  }

  /// Makes the answer around a body, with the labels of its classes.
  mutating func appendLabelled(
    _ body: UnsafeMutableRawPointer, _ call: PreparedCall, _ catalog: Catalog, requestID: UInt64,
    _ times: CallTimes, isBatch: Bool, requestBytes: Int, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    let count = call.form.rows * call.form.classes
    fillLabels(call, catalog, body)
    let prefix = UnsafeMutableRawBufferPointer(
      start: labelled.baseAddress + labelledBodyRoom, count: limits.metadataBytes - AnswerTail.encodedBytes)
    let digest = call.wantDigest ? catalog.models[call.modelIndex].digest : []
    guard
      let prefixBytes = encodeClassifyAnswer(
        call.form, labels: UnsafeMutableBufferPointer(rebasing: labels[..<count]), digest: digest,
        deprecated: catalog.models[call.modelIndex].standing.deprecated, into: prefix, arena: arena)
    else {
      throw Status(
        .resourceExhausted, "LABELS_TOO_MANY", "the labels do not fit into an answer; use top_k")
    }
    var call = call
    call.prefixBytes = prefixBytes
    call.layout = FrameLayout(
      metadataBytes: prefixBytes + AnswerTail.encodedBytes, bodyBytes: call.form.bodyBytes)
    let output = answers.baseAddress + answerBytes
    (output + call.layout.bodyOffset).copyMemory(from: body, byteCount: call.form.bodyBytes)
    beginAnswer(
      output, call, requestID: requestID, prefix: UnsafeRawPointer(prefix.baseAddress.unsafelyUnwrapped))
    let account = account(of: times)
    AnswerTail.write(load: load, account, to: output + FrameHeader.byteCount + prefixBytes)
    answerBytes += call.layout.frameBytes
    tell(
      call, catalog, account, calls: 1, isBatch: isBatch, requestBytes: requestBytes, connection.pointee
    ) { _ in requestID }
  }

  private func fillLabels(
    _ call: PreparedCall, _ catalog: Catalog, _ body: UnsafeMutableRawPointer
  ) {
    guard let names = catalog.models[call.modelIndex].loaded?.labelStrings else { return }
    let indices = (body + call.form.indicesOffset).assumingMemoryBound(to: UInt32.self)
    for position in 0..<(call.form.rows * call.form.classes) {
      labels[position] =
        names[call.form.hasIndices ? Int(indices[position]) : position % call.form.classes]
    }
  }
}
