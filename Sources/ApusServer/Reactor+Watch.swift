import ApusAccess
import ApusBase
import ApusWire

/// A request that is answered at once and again at every change, until the server drains, the caller cancels
/// or the policy takes the right away.
struct HealthWatch {
  let requestID: UInt64
  /// Empty: the whole server.
  let model: String
  /// What the peer was told last.
  var told: HealthResponse
}

/// WatchHealth. Nothing waits or polls here: whoever changes what a watch may tell posts
/// `Message.watchesMayChange` to every reactor. What a watch tells is compared with what it told last, so
/// that a peer that does not read is told the latest state once it does, and no change is kept for it.
extension Reactor {
  /// Answers the request and keeps it, or answers it for good while the server drains.
  mutating func watchHealth(
    _ frame: Pending, _ metadata: UnsafeRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    let request = try ModelNameRequest(decoding: metadata, arena: arena)
    try requireHealth(of: request.model, connection)
    let present = healthOf(request.model)
    let id = frame.header.requestID
    guard !draining else { return endWatch(id, with: present) }
    guard connection.pointee.watches.count < limits.watchesPerConnection else {
      throw Status(
        .resourceExhausted, "TOO_MANY_WATCHES",
        "a connection may have \(limits.watchesPerConnection) watches; cancel one or connect once more")
    }
    connection.pointee.watches.append(HealthWatch(requestID: id, model: request.model, told: present))
    appendHealth(present, id, flags: .more)
  }

  /// As for Health: a caller that may do anything may ask for the whole server.
  func requireHealth(
    of model: String, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    if !model.isEmpty { try require(.read, .classify, model: model, of: connection) }
  }

  /// One of the requests at hand that has the id of a watch or of a request that another thread answers,
  /// which is in use until the last answer.
  func watchedRequestID(_ count: Int, _ connection: UnsafeMutablePointer<Connection>) -> UInt64? {
    guard !connection.pointee.watches.isEmpty || connection.pointee.awaitsAnswers else { return nil }
    for index in 0..<count where pending[index].header.kind == FrameKind.request.rawValue {
      let id = pending[index].header.requestID
      if connection.pointee.watches.contains(where: { $0.requestID == id }) { return id }
      if connection.pointee.deferred.contains(id) { return id }
      if id <= connection.pointee.newestJobID, connection.pointee.hasJob(id) { return id }
    }
    return nil
  }

  /// Ends the watch of a cancel frame; an unknown id is ignored.
  mutating func cancelWatch(_ requestID: UInt64, _ connection: UnsafeMutablePointer<Connection>) {
    guard let place = connection.pointee.watches.firstIndex(where: { $0.requestID == requestID }) else {
      return
    }
    connection.pointee.watches.remove(at: place)
    appendStatus(Self.cancelled, method: Method.watchHealth.rawValue, requestID: requestID, connection)
  }

  /// The peer has ended its sending side and cannot cancel any more.
  ///
  /// - Returns: false when the connection was found broken and closed.
  mutating func cancelWatches(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) -> Bool {
    for watch in connection.pointee.watches { cancelWatch(watch.requestID, connection) }
    return flush(key, connection)
  }

  /// The last answers of a drain. The caller sends them, with the goaway behind them.
  mutating func endWatches(_ connection: UnsafeMutablePointer<Connection>) {
    guard !connection.pointee.watches.isEmpty else { return }
    for watch in connection.pointee.watches { endWatch(watch.requestID, with: healthOf(watch.model)) }
    connection.pointee.watches = []
  }

  /// Ends the watches that the caller may have no more, after its standing has become another.
  mutating func checkWatches(_ connection: UnsafeMutablePointer<Connection>) {
    let watches = connection.pointee.watches
    guard !watches.isEmpty else { return }
    connection.pointee.watches = []
    for watch in watches {
      do throws(Status) {
        if let standing = connection.pointee.standing, standing.grants.isEmpty { throw standing.denial }
        try requireHealth(of: watch.model, connection)
        connection.pointee.watches.append(watch)
      } catch {
        note(error, method: Method.watchHealth.rawValue, connection)
        appendStatus(error, method: Method.watchHealth.rawValue, requestID: watch.requestID, connection)
      }
    }
  }

  /// Tells every watch what it has not been told yet.
  mutating func updateWatches() {
    for slot in 0..<slotsUsed {
      guard let key = connections.key(at: slot), let connection = connections.pointer(to: key) else {
        continue
      }
      updateWatches(key, connection)
    }
  }

  /// A peer that does not take its answers is told when it has.
  mutating func updateWatches(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    guard !connection.pointee.watches.isEmpty, connection.pointee.phase == .open,
      connection.pointee.backlog == nil
    else { return }
    refreshStanding(connection, at: .now)
    var place = 0
    while place < connection.pointee.watches.count {
      let watch = connection.pointee.watches[place]
      let present = healthOf(watch.model)
      if present != watch.told {
        connection.pointee.watches[place].told = present
        appendHealth(present, watch.requestID, flags: .more)
        if answerBytes > limits.answerBufferBytes / 2 {
          guard flush(key, connection) else { return }
          if connection.pointee.backlog != nil { return }
        }
      }
      place += 1
    }
    _ = flush(key, connection)
  }

  private mutating func endWatch(_ requestID: UInt64, with response: HealthResponse) {
    recorder.answered(.ok)
    appendHealth(response, requestID, flags: [])
  }

  private mutating func appendHealth(_ response: HealthResponse, _ requestID: UInt64, flags: FrameFlags) {
    appendFrame(.answer, method: Method.watchHealth.rawValue, requestID: requestID, flags: flags) {
      output, arena in response.encode(into: output, arena: arena)
    }
  }

  static var cancelled: Status { Status(.cancelled, "CANCELLED", "the call was cancelled") }
}
