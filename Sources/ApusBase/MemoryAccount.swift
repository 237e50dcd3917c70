import Synchronization

/// How much memory of one kind is held, against a limit: threads take of it and give back without a lock.
package final class MemoryAccount: Sendable {
  package let limit: Int
  private let held = Atomic<Int>(0)

  package init(limit: Int) { self.limit = limit }

  package var heldBytes: Int { held.load(ordering: .relaxed) }

  /// - Returns: false, and nothing is taken, where there is not so much left.
  package func take(_ byteCount: Int) -> Bool {
    var now = heldBytes
    while byteCount >= 0, byteCount <= limit - now {
      let (exchanged, original) = held.weakCompareExchange(
        expected: now, desired: now + byteCount, ordering: .relaxed)
      if exchanged { return true }
      now = original
    }
    return false
  }

  /// For what must be held whatever is left. Others are refused until as much has been given back.
  package func add(_ byteCount: Int) { held.wrappingAdd(byteCount, ordering: .relaxed) }

  package func give(_ byteCount: Int) { held.wrappingSubtract(byteCount, ordering: .relaxed) }
}

/// Bytes taken of a server's account and of a connection's, which go back at its end: whatever becomes of a
/// connection, nothing stays taken.
package struct MemoryLease: ~Copyable, Sendable {
  package let byteCount: Int
  private let server: MemoryAccount
  private let connection: MemoryAccount

  /// - Returns: nil where one of them has not so much left.
  package init?(_ byteCount: Int, of server: MemoryAccount, for connection: MemoryAccount) {
    guard connection.take(byteCount) else { return nil }
    guard server.take(byteCount) else {
      connection.give(byteCount)
      return nil
    }
    self.byteCount = byteCount
    self.server = server
    self.connection = connection
  }

  /// For what must be held in any case.
  package init(owed byteCount: Int, of server: MemoryAccount, for connection: MemoryAccount) {
    server.add(byteCount)
    connection.add(byteCount)
    self.byteCount = byteCount
    self.server = server
    self.connection = connection
  }

  deinit {
    server.give(byteCount)
    connection.give(byteCount)
  }
}
