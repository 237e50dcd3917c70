import ApusBase
import Foundation
import Testing

@Suite struct MemoryAccountTests {
  @Test func noMoreIsTakenThanThereIs() {
    let account = MemoryAccount(limit: 100)
    #expect(account.take(60) && !account.take(41) && account.take(40) && !account.take(1))
    #expect(account.take(0))
    account.give(60)
    #expect(account.heldBytes == 40 && account.take(60))
  }

  @Test func sizesThatMakeNoSenseAreRefused() {
    let account = MemoryAccount(limit: .max)
    #expect(account.take(1) && !account.take(.max) && !account.take(-1) && !account.take(.min))
    #expect(account.take(.max - 1) && !account.take(1))
  }

  /// What must be held goes over the limit; others wait until it has gone.
  @Test func whatIsOwedIsHeldInAnyCase() {
    let (server, connection) = (MemoryAccount(limit: 100), MemoryAccount(limit: 100))
    do {
      let lease = MemoryLease(owed: 150, of: server, for: connection)
      #expect(server.heldBytes == 150 && connection.heldBytes == 150 && lease.byteCount == 150)
      #expect(!server.take(1))
    }
    #expect(server.heldBytes == 0 && server.take(100))
  }

  @Test func aLeaseThatIsRefusedTakesOfNeither() {
    let (server, connection) = (MemoryAccount(limit: 50), MemoryAccount(limit: 100))
    #expect(!isLeased(60, server, connection))
    #expect(server.heldBytes == 0 && connection.heldBytes == 0)
    let small = MemoryAccount(limit: 10)
    #expect(!isLeased(20, server, small))
    #expect(server.heldBytes == 0 && small.heldBytes == 0)
    #expect(isLeased(10, server, small))
    #expect(server.heldBytes == 0 && small.heldBytes == 0)
  }

  private func isLeased(_ byteCount: Int, _ server: MemoryAccount, _ connection: MemoryAccount) -> Bool {
    switch MemoryLease(byteCount, of: server, for: connection) {
    case .some: true
    case .none: false
    }
  }

  @Test func threadsTakeTogetherNoMoreThanThereIs() {
    let account = MemoryAccount(limit: 1000)
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      for step in 0..<20_000 {
        let byteCount = 1 + (step * 7 + thread * 131) % 600
        guard account.take(byteCount) else { continue }
        if account.heldBytes > 1000 { Issue.record("\(account.heldBytes) bytes are held") }
        account.give(byteCount)
      }
    }
    #expect(account.heldBytes == 0)
  }
}
