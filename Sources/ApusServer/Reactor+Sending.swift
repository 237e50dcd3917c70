import ApusBase
import ApusIO
import ApusLane
import ApusStream
import ApusWire

/// How answers leave: at once as far as the peer takes them, and the rest when it does.
extension Reactor {
  /// Sends the answers made for this connection; what the peer does not take is kept, and reading stops until
  /// it does.
  ///
  /// - Returns: false when the connection was closed.
  mutating func flush(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) -> Bool {
    guard answerBytes > 0 else { return true }
    let bytes = UnsafeRawBufferPointer(start: answers.baseAddress, count: answerBytes)
    answerBytes = 0
    guard let sent = transmit(bytes, connection) else {
      close(key)
      return false
    }
    guard sent < bytes.count else { return true }
    let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
    // What fits the answers' buffer is owed, and so small that it is kept whatever else is held.
    let lease = MemoryLease(owed: rest.count, of: fleet.memory, for: connection.pointee.account)
    guard let backlog = Backlog(copying: rest, lease) else {
      close(key)
      return false
    }
    keep(backlog, key, connection)
    return true
  }

  /// Sends an answer that has memory of its own. Where the server, or the connection, holds as much as it
  /// may, the peer is told so instead: what it does not take would stay.
  mutating func send(
    _ memory: consuming MappedBuffer, byteCount: Int, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    guard let lease = MemoryLease(byteCount, of: fleet.memory, for: connection.pointee.account) else {
      let header = FrameHeader(reading: memory.baseAddress)
      appendStatus(.memoryExhausted, method: header.method, requestID: header.requestID, connection)
      return true
    }
    return send(memory, lease, byteCount: byteCount, key, connection)
  }

  /// Sends an answer that has memory of its own, which is leased: what the peer does not take stays.
  mutating func send(
    _ memory: consuming MappedBuffer, _ lease: consuming MemoryLease, byteCount: Int, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    let bytes = UnsafeRawBufferPointer(start: memory.baseAddress, count: byteCount)
    guard let sent = transmit(bytes, connection) else {
      close(key)
      return false
    }
    if sent < byteCount {
      keep(Backlog(taking: memory, lease, byteCount: byteCount, sent: sent), key, connection)
    }
    return true
  }

  private mutating func keep(
    _ backlog: consuming Backlog, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>
  ) {
    recorder.add(.backlogBytes, UInt64(backlog.memory.bytes.count))
    connection.pointee.backlog = consume backlog
    watch(key, connection, .writable)
    setDeadline(connection, Instant.now.advanced(by: limits.writeTimeoutNanoseconds))
  }

  /// A lane's socket is watched for bells all the time.
  private func watch(
    _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>, _ interest: Readiness
  ) {
    guard !connection.pointee.stream.isLane else { return }
    recorder.add(.systemCalls)
    poller.change(connection.pointee.stream.descriptor, interest, word: key.rawValue)
  }

  /// Watches for what comes, after nothing more was read.
  func watchAgain(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    let isRead = !connection.pointee.peerEnded && !connection.pointee.isFull
    watch(key, connection, isRead ? .readable : [])
  }

  /// Reads nothing more for now.
  func stopReading(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    connection.pointee.isFull = true
    watch(key, connection, [])
  }

  func dropBacklog(_ connection: UnsafeMutablePointer<Connection>) {
    guard let bytes = connection.pointee.backlog?.memory.bytes.count else { return }
    recorder.subtract(.backlogBytes, UInt64(bytes))
    connection.pointee.backlog = nil
  }

  /// Sends until the kernel has no room; nil when the connection is broken.
  private func transmit(
    _ bytes: UnsafeRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) -> Int? {
    var sent = 0
    while sent < bytes.count {
      if !connection.pointee.stream.isLane { recorder.add(.systemCalls) }
      let transfer = connection.pointee.stream.send(UnsafeRawBufferPointer(rebasing: bytes[sent...]))
      countBells(connection)
      switch transfer {
      case .bytes(let count): sent += count
      case .wouldBlock, .end:
        recorder.add(.sentBytes, connection.pointee.transport, UInt64(sent))
        return sent
      case .failed: return nil
      }
    }
    recorder.add(.sentBytes, connection.pointee.transport, UInt64(sent))
    return sent
  }

  /// A bell is the one system call of a lane.
  private func countBells(_ connection: UnsafeMutablePointer<Connection>) {
    guard let bells = connection.pointee.stream.lane?.takeBellCount(), bells > 0 else { return }
    recorder.add(.laneBells, bells)
    recorder.add(.systemCalls, bells)
  }

  /// - Returns: true when all is sent and the connection is open for more.
  mutating func sendBacklog(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) -> Bool {
    guard let rest = connection.pointee.backlog?.rest else { return true }
    guard let sent = transmit(rest, connection) else {
      close(key)
      return false
    }
    connection.pointee.backlog?.sent += sent
    if sent > 0 { setDeadline(connection, Instant.now.advanced(by: limits.writeTimeoutNanoseconds)) }
    guard sent == rest.count else { return false }
    dropBacklog(connection)
    watchAgain(key, connection)
    setDeadline(connection, .never)
    if connection.pointee.phase == .finishing { finish(key, connection) }
    if draining, connections.pointer(to: key) != nil { sayGoaway(key) }
    if connections.pointer(to: key) != nil, answerDone(key, connection), deliver(key, connection) {
      updateWatches(key, connection)
    }
    return connections.pointer(to: key) != nil && connection.pointee.phase == .open
  }
}
