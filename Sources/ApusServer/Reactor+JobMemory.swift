import ApusBase
import ApusEngine
import ApusFeatures
import ApusLane
import ApusWire

/// Where the input of a call that waits lies, and where its answer is made.
extension Reactor {
  /// Takes the input out of the frame and begins the answer.
  mutating func fill(
    _ job: Job, _ frame: Pending, _ call: PreparedCall, _ model: LoadedModel, _ terms: Job.Terms,
    _ base: UnsafeRawPointer, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    job.request.call = call
    job.request.catalog = catalog
    if call.wantLabels {
      job.request.call.layout = FrameLayout(metadataBytes: 0, bodyBytes: call.form.bodyBytes)
    }
    let layout = job.request.call.layout
    let (output, outputOwner, piece) = try memory(layout.frameBytes, connection)
    job.request.frame = output
    job.request.answerPiece = piece
    if !call.wantLabels {
      beginAnswer(
        output, call, requestID: frame.header.requestID,
        prefix: connection.pointee.memory.answer.baseAddress.unsafelyUnwrapped)
    }
    let (input, inputOwner) = try inputMemory(for: job, frame, call, model.plan, base, connection)
    var texts: (UnsafePointer<UInt32>, HashingFeatures)?
    if call.holdsTexts, let features = catalog.models[call.modelIndex].features {
      texts = (UnsafePointer(input.assumingMemoryBound(to: UInt32.self)), features)
    }
    let shadow = call.shadowIndex.flatMap { $0 == call.modelIndex ? nil : catalog.models[$0].loaded }
    job.question = Job.Question(
      model: model, rows: call.rows, form: call.form,
      input: call.holdsTexts ? input + roundedUpTo64(4 * call.rows) : input, inputOwner: inputOwner,
      texts: texts, body: output + layout.bodyOffset, bodyOwner: outputOwner, shadow: shadow,
      samplesDrift: call.samplesDrift, terms: terms)
  }

  /// Where the input of a call that waits lies: in the region or the large frame that it came in, or copied
  /// out of the receive ring behind the rows that came before it.
  private mutating func inputMemory(
    for job: Job, _ frame: Pending, _ call: PreparedCall, _ plan: Plan, _ base: UnsafeRawPointer,
    _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (UnsafeRawPointer, AnyObject) {
    let body = base + frame.offset + frame.layout.bodyOffset + call.inputOffset
    if call.holdsTexts { return try copyTexts(body, call, for: job, connection) }
    var source = body
    if call.region > 0 {
      let (start, region) = try inputInRegion(call, connection)
      source = start
      if plan.inputMayChange { return (start, region) }
    } else if let slab = slabAtHand {
      return (body, slab)
    }
    let byteCount = call.rows * plan.inputs * plan.inputElement.byteCount
    if let kept = keepRows(byteCount, for: job, call, connection) { return kept }
    recorder.add(.tensorCopies)
    recorder.add(.tensorCopiedBytes, UInt64(byteCount))
    let (memory, owner) = try rows(byteCount, for: job, call, plan, connection)
    // A body that has rows of another shape may just have moved to make room.
    memory.copyMemory(from: connection.pointee.receivedBody ?? source, byteCount: byteCount)
    return (UnsafeRawPointer(memory), owner)
  }

  /// Memory for a call's rows: behind those that came before it, where there is room.
  private mutating func rows(
    _ byteCount: Int, for job: Job, _ call: PreparedCall, _ plan: Plan,
    _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (UnsafeMutableRawPointer, AnyObject) {
    guard let ring = rowRing(for: call.modelIndex, plan), let place = takeRows(call.rows, of: ring) else {
      return try inputMemory(byteCount, for: job, connection)
    }
    job.request.ring = ring
    return (ring.address(of: place), ring)
  }

  private func inputMemory(
    _ byteCount: Int, for job: Job, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (UnsafeMutableRawPointer, AnyObject) {
    let (start, owner, piece) = try memory(byteCount, connection)
    job.request.inputPiece = piece
    return (start, owner)
  }

  /// Where the texts end, and behind that the texts.
  private func copyTexts(
    _ body: UnsafeRawPointer, _ call: PreparedCall, for job: Job,
    _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (UnsafeRawPointer, AnyObject) {
    let endsBytes = 4 * call.rows
    let textBytes = Int(buffers.texts.ends[call.rows - 1])
    let (memory, owner) = try inputMemory(roundedUpTo64(endsBytes) + textBytes, for: job, connection)
    memory.copyMemory(from: buffers.texts.ends, byteCount: endsBytes)
    (memory + roundedUpTo64(endsBytes)).copyMemory(from: body, byteCount: textBytes)
    return (UnsafeRawPointer(memory), owner)
  }

  /// A piece, or memory that counts as what the connection holds.
  private func memory(
    _ byteCount: Int, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (UnsafeMutableRawPointer, AnyObject, Piece?) {
    if let piece = pieceMemory.take(byteCount) { return (piece.start, piece.owner, piece) }
    guard let lease = MemoryLease(byteCount, of: fleet.memory, for: connection.pointee.account),
      let memory = MappedBuffer(byteCount: byteCount)
    else { throw .memoryExhausted }
    let slab = Slab(memory, lease)
    return (slab.baseAddress, slab, nil)
  }

  mutating func rowRing(for model: Int, _ plan: Plan) -> RowRing? {
    let rowBytes = plan.inputs * plan.inputElement.byteCount
    if let ring = rowRings[model] { return ring }
    let ring = RowRing(rowBytes: rowBytes)
    rowRings[model] = ring
    return ring
  }
}
