import ApusBase
import ApusEngine
import ApusLog
import ApusWire

/// What is written around the probabilities of Classify, and answers that need memory or metadata of their
/// own.
extension Reactor {
  /// What answers tell of how busy the server is.
  var load: Float { 0 }

  /// Writes header, metadata and padding around the bodies, the load, and the account of where the time went.
  mutating func finishAnswers(
    _ index: Int, _ run: Int, _ call: PreparedCall, _ output: UnsafeMutableRawPointer, _ times: Times,
    _ prefix: UnsafeMutableRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) {
    let layout = call.layout
    let metadataEnd = FrameHeader.byteCount + layout.metadataBytes
    var header = FrameHeader(
      kind: .answer, method: Method.classify.rawValue, requestID: 0, metadataBytes: layout.metadataBytes,
      bodyBytes: layout.bodyBytes)
    for position in 0..<run {
      let frame = output + position * layout.frameBytes
      header.requestID = pending[index + position].header.requestID
      header.write(to: frame)
      (frame + FrameHeader.byteCount).copyMemory(
        from: prefix.baseAddress.unsafelyUnwrapped, byteCount: call.prefixBytes)
      zero(frame, metadataEnd, layout.bodyOffset)
      zero(frame, layout.bodyOffset + layout.bodyBytes, layout.frameBytes)
      zeroBetweenParts(frame + layout.bodyOffset, call.form)
    }
    var account = TimeAccount()
    let written = Instant.now
    clock = written
    account.receive = times.received.since(times.firstByte)
    account.queue = times.begun.since(times.received)
    account.compute = times.computed.since(times.begun)
    account.encode = written.since(times.computed)
    account.total = written.since(times.firstByte)
    account.batchRows = UInt32(times.rows)
    for position in 0..<run {
      let frame = output + position * layout.frameBytes
      AnswerTail.write(load: load, account, to: frame + FrameHeader.byteCount + call.prefixBytes)
    }
    recorder.batch(model: catalog.slots[call.modelIndex], calls: run, rows: times.rows, account)
    if account.total >= accessRing.threshold {
      logAnswers(index, run, call, account, written, connection.pointee)
    }
  }

  private func zeroBetweenParts(_ body: UnsafeMutableRawPointer, _ form: AnswerForm) {
    guard form.hasIndices || form.hasScores else { return }
    zero(body, form.probabilitiesBytes, form.indicesOffset)
    if form.hasIndices && form.hasScores {
      zero(body, form.indicesOffset + form.probabilitiesBytes, form.scoresOffset)
    }
  }

  /// An answer over the answers' buffer gets memory of its own.
  mutating func classifyLarge(
    _ index: Int, _ call: PreparedCall, _ plan: Plan, _ base: UnsafeRawPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) -> Int? {
    let frame = pending[index]
    guard let memory = MappedBuffer(byteCount: call.layout.frameBytes) else {
      refuse(
        frame, Status(.resourceExhausted, "MEMORY_EXHAUSTED", "there is no memory for the answer"),
        connection, model: call.modelIndex)
      return 1
    }
    let times: Times
    do throws(Status) {
      times = try compute(frame, run: 1, call, plan, base, memory.baseAddress, connection, at: now)
    } catch {
      refuse(frame, error, connection, model: call.modelIndex)
      return 1
    }
    finishAnswers(index, 1, call, memory.baseAddress, times, connection.pointee.memory.answer, connection)
    return send(memory, byteCount: call.layout.frameBytes, key, connection) ? 1 : nil
  }

  /// Labels depend on the result where there is a top-k, so the metadata is made after the arithmetic and the
  /// body is moved behind it. Half of the answers' buffer, which is free here, holds any such answer.
  mutating func classifyLabelled(
    _ index: Int, _ call: PreparedCall, _ plan: Plan, _ base: UnsafeRawPointer,
    _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) {
    let frame = pending[index]
    let count = call.form.rows * call.form.classes
    // With the longest metadata and all padding the frame is just below half of the buffer.
    let bodyRoom = limits.answerBufferBytes / 4 - 128
    guard count <= Self.labelCapacity, call.form.bodyBytes <= bodyRoom else {
      return refuse(
        frame,
        Status(
          .resourceExhausted, "LABELS_TOO_MANY", "\(count) labels are too many for an answer; use top_k"),
        connection, model: call.modelIndex)
    }
    var call = call
    let body = labelled.baseAddress
    call.layout = FrameLayout(metadataBytes: 0, bodyBytes: call.form.bodyBytes)
    let times: Times
    do throws(Status) {
      times = try compute(
        frame, run: 1, call, plan, base, body - call.layout.bodyOffset, connection, at: now)
    } catch { return refuse(frame, error, connection, model: call.modelIndex) }
    fillLabels(call, body)
    let prefix = UnsafeMutableRawBufferPointer(
      start: body + bodyRoom, count: limits.metadataBytes - AnswerTail.encodedBytes)
    let digest = call.wantDigest ? catalog.models[call.modelIndex].digest : []
    guard
      let prefixBytes = encodeClassifyAnswer(
        call.form, labels: UnsafeMutableBufferPointer(rebasing: labels[..<count]), digest: digest,
        deprecated: catalog.models[call.modelIndex].standing.deprecated, into: prefix, arena: arena)
    else {
      return refuse(
        frame,
        Status(.resourceExhausted, "LABELS_TOO_MANY", "the labels do not fit into an answer; use top_k"),
        connection, model: call.modelIndex)
    }
    call.prefixBytes = prefixBytes
    call.layout = FrameLayout(
      metadataBytes: prefixBytes + AnswerTail.encodedBytes, bodyBytes: call.form.bodyBytes)
    let output = answers.baseAddress + answerBytes
    (output + call.layout.bodyOffset).copyMemory(from: body, byteCount: call.form.bodyBytes)
    finishAnswers(index, 1, call, output, times, prefix, connection)
    answerBytes += call.layout.frameBytes
  }

  private func fillLabels(_ call: PreparedCall, _ body: UnsafeMutableRawPointer) {
    guard let names = catalog.models[call.modelIndex].loaded?.labelStrings else { return }
    let indices = (body + call.form.indicesOffset).assumingMemoryBound(to: UInt32.self)
    for position in 0..<(call.form.rows * call.form.classes) {
      labels[position] =
        names[call.form.hasIndices ? Int(indices[position]) : position % call.form.classes]
    }
  }
}
