import ApusBase
import ApusIO
import ApusLane
import ApusStream
import ApusWire

/// The life of a connection: reading, sending, closing.
extension Reactor {
  /// Goes on with a connection on which something happened.
  mutating func advance(_ key: SlotKey, _ readiness: Readiness, at now: Instant) {
    guard let connection = connections.pointer(to: key) else { return }
    // A lane's bell may tell of room.
    let isUnsent = connection.pointee.backlog != nil && connection.pointee.stream.isLane
    if readiness.contains(.writable) || isUnsent {
      guard sendBacklog(key, connection) else { return }
      // What waited in the ring while the peer did not read.
      if connection.pointee.phase == .open { processReceived(key, connection, at: now) }
      guard connections.pointer(to: key) != nil else { return }
      if connection.pointee.stream.hasBuffered { unread.append(key) }
    }
    guard readiness.contains(.readable) || readiness.hasFailed else { return }
    switch connection.pointee.phase {
    case .open where connection.pointee.backlog == nil && !connection.pointee.isFull:
      read(key, connection, at: now)
    case .open, .finishing: if readiness.hasFailed { close(key) }
    case .lingering: discard(key, connection)
    }
  }

  /// One receive on the busy connection; true when something came.
  mutating func pollDirectly(_ key: SlotKey) -> Bool {
    guard let connection = connections.pointer(to: key), connection.pointee.isReading else {
      hot = nil
      return false
    }
    let before = connection.pointee.receivedBytes
    read(key, connection, at: nil)
    guard let after = connections.pointer(to: key) else {
      hot = nil
      return true
    }
    return after.pointee.receivedBytes != before
  }

  /// Receives until the socket is empty, four times at most, so that a busy peer does not starve others.
  private mutating func read(
    _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>, at time: Instant?
  ) {
    for _ in 0..<4 {
      let space = receiveSpace(connection)
      if connection.pointee.stream.isLane {
        keepAwake(key, connection)
      } else {
        recorder.add(.systemCalls)
      }
      let transfer = connection.pointee.stream.receive(into: space)
      if connection.pointee.regions.awaited != nil, !takeRegion(key, connection) { return }
      switch transfer {
      case .bytes(let count):
        recorder.add(.receivedBytes, connection.pointee.transport, UInt64(count))
        connection.pointee.receivedBytes &+= UInt64(count)
        let now = time ?? Instant.now
        clock = max(clock, now)
        if connection.pointee.oldest == .never { connection.pointee.oldest = now }
        take(count, key, connection, at: now)
        guard let still = connections.pointer(to: key), still.pointee.isReading,
          count == space.count || still.pointee.stream.hasBuffered
        else { return }
      case .wouldBlock:
        recorder.add(.polls)
        return
      case .end:
        // Told twice: the peer has closed and reads nothing.
        guard !connection.pointee.peerEnded else { return close(key) }
        connection.pointee.peerEnded = true
        connection.pointee.reception = nil
        guard cancelWatches(key, connection) else { return }
        return connection.pointee.awaitsAnswers
          ? waitForAnswers(key, connection) : finish(key, connection)
      case .failed:
        return close(key)
      }
    }
    if connection.pointee.stream.hasBuffered { unread.append(key) }
  }

  /// Bytes of a large body that are received at a time: others wait meanwhile.
  private static let mostReceived = 32 << 10

  /// Where the next bytes go: the rest of a large frame, the rows of a body, or the ring.
  private func receiveSpace(_ connection: UnsafeMutablePointer<Connection>) -> UnsafeMutableRawBufferPointer {
    if let memory = connection.pointee.largeRest ?? connection.pointee.rowRest {
      return UnsafeMutableRawBufferPointer(rebasing: memory.prefix(Self.mostReceived))
    }
    let space = connection.pointee.ring.writable
    let expectsBeginning = connection.pointee.expectsLarge && connection.pointee.ring.count == 0
    return expectsBeginning ? UnsafeMutableRawBufferPointer(rebasing: space.prefix(4096)) : space
  }

  private mutating func take(
    _ count: Int, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) {
    if connection.pointee.large != nil {
      connection.pointee.large?.received += count
      if connection.pointee.largeRest?.isEmpty == true { processLarge(key, connection, at: now) }
    } else if connection.pointee.rowRest != nil {
      connection.pointee.reception?.received(count)
      if connection.pointee.rowRest == nil { processReceived(key, connection, at: now) }
    } else {
      connection.pointee.ring.received(count)
      processReceived(key, connection, at: now)
    }
  }

  /// Answers all whole frames in the ring and sends the answers.
  mutating func processReceived(
    _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) {
    if connection.pointee.wholeLarge != nil, !processWholeLarge(key, connection, at: now) { return }
    while connection.pointee.phase == .open, connection.pointee.backlog == nil, !connection.pointee.isFull {
      let bytes = UnsafeRawBufferPointer(connection.pointee.ring.readable)
      let (consumed, ending) = process(bytes, key, connection, at: now)
      if case .closed = ending { return }
      connection.pointee.ring.consume(consumed)
      // What is left began to come with the last receive, so that its time-out and deadline count from now.
      if consumed > 0 {
        if connection.pointee.oldest != .never { connection.pointee.oldest = now }
        connection.pointee.reception = nil
      }
      guard settle(ending, key, connection, at: now), consumed > 0, connection.pointee.ring.count > 0 else {
        return
      }
    }
  }

  private mutating func processLarge(
    _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) {
    guard let frame = connection.pointee.large.take() else { return }
    connection.pointee.expectsLarge = true
    connection.pointee.wholeLarge = frame.keep()
    processReceived(key, connection, at: now)
  }

  /// - Returns: false when the frame must wait, or the connection is no longer open.
  private mutating func processWholeLarge(
    _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) -> Bool {
    guard connection.pointee.phase == .open, connection.pointee.backlog == nil, !connection.pointee.isFull,
      let slab = connection.pointee.wholeLarge
    else { return false }
    // Calls of it that wait keep it.
    slabAtHand = slab
    let bytes = UnsafeRawBufferPointer(start: slab.baseAddress, count: slab.byteCount)
    let (_, ending) = process(bytes, key, connection, at: now)
    slabAtHand = nil
    switch ending {
    case .closed, .blocked: return false
    case .whole, .partial, .broken: dropWholeLarge(connection)
    }
    return settle(ending, key, connection, at: now)
  }

  private func dropWholeLarge(_ connection: UnsafeMutablePointer<Connection>) {
    guard let slab = connection.pointee.wholeLarge.take() else { return }
    recorder.subtract(.largeFrameBytes, UInt64(slab.byteCount))
  }

  /// Sends what was made and acts on how the frames ended; false when the connection is no longer open.
  private mutating func settle(
    _ ending: Ending, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) -> Bool {
    if case .closed = ending { return false }
    guard flush(key, connection) else { return false }
    switch ending {
    case .whole:
      connection.pointee.oldest = connection.pointee.ring.count > 0 ? now : .never
      updateDeadline(connection, at: now, partial: false)
    case .partial(let frameBytes):
      updateDeadline(connection, at: now, partial: true)
      // A peer that does not take its answers has no large frame read, either.
      if connection.pointee.backlog != nil { return true }
      if frameBytes > limits.receiveRingBytes / 2 { return beginLarge(frameBytes, key, connection) }
      connection.pointee.expectsLarge = false
      beginRows(frameBytes, connection)
    case .blocked, .closed:
      break
    case .broken:
      finish(key, connection)
      return false
    }
    return true
  }

  /// The time-out runs inside a frame, never between frames; for a caller that has not said who it is, it
  /// always does.
  private mutating func updateDeadline(
    _ connection: UnsafeMutablePointer<Connection>, at now: Instant, partial: Bool
  ) {
    if connection.pointee.backlog != nil { return }
    if partial || connection.pointee.isInFrame {
      let oldest = min(connection.pointee.oldest, now)
      let end = oldest.advanced(by: limits.frameTimeoutNanoseconds)
      setDeadline(connection, min(end, connection.pointee.nameBefore))
    } else if connection.pointee.goawaySent {
      setDeadline(connection, now.advanced(by: Self.quietNanoseconds))
    } else {
      setDeadline(connection, connection.pointee.nameBefore)
    }
  }

  /// Moves the beginning of a large frame, which the ring has received, to memory that holds all of it. The
  /// next frame's beginning is read alone, so that only the first of a run of large frames is moved by more
  /// than 4 KiB.
  private mutating func beginLarge(
    _ frameBytes: Int, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    if let status = refusesBody(frameBytes: frameBytes, connection) {
      return refuseLarge(status, key, connection)
    }
    guard let lease = MemoryLease(frameBytes, of: fleet.memory, for: connection.pointee.account),
      var frame = LargeFrame(lease)
    else { return refuseLarge(.memoryExhausted, key, connection) }
    recorder.add(.largeFrameBytes, UInt64(frameBytes))
    let begun = connection.pointee.ring.readable
    frame.memory.baseAddress.copyMemory(from: begun.baseAddress.unsafelyUnwrapped, byteCount: begun.count)
    recorder.add(.tensorCopies)
    recorder.add(.tensorCopiedBytes, UInt64(begun.count))
    frame.received = begun.count
    connection.pointee.ring.consume(begun.count)
    connection.pointee.large = consume frame
    return true
  }

  /// Nobody can answer a frame of which most has not been read: the connection ends with it.
  private mutating func refuseLarge(
    _ status: Status, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    let header = FrameHeader(reading: connection.pointee.ring.readable.baseAddress.unsafelyUnwrapped)
    note(status, method: header.method, connection)
    named = NamedCall()
    appendStatus(status, method: header.method, requestID: header.requestID, connection)
    if flush(key, connection) { finish(key, connection) }
    return false
  }

  // MARK: Ending

  /// Ends a connection once all that it is owed has been sent: shut the sending side, then wait for the
  /// peer's end.
  mutating func finish(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    connection.pointee.phase = .finishing
    connection.pointee.reception = nil
    guard connection.pointee.backlog == nil else { return }
    connection.pointee.stream.shutdownWriting()
    if connection.pointee.peerEnded { return close(key) }
    connection.pointee.phase = .lingering
    setDeadline(connection, Instant.now.advanced(by: limits.lingerNanoseconds))
  }

  private mutating func discard(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    // No answer is being made now, so the answers' buffer takes what is thrown away.
    let space = UnsafeMutableRawBufferPointer(
      start: answers.baseAddress, count: limits.answerBufferBytes)
    switch connection.pointee.stream.descriptor.receive(into: space) {
    case .bytes, .wouldBlock: return
    case .end, .failed: close(key)
    }
  }

  /// A time-out has passed.
  mutating func expire(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    switch connection.pointee.phase {
    case .open where connection.pointee.backlog == nil && connection.pointee.goawaySent:
      // Answered later, within the drain's time.
      guard !connection.pointee.awaitsAnswers else { return setDeadline(connection, .never) }
      finish(key, connection)
    case .open where connection.pointee.backlog == nil && connection.pointee.nameBefore <= Instant.now:
      refuseStranger(key, connection)
    case .open where connection.pointee.backlog == nil && connection.pointee.awaitsAnswers:
      // What came before is owed first.
      setDeadline(connection, Instant.now.advanced(by: Self.sweepNanoseconds))
    case .open where connection.pointee.backlog == nil:
      recorder.add(.protocolErrors)
      appendStatus(
        Status(.deadlineExceeded, "FRAME_TIMEOUT", "a frame was begun and not ended in time"), method: 0,
        requestID: 0, connection)
      if flush(key, connection) { finish(key, connection) }
    default:
      close(key)
    }
  }

  /// Says goaway, once; a peer that does not take its answers is told when it has.
  mutating func sayGoaway(_ key: SlotKey) {
    guard let connection = connections.pointer(to: key), connection.pointee.phase == .open,
      connection.pointee.backlog == nil
    else { return }
    endWatches(connection)
    if !connection.pointee.goawaySent { appendGoaway() }
    connection.pointee.goawaySent = true
    // A frame that is half received keeps its own time-out: its call is still answered.
    if flush(key, connection), connection.pointee.backlog == nil, !connection.pointee.isInFrame {
      setDeadline(connection, Instant.now.advanced(by: Self.quietNanoseconds))
    }
  }

  mutating func close(_ key: SlotKey) {
    guard let connection = connections.pointer(to: key) else { return }
    setDeadline(connection, .never)
    if let bytes = connection.pointee.large?.byteCount {
      recorder.subtract(.largeFrameBytes, UInt64(bytes))
    }
    dropWholeLarge(connection)
    dropBacklog(connection)
    dropJobs(of: connection)
    recorder.subtract(.connectionsOpen)
    recorder.add(.open, connection.pointee.transport, .max)
    connections.remove(key)
    answerBytes = 0
  }
}

/// How the frames in a receive buffer ended.
enum Ending {
  case whole
  /// The last one is not whole; it takes so many bytes in all.
  case partial(frameBytes: Int)
  /// The peer does not take its answers; the rest waits.
  case blocked
  /// The bytes are no frames; a status has been made.
  case broken
  /// The connection was found broken and closed.
  case closed
}

extension Connection {
  /// Whether a frame has begun to come and is not whole.
  var isInFrame: Bool {
    switch large {
    case .some: true
    case .none: ring.count > 0
    }
  }

  /// Where the rest of a large frame goes; nil when there is none under way.
  var largeRest: UnsafeMutableRawBufferPointer? {
    switch large {
    case .some(let frame): frame.rest
    case .none: nil
    }
  }
}
