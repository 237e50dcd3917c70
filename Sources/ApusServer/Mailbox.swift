import ApusIO
import ApusBase

/// What other threads may ask of a reactor.
enum Message: Sendable {
  /// Take over a connection; the number is an open descriptor.
  case connection(Int32, isTCP: Bool)
  /// Say goaway, answer what was sent before, and end.
  case drain
}

/// The one way into a reactor from outside: rare, so a lock and an eventfd serve.
final class Mailbox: Sendable {
  private let messages = Locked<[Message]>([])
  let wakeUp: WakeUp

  init() throws(SystemError) { wakeUp = try WakeUp() }

  func post(_ message: Message) {
    messages.withLock { $0.append(message) }
    wakeUp.signal()
  }

  func take() -> [Message] {
    wakeUp.drain()
    return messages.withLock { waiting in
      let taken = waiting
      waiting.removeAll()
      return taken
    }
  }
}
