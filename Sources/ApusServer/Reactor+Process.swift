import ApusBase
import ApusStream
import ApusWire

/// From received bytes to answered requests.
extension Reactor {
  /// Finds the whole frames in `bytes`, applies cancels to requests that have not been begun, and answers in
  /// order.
  ///
  /// - Returns: how many bytes are done with, and how the frames ended.
  mutating func process(
    _ bytes: UnsafeRawBufferPointer, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>,
    at now: Instant
  ) -> (consumed: Int, ending: Ending) {
    takeCatalog()
    let (count, end, ending) =
      connection.pointee.reception == nil
      ? findFrames(bytes, connection.pointee.stream.isLane ? laneDecoder : decoder)
      : findReceived(bytes, connection)
    recorder.set(.inFlight, UInt64(count + jobsInUse))
    heldCalls = 0
    let admitted = enter(count, connection, at: now)
    let standing = connection.pointee.standing
    defer {
      // A job leaves when it ends.
      leave(admitted - heldCalls, standing)
      recorder.set(.inFlight, UInt64(jobsInUse))
    }
    var broken: (error: FrameError?, requestID: UInt64)?
    if case .failure(let error, let requestID) = ending { broken = (error, requestID) }
    if let reused = connection.pointee.reusedID ?? reusedRequestID(count)
      ?? watchedRequestID(count, connection)
    {
      // Once what came before is answered, the id may be free again.
      connection.pointee.reusedID = reused
      broken = (nil, reused)
    } else {
      guard let answered = answerFrames(count, bytes, key, connection, at: now) else { return (0, .closed) }
      if answered < count { return (pending[answered].offset, .blocked) }
    }
    if let broken {
      // What came before is owed first; then the frames are looked at again.
      if connection.pointee.backlog != nil { return (end, .blocked) }
      if !connection.pointee.jobs.isEmpty {
        stopReading(key, connection)
        return (end, .blocked)
      }
      recorder.add(.protocolErrors)
      let status =
        broken.error?.status
        ?? Status(.invalidArgument, "REQUEST_ID_REUSED", "request id \(broken.requestID) is still in use")
      appendStatus(status, method: 0, requestID: broken.requestID, connection)
      return (end, .broken)
    }
    if case .needMore(let frameBytes) = ending { return (end, .partial(frameBytes: frameBytes)) }
    return (end, .whole)
  }

  enum Search {
    case done
    case needMore(Int)
    case failure(FrameError, UInt64)
  }

  /// Lists the whole frames, `limits.callsInFlight` at most: the others wait.
  private mutating func findFrames(
    _ bytes: UnsafeRawBufferPointer, _ decoder: FrameDecoder
  ) -> (count: Int, end: Int, Search) {
    var count = 0
    var offset = 0
    while count < limits.callsInFlight, offset < bytes.count {
      switch decoder.next(UnsafeRawBufferPointer(rebasing: bytes[offset...])) {
      case .needMore(let frameBytes):
        return (count, offset, .needMore(frameBytes))
      case .broken(let error, let requestID):
        return (count, offset, .failure(error, requestID))
      case .frame(let frame):
        (pending + count).initialize(
          to: Pending(offset: offset, header: frame.header, layout: frame.layout, cancelled: false))
        if frame.header.kind == FrameKind.cancel.rawValue { cancel(frame.header.requestID, before: count) }
        count += 1
        offset += frame.layout.frameBytes
      }
    }
    return (count, offset, .done)
  }

  /// Marks a request that has not been begun; an unknown id is ignored.
  private func cancel(_ requestID: UInt64, before count: Int) {
    for index in 0..<count where pending[index].header.requestID == requestID {
      pending[index].cancelled = true
    }
  }

  /// A request id that stands twice among the requests at hand. Ids that rise, as our clients' do, cost one
  /// comparison.
  private func reusedRequestID(_ count: Int) -> UInt64? {
    var highest: UInt64 = 0
    for index in 0..<count where pending[index].header.kind == FrameKind.request.rawValue {
      let id = pending[index].header.requestID
      if id > highest {
        highest = id
      } else if id != 0 {
        for earlier in 0..<index
        where pending[earlier].header.requestID == id
          && pending[earlier].header.kind == FrameKind.request.rawValue
        {
          return id
        }
      }
    }
    return nil
  }

  /// - Returns: how many of the frames are answered, fewer than `count` when the peer does not take its
  ///   answers, or has said who it is: what it may do now holds for what follows; nil when the connection was
  ///   closed.
  private mutating func answerFrames(
    _ count: Int, _ bytes: UnsafeRawBufferPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>,
    at now: Instant
  ) -> Int? {
    guard let base = bytes.baseAddress else { return count }
    var index = 0
    while index < count {
      if connection.pointee.backlog != nil { return index }
      if connection.pointee.jobs.count >= limits.callsInFlight {
        stopReading(key, connection)
        return index
      }
      let frame = pending + index
      guard frame.pointee.header.kind == FrameKind.request.rawValue else {
        if frame.pointee.header.kind == FrameKind.cancel.rawValue {
          cancelWatch(frame.pointee.header.requestID, connection)
          guard cancelJob(frame.pointee.header.requestID, key, connection) else { return nil }
        }
        index += 1
        continue
      }
      recorder.add(.requests)
      named = NamedCall()
      let method = frame.pointee.header.method
      if frame.pointee.cancelled {
        refuse(frame.pointee, Self.cancelled, connection)
        index += 1
      } else if connection.pointee.goawaySent {
        refuse(
          frame.pointee,
          Status(
            .unavailable, "NOT_PROCESSED", "this server is shutting down; try another",
            retryAfterNanoseconds: 1), connection)
        index += 1
      } else if let status = refusal(of: frame.pointee, connection) {
        deny(frame.pointee, status, connection)
        index += 1
      } else if method == Method.classify.rawValue {
        guard let done = classify(from: index, of: count, base, key, connection, at: now) else { return nil }
        index += done
      } else {
        let standing = connection.pointee.standing
        guard let done = answer(frame.pointee, base, key, connection, at: now) else { return nil }
        clock = .now
        if done { index += 1 }
        if connection.pointee.standing !== standing { return index }
      }
      if answerBytes > limits.answerBufferBytes / 2, !flush(key, connection) { return nil }
    }
    return count
  }

  /// Makes the answer to a request that gets no result.
  mutating func refuse(
    _ frame: Pending, _ status: Status, _ connection: UnsafeMutablePointer<Connection>
  ) {
    appendStatus(
      status, method: frame.header.method, requestID: frame.header.requestID, connection,
      requestBytes: frame.layout.frameBytes)
  }

  /// The same where the model is known, whose count it is, too.
  mutating func refuse(
    _ frame: Pending, _ status: Status, _ connection: UnsafeMutablePointer<Connection>, model: Int
  ) {
    recorder.refused(model: catalog.slots[model], status.code)
    refuse(frame, status, connection)
  }

  mutating func appendStatus(
    _ status: Status, method: UInt16, requestID: UInt64, _ connection: UnsafeMutablePointer<Connection>,
    requestBytes: Int = 0
  ) {
    recorder.refused(status)
    logStatus(status, method: method, requestID, requestBytes, connection.pointee)
    appendFrame(.answer, method: method, requestID: requestID, flags: .status) { output, arena in
      status.encode(into: output, arena: arena)
    }
  }

  mutating func appendGoaway() {
    let grace = limits.drainNanoseconds
    appendFrame(.goaway, method: 0, requestID: 0, flags: []) { output, arena in
      GoAway(reason: "the server is shutting down", graceNanoseconds: grace).encode(
        into: output, arena: arena)
    }
  }

  /// Adds a frame without a body. Half of the answers' buffer is always free here, more than the longest
  /// metadata.
  mutating func appendFrame(
    _ kind: FrameKind, method: UInt16, requestID: UInt64, flags: FrameFlags,
    _ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int
  ) {
    let room = min(limits.answerBufferBytes - answerBytes - 2 * FrameHeader.byteCount, limits.metadataBytes)
    answerBytes += writeFrame(
      at: answers.baseAddress + answerBytes, room: room, kind, method: method, requestID: requestID,
      flags: flags, encode)
  }

  /// Writes a frame without a body and gives its length. Behind `room` bytes of metadata there is room for
  /// padding.
  func writeFrame(
    at start: UnsafeMutableRawPointer, room: Int, _ kind: FrameKind, method: UInt16, requestID: UInt64,
    flags: FrameFlags, _ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int
  ) -> Int {
    let metadataBytes = encode(
      UnsafeMutableRawBufferPointer(start: start + FrameHeader.byteCount, count: room), arena)
    let layout = FrameLayout(metadataBytes: metadataBytes, bodyBytes: 0)
    FrameHeader(kind: kind, method: method, requestID: requestID, metadataBytes: metadataBytes, flags: flags)
      .write(to: start)
    zero(start, FrameHeader.byteCount + metadataBytes, layout.frameBytes)
    return layout.frameBytes
  }

  /// Padding is zero.
  @inline(__always)
  func zero(_ start: UnsafeMutableRawPointer, _ from: Int, _ to: Int) {
    if to > from { (start + from).initializeMemory(as: UInt8.self, repeating: 0, count: to - from) }
  }
}
