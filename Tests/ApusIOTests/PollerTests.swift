import ApusBase
import ApusIO
import Glibc
import Testing

/// Longer than any test takes: what should happen at once is waited for with this, so that a failure is no
/// hang.
private let longNanoseconds: Int64 = 30_000_000_000

@Suite struct PollerTests {
  @Test func eventsCarryTheWordOfTheirDescriptor() throws {
    let poller = try Poller()
    let first = try SocketPair()
    let second = try SocketPair()
    // A generation in the upper half, an index in the lower: every bit comes back.
    let words: [UInt64] = [0xFFFF_FFFF_0000_0001, 0x8000_0001_FFFF_FFFF]
    try poller.add(first.left, .readable, word: words[0])
    try poller.add(second.left, .readable, word: words[1])
    #expect(poller.wait(timeoutNanoseconds: 0) == 0)

    #expect(send([1], to: second.right) == .bytes(1))
    #expect(poller.wait(timeoutNanoseconds: longNanoseconds) == 1)
    #expect(poller.event(0).word == words[1] && poller.event(0).readiness == .readable)

    #expect(send([1], to: first.right) == .bytes(1))
    #expect(poller.wait(timeoutNanoseconds: longNanoseconds) == 2)
    #expect(Set([poller.event(0).word, poller.event(1).word]) == Set(words))

    #expect(receive(8, from: second.left) == .bytes(1))
    #expect(poller.wait(timeoutNanoseconds: 0) == 1)
    #expect(poller.event(0).word == words[0])
  }

  @Test func interestCanChangeAndEnd() throws {
    let poller = try Poller()
    let pair = try SocketPair()
    try poller.add(pair.left, .readable, word: 1)
    #expect(poller.wait(timeoutNanoseconds: 0) == 0)
    poller.change(pair.left, [.readable, .writable], word: 2)
    #expect(poller.wait(timeoutNanoseconds: longNanoseconds) == 1)
    #expect(poller.event(0).word == 2 && poller.event(0).readiness == .writable)
    poller.change(pair.left, [], word: 3)
    #expect(send([1], to: pair.right) == .bytes(1))
    #expect(poller.wait(timeoutNanoseconds: 0) == 0)
    poller.remove(pair.left)
    poller.change(pair.left, .readable, word: 4)
    #expect(poller.wait(timeoutNanoseconds: 0) == 0)
    #expect { try poller.add(Descriptor(owning: -1), .readable, word: 0) } throws: {
      ($0 as? SystemError)?.errorNumber == EBADF
    }
  }

  @Test func aPeerThatIsGoneIsReportedWithoutBeingAskedFor() throws {
    let poller = try Poller()
    let pair = try SocketPair()
    try poller.add(pair.left, [], word: 9)
    #expect(poller.wait(timeoutNanoseconds: 0) == 0)
    _ = shutdown(pair.right.number, Int32(SHUT_RDWR))
    #expect(poller.wait(timeoutNanoseconds: longNanoseconds) == 1)
    #expect(poller.event(0).word == 9 && poller.event(0).readiness.hasFailed)
  }

  @Test func aWaitEndsWithItsTime() throws {
    let poller = try Poller()
    // Less than the millisecond that epoll knows is not rounded to a busy loop, and more than its longest
    // time is cut.
    #expect(poller.wait(timeoutNanoseconds: 1) == 0)
    #expect(poller.wait(timeoutNanoseconds: 1_500_000) == 0)
  }

  @Test func moreEventsThanOneWaitHoldsComeInTurn() throws {
    let poller = try Poller()
    let signalled = try WakeUp()
    signalled.signal()
    var copies: [Int32] = []
    defer { for copy in copies { _ = close(copy) } }
    for index in 0..<300 {
      let copy = dup(signalled.descriptor.number)
      try #require(copy >= 0)
      let descriptor = Descriptor(owning: copy)
      try poller.add(descriptor, .readable, word: UInt64(index))
      copies.append(descriptor.release())
    }
    var seen = Set<UInt64>()
    for _ in 0..<2 {
      let count = poller.wait(timeoutNanoseconds: longNanoseconds)
      #expect(count == 256)
      for index in 0..<count { seen.insert(poller.event(index).word) }
    }
    #expect(seen.count == 300)
  }
}

@Suite struct WakeUpTests {
  @Test func aSleepingThreadIsWoken() throws {
    let wakeUp = try WakeUp()
    let poller = try Poller()
    try poller.add(wakeUp.descriptor, .readable, word: 5)
    let number = wakeUp.descriptor.number
    let thread = try Thread(name: "waker") {
      // Its own view of the descriptor: the owner outlives this thread, which is joined.
      var one: UInt64 = 1
      _ = write(number, &one, 8)
    }
    #expect(poller.wait(timeoutNanoseconds: longNanoseconds) == 1)
    #expect(poller.event(0).word == 5)
    thread.join()
    wakeUp.drain()
    #expect(poller.wait(timeoutNanoseconds: 0) == 0)
  }

  @Test func manySignalsAreOneWakeUp() throws {
    let wakeUp = try WakeUp()
    let poller = try Poller()
    try poller.add(wakeUp.descriptor, .readable, word: 5)
    for _ in 0..<1000 { wakeUp.signal() }
    #expect(poller.wait(timeoutNanoseconds: longNanoseconds) == 1)
    wakeUp.drain()
    #expect(poller.wait(timeoutNanoseconds: 0) == 0)
    wakeUp.drain()
    wakeUp.signal()
    #expect(poller.wait(timeoutNanoseconds: longNanoseconds) == 1)
  }
}
