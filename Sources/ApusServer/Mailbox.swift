import ApusBase
import ApusIO
import ApusTLS
import Synchronization

/// A connection on its way to the thread that will serve it.
struct Arrival: Sendable {
  enum Transport: Sendable {
    case unix
    case tcp
    /// With a session whose handshake is done, for one taker.
    case tls(Locked<TLSSession?>)
  }

  /// An open descriptor, which the taker owns.
  let descriptor: Int32
  let transport: Transport
}

/// What other threads may ask of a reactor.
enum Message: Sendable {
  /// Take over a connection.
  case connection(Arrival)
  /// Say goaway, answer what was sent before, and end.
  case drain
  /// The policy or the state of a model has changed: watches are told what is new to them.
  case watchesMayChange
  /// Send what another thread has made.
  case answer(DeferredAnswer)
  /// Say that the reactor still turns.
  case ping
}

/// The one way into a reactor from outside: rare, so a lock and an eventfd serve.
final class Mailbox: Sendable {
  private let messages = Locked<[Message]>([])
  let wakeUp: WakeUp
  private let isAsked = Atomic<Bool>(false)

  init() throws(SystemError) { wakeUp = try WakeUp() }

  func post(_ message: Message) { post(contentsOf: [message]) }

  /// Wakes the reactor once for all of them.
  func post(contentsOf messages: [Message]) {
    self.messages.withLock { $0 += messages }
    wakeUp.signal()
  }

  /// Asks for a sign of life.
  func ping() {
    isAsked.store(true, ordering: .relaxed)
    post(.ping)
  }

  func answerPing() { isAsked.store(false, ordering: .relaxed) }

  /// Whether the last question, if there was one, is answered.
  var hasAnsweredPing: Bool { !isAsked.load(ordering: .relaxed) }

  func take() -> [Message] {
    wakeUp.drain()
    return messages.withLock { waiting in
      let taken = waiting
      waiting.removeAll()
      return taken
    }
  }
}
