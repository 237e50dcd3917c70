import ApusBase
import ApusIO

/// The threads that a server must wait for.
final class Joinable: Sendable {
  private let joins = Locked<[@Sendable () -> Void]>([])

  func add(_ thread: consuming Thread) {
    let owned = Owned(thread)
    joins.withLock { $0.append { owned.join() } }
  }

  /// Waits for all of them; a second call returns at once.
  func join() {
    let waiting = joins.withLock { joins in
      let taken = joins
      joins.removeAll()
      return taken
    }
    for join in waiting { join() }
  }

  private final class Owned: Sendable {
    private let thread: Locked<Thread?>
    init(_ thread: consuming Thread) { self.thread = Locked(thread) }
    func join() {
      let taken = thread.withLock { $0.take() }
      taken?.join()
    }
  }
}
