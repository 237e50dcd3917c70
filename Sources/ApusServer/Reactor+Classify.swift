import ApusAccess
import ApusBase
import ApusEngine
import ApusLane
import ApusWire

/// Classify: a run of equal requests is one matrix as it lies in the receive ring, read there by BLAS, and
/// the last layer writes into the answers.
extension Reactor {
  /// Answers the request at `index` and those right behind it that are equal but for ids and numbers.
  ///
  /// - Returns: how many requests are answered; nil when the connection was closed.
  mutating func classify(
    from index: Int, of count: Int, _ base: UnsafeRawPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) -> Int? {
    let first = pending[index]
    var known: Int?
    do throws(Status) {
      try prepare(first, base, connection)
      known = connection.pointee.prepared.modelIndex
      try takeCall(rows: connection.pointee.prepared.rows, connection, at: now)
    } catch {
      if let known { recorder.refused(model: catalog.slots[known], error.code) }
      deny(first, error, connection)
      return 1
    }
    let call = connection.pointee.prepared
    guard let loaded = catalog.models[call.modelIndex].loaded else { return 1 }
    let model = loaded.plan
    if call.timeoutNanoseconds > 0,
      clock.since(min(connection.pointee.oldest, now)) >= call.timeoutNanoseconds
    {
      refuse(first, .deadlinePassed, connection, model: call.modelIndex)
      return 1
    }
    var way = way(of: call, loaded)
    // Its numbers do not lie behind its metadata.
    if way == .atOnce, connection.pointee.reception != nil { way = .together }
    if way != .atOnce {
      do throws(Status) {
        if call.wantLabels { try checkLabels(call) }
        try wait(first, way, base, key, connection, at: now)
      } catch { refuse(first, error, connection, model: call.modelIndex) }
      return 1
    }
    if call.wantLabels {
      turnNanoseconds += loaded.cost.nanoseconds(rows: call.rows)
      classifyLabelled(index, call, model, base, connection, at: now)
      return 1
    }
    let room = limits.answerBufferBytes - answerBytes
    if call.layout.frameBytes > room {
      if answerBytes > 0 {
        guard flush(key, connection) else { return nil }
        if connection.pointee.backlog != nil { return 0 }
      }
      if call.layout.frameBytes > limits.answerBufferBytes {
        return classifyLarge(index, call, model, base, key, connection, at: now)
      }
    }
    let most = min(
      call.rows == 1 && !call.holdsTexts && call.region == 0
        ? min(call.batch.mostRows, fittingRun(loaded)) : 1,
      (limits.answerBufferBytes - answerBytes) / call.layout.frameBytes)
    let equal = runLength(from: index, of: count, base, most: most)
    let run = admit(run: equal, rowsPerCall: call.rows, connection, at: now)
    recorder.add(.requests, UInt64(run - 1))
    turnNanoseconds += loaded.cost.nanoseconds(rows: run * call.rows)
    let output = answers.baseAddress + answerBytes
    do throws(Status) {
      let times = try compute(first, run: run, call, model, base, output, connection, at: now)
      finishAnswers(index, run, call, output, times, connection.pointee.memory.answer, connection)
      answerBytes += run * call.layout.frameBytes
    } catch {
      answerEach(from: index, run, error, call, model, base, connection, at: now)
    }
    return run
  }

  /// Answers a run that holds a request with numbers that the model does not allow: that one is refused, the
  /// others are computed each by itself.
  private mutating func answerEach(
    from index: Int, _ run: Int, _ failure: Status, _ call: PreparedCall, _ plan: Plan,
    _ base: UnsafeRawPointer, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) {
    guard run > 1 else { return refuse(pending[index], failure, connection, model: call.modelIndex) }
    for place in index..<index + run {
      let output = answers.baseAddress + answerBytes
      do throws(Status) {
        let times = try compute(pending[place], run: 1, call, plan, base, output, connection, at: now)
        finishAnswers(place, 1, call, output, times, connection.pointee.memory.answer, connection)
        answerBytes += call.layout.frameBytes
      } catch { refuse(pending[place], error, connection, model: call.modelIndex) }
    }
  }

  /// Requests from `index` on that lie right behind each other with the same metadata and body length.
  private func runLength(from index: Int, of count: Int, _ base: UnsafeRawPointer, most: Int) -> Int {
    let first = pending[index]
    let metadata = base + first.offset + FrameHeader.byteCount
    var run = 1
    while run < most, index + run < count {
      let next = pending[index + run]
      guard next.layout == first.layout, next.header.kind == first.header.kind,
        next.header.method == first.header.method, !next.cancelled,
        equal(metadata, base + next.offset + FrameHeader.byteCount, first.layout.metadataBytes)
      else { break }
      run += 1
    }
    return run
  }

  // MARK: Metadata

  /// Decodes the request's metadata into `connection.prepared`, unless it is the last one's byte for byte.
  private mutating func prepare(
    _ frame: Pending, _ base: UnsafeRawPointer, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    let metadata = UnsafeRawBufferPointer(
      start: base + frame.offset + FrameHeader.byteCount, count: frame.layout.metadataBytes)
    if isPrepared(metadata.baseAddress.unsafelyUnwrapped, frame.layout, connection) {
      named = NamedCall(connection.pointee.prepared, catalog)
      return
    }
    connection.pointee.memory.requestBytes = -1
    let request = try ClassifyRequest(
      decoding: metadata, bodyBytes: frame.layout.bodyBytes, arena: arena
    ) { connection.pointee.regions[$0]?.bytes.count ?? 0 }
    try checkRegion(of: request.input, frame, connection)
    try require(.classify, model: request.model.name, of: connection)
    named.trace = request.trace
    let choice = try catalog.find(request.model, draw: nextDraw())
    let index = choice.index
    named.setModel(index, catalog)
    do throws(Status) {
      connection.pointee.prepared = try prepared(request, choice)
      if connection.pointee.prepared.holdsTexts {
        try takeTexts(request.input, base + frame.offset + frame.layout.bodyOffset)
      }
    } catch {
      recorder.refused(model: catalog.slots[index], error.code)
      throw error
    }
    guard !request.wantLabels else { return }
    let digest = request.wantDigest ? catalog.models[index].digest : []
    let none = UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>(start: nil, count: 0)
    guard
      let prefix = encodeClassifyAnswer(
        connection.pointee.prepared.form, labels: none, digest: digest,
        deprecated: catalog.models[index].standing.deprecated, into: connection.pointee.memory.answer,
        arena: arena)
    else { throw Status(.internal, "ANSWER_TOO_LARGE", "the answer's metadata is over its limit") }
    connection.pointee.prepared.prefixBytes = prefix
    connection.pointee.prepared.layout = FrameLayout(
      metadataBytes: prefix + AnswerTail.encodedBytes, bodyBytes: connection.pointee.prepared.form.bodyBytes)
    if choice.isFixed, !connection.pointee.prepared.holdsTexts { remember(metadata, frame, connection) }
  }

  /// Whether a request's metadata is the last one's, so that nothing of it needs decoding.
  @inline(__always)
  func isPrepared(
    _ metadata: UnsafeRawPointer, _ layout: FrameLayout, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    connection.pointee.memory.requestBytes == layout.metadataBytes
      && connection.pointee.memory.bodyBytes == layout.bodyBytes
      && connection.pointee.memory.generation == catalog.generation
      && equal(connection.pointee.memory.request, metadata, layout.metadataBytes)
  }

  private func remember(
    _ metadata: UnsafeRawBufferPointer, _ frame: Pending, _ connection: UnsafeMutablePointer<Connection>
  ) {
    guard metadata.count <= PreparedMemory.requestCapacity, let source = metadata.baseAddress else { return }
    connection.pointee.memory.request.copyMemory(from: source, byteCount: metadata.count)
    connection.pointee.memory.requestBytes = metadata.count
    connection.pointee.memory.bodyBytes = frame.layout.bodyBytes
    connection.pointee.memory.generation = catalog.generation
  }

  /// Holds the request against the model.
  private func prepared(
    _ request: ClassifyRequest, _ choice: Catalog.Choice
  ) throws(Status) -> PreparedCall {
    let model = catalog.models[choice.index]
    guard let loaded = model.loaded else { throw .modelNotReady }
    let plan = loaded.plan
    let input = request.input
    let rows = try catalog.rows(of: input, for: choice.index)
    try model.check(rows: rows, limits)
    let classes = request.topK == 0 ? plan.outputs : min(request.topK, plan.outputs)
    var call = PreparedCall()
    call.modelIndex = choice.index
    call.rows = rows
    call.topK = request.topK == 0 ? 0 : classes
    call.timeoutNanoseconds = request.timeoutNanoseconds
    call.batch = model.batchTerms(loaded, limits)
    call.priority = request.priority
    call.shadowIndex = choice.shadow
    call.samplesDrift = model.loaded?.drift != nil && call.shadowIndex.map { $0 == choice.index } ?? true
    call.wantLabels = request.wantLabels
    call.wantDigest = request.wantDigest
    call.trace = request.trace
    call.inputOffset = input.offset
    call.region = input.region
    call.holdsTexts = input.dtype == .utf8
    call.form = AnswerForm(
      rows: rows, classes: classes, allClasses: plan.outputs, hasIndices: request.topK > 0,
      hasScores: request.wantScores, version: model.version)
    guard call.form.bodyBytes <= limits.bodyBytes else {
      throw .answerTooLarge
    }
    return call
  }

  // MARK: Arithmetic

  /// Fills the bodies of `run` answers, a frame apart from `output` on.
  mutating func compute(
    _ first: Pending, run: Int, _ call: PreparedCall, _ plan: Plan, _ base: UnsafeRawPointer,
    _ output: UnsafeMutableRawPointer, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) throws(Status) -> CallTimes {
    var copy: MappedBuffer?
    let input = try input(of: call, first, base, plan, connection, copy: &copy)
    let isFramed = call.rows == 1 && call.region == 0
    let inputStride = isFramed ? first.layout.frameBytes / plan.inputElement.byteCount : plan.inputs
    let rows = call.rows * run
    let begun = clock
    let bodies = output + call.layout.bodyOffset
    if call.holdsTexts {
      try computeTexts(input, call, plan, bodies)
    } else {
      try computeRows(input, inputStride, rows, from: 0, call, plan, bodies)
    }
    if call.samplesDrift, begun >= buffers.nextDriftSample {
      let row = call.holdsTexts ? UnsafeRawPointer(buffers.texts.floats) : input
      sampleDrift(row, call.modelIndex, at: begun)
    }
    return CallTimes(
      firstByte: min(connection.pointee.oldest, now), received: now, begun: begun, computed: .now, rows: rows)
  }

  /// Fills what the answers say of `rows` inputs, the call's `firstRow` and those behind it.
  ///
  /// - Throws: INVALID_ARGUMENT for numbers that the model does not allow.
  func computeRows(
    _ input: UnsafeRawPointer, _ inputStride: Int, _ rows: Int, from firstRow: Int, _ call: PreparedCall,
    _ plan: Plan, _ bodies: UnsafeMutableRawPointer
  ) throws(Status) {
    if let shadow = call.shadowIndex { mirror(input, inputStride, rows, call.modelIndex, to: shadow) }
    let places = AnswerPlaces(
      form: call.form, bodies: bodies, stride: call.rows == 1 ? call.layout.frameBytes : 0)
    do throws(GraphError) {
      try buffers.answerRows(input, stride: inputStride, rows: rows, from: firstRow, plan, places)
    } catch { throw .inputRefused(error.description) }
  }

  /// The rows of a call for the version that it is mirrored to.
  private func mirror(
    _ input: UnsafeRawPointer, _ stride: Int, _ rows: Int, _ model: Int, to shadow: Int
  ) {
    guard shadow != model, let answering = catalog.models[model].loaded else { return }
    fleet.administration?.observer.observe(
      answering, shadow: catalog.models[shadow].loaded, input, stride: stride, rows: rows)
  }
}

extension Status {
  /// Numbers that the model does not allow.
  static func inputRefused(_ reason: String) -> Status { Status(.invalidArgument, "INPUT_REFUSED", reason) }
}
