import ApusBase
import ApusIO
import ApusStream
import ApusWire

/// An answer, or a step towards it, that another thread made for a request of a reactor's.
struct DeferredAnswer: Sendable {
  /// The connection's key; the answer is dropped where the connection is gone.
  let connection: UInt64
  let requestID: UInt64
  let method: UInt16
  /// Encoded metadata.
  let result: Result<[UInt8], Status>
  /// Whether further ones follow.
  let isLast: Bool
}

/// Requests that are answered by another thread: administration. A connection may have `mostDeferred` of
/// them; their ids are in use until the last answer has been made.
extension Reactor {
  static let mostDeferred = 16

  /// Takes an answer that another thread made.
  mutating func take(_ answer: DeferredAnswer) {
    let key = SlotKey(rawValue: answer.connection)
    guard let connection = connections.pointer(to: key),
      connection.pointee.deferred.contains(answer.requestID)
    else { return }
    connection.pointee.waiting.append(answer)
    deliver(key, connection)
  }

  /// Sends what waits, if the peer takes it.
  ///
  /// - Returns: false when the connection was closed.
  @discardableResult
  mutating func deliver(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) -> Bool {
    var place = 0
    while place < connection.pointee.waiting.count, connection.pointee.backlog == nil {
      append(connection.pointee.waiting[place], connection)
      place += 1
      guard flush(key, connection) else { return false }
    }
    guard place > 0 else { return true }
    connection.pointee.waiting.removeFirst(place)
    endWhenAnswered(key, connection)
    return connections.pointer(to: key) != nil
  }

  private mutating func append(_ answer: DeferredAnswer, _ connection: UnsafeMutablePointer<Connection>) {
    named = NamedCall()
    if answer.isLast {
      connection.pointee.deferred.removeAll { $0 == answer.requestID }
    }
    switch answer.result {
    case .failure(let status):
      note(status, method: answer.method, connection)
      appendStatus(status, method: answer.method, requestID: answer.requestID, connection)
    case .success(let metadata):
      if answer.isLast {
        recorder.answered(.ok)
        logAnswer(answer.method, answer.requestID, connection.pointee)
      }
      appendFrame(
        .answer, method: answer.method, requestID: answer.requestID, flags: answer.isLast ? [] : .more
      ) { output, _ in
        guard metadata.count <= output.count else { return 0 }
        output.copyBytes(from: metadata)
        return metadata.count
      }
    }
  }

  /// A peer that has ended its sending side, or a server that ends, waited for the last of these answers.
  mutating func endWhenAnswered(
    _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>
  ) {
    guard !connection.pointee.awaitsAnswers else { return }
    if connection.pointee.peerEnded {
      finish(key, connection)
    } else if connection.pointee.goawaySent, connection.pointee.phase == .open {
      setDeadline(connection, Instant.now.advanced(by: Self.quietNanoseconds))
    }
  }

  /// The peer has ended its sending side: nothing more is looked for, but what it waits for is sent.
  mutating func waitForAnswers(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    recorder.add(.systemCalls)
    poller.change(connection.pointee.stream.descriptor, [], word: key.rawValue)
    setDeadline(connection, .never)
  }
}
