import ApusAccess
import ApusBase
import ApusIO
import ApusStream
import ApusTLS

/// How a connection comes to the reactor that serves it.
extension Reactor {
  mutating func adopt(_ arrival: Arrival) {
    let descriptor = Descriptor(owning: arrival.descriptor)
    guard connections.count < connections.capacity,
      let ring = MirroredRing(capacity: limits.receiveRingBytes)
    else { return }
    let caller = fleet.access.isEnforced ? caller(descriptor, arrival.transport) : nil
    if case .tcp = arrival.transport { Address.setNoDelay(descriptor) }
    let stream = ByteStream(descriptor, session: arrival.takeSession())
    let kind = arrival.transport.kind
    let key = connections.insert(Connection(stream, over: kind, ring: ring, limits))
    slotsUsed = max(slotsUsed, key.index + 1)
    guard let connection = connections.pointer(to: key) else { return }
    connectionsAdopted += 1
    connection.pointee.serial = connectionsAdopted * UInt64(fleet.recorders.count) + UInt64(index)
    connection.pointee.caller = caller
    connection.pointee.standing = caller.flatMap { fleet.access.standing(of: $0) }
    if connection.pointee.standing?.grants.isEmpty == true {
      connection.pointee.nameBefore = Instant.now.advanced(by: limits.handshakeTimeoutNanoseconds)
      setDeadline(connection, connection.pointee.nameBefore)
    }
    do throws(SystemError) {
      try poller.add(connection.pointee.stream.descriptor, .readable, word: key.rawValue)
    } catch {
      setDeadline(connection, .never)
      connections.remove(key)
      return
    }
    recorder.add(.connectionsOpen)
    recorder.add(.open, kind, 1)
    recorder.add(.total, kind, 1)
    if draining { sayGoaway(key) }
    // The first call may have come together with the end of the handshake.
    if connections.pointer(to: key)?.pointee.stream.hasBuffered == true { unread.append(key) }
  }

  /// Whom the transport itself vouches for.
  private func caller(_ descriptor: borrowing Descriptor, _ transport: Arrival.Transport) -> Caller {
    switch transport {
    case .unix: Caller(PeerCredentials(descriptor))
    case .tcp: Caller()
    case .tls(let session): Caller(session.withLock { $0?.peer })
    }
  }

  /// Goes on with connections that hold bytes of which the poller does not know; what is found out about
  /// meanwhile waits for the next turn.
  mutating func advanceUnread(at now: Instant) {
    let count = unread.count
    for place in 0..<count { advance(unread[place], .readable, at: now) }
    unread.removeFirst(count)
  }
}

extension Arrival.Transport {
  fileprivate var kind: TransportKind {
    switch self {
    case .unix: .unix
    case .tcp: .tcp
    case .tls: .tls
    }
  }
}

extension Arrival {
  /// The session of an encrypted connection, once.
  fileprivate func takeSession() -> TLSSession? {
    guard case .tls(let session) = transport else { return nil }
    return session.withLock { $0.take() }
  }
}
