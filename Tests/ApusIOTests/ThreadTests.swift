import ApusBase
import ApusIO
import Glibc
import Synchronization
import Testing

@Suite struct ThreadTests {
  /// The kernel keeps 15 bytes (man 3 pthread_setname_np).
  @Test(arguments: ["reactor-0", "fifteen-letters", "x"])
  func aThreadHasItsName(_ name: String) throws {
    let seen = Mutex("")
    try withThread(name: name) {
      let file = Descriptor(owning: open("/proc/thread-self/comm", O_RDONLY))
      var buffer = [UInt8](repeating: 0, count: 64)
      let count = read(file.number, &buffer, buffer.count)
      seen.withLock { $0 = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self) }
    }
    #expect(seen.withLock { $0 } == "\(name)\n")
  }

  @Test func joiningWaitsForTheEnd() throws {
    let steps = Atomic<Int>(0)
    try withThread(name: "steps") {
      for _ in 0..<20 {
        _ = usleep(1000)
        steps.add(1, ordering: .relaxed)
      }
    }
    #expect(steps.load(ordering: .relaxed) == 20)
  }

  @Test func whatTheThreadHeldIsGivenBack() throws {
    final class Held: Sendable {}
    weak let held: Held?
    do {
      let strong = Held()
      held = strong
      try withThread(name: "holder") { _ = strong }
    }
    #expect(held == nil)
  }

  private func withThread(name: String, _ body: () -> Void) throws {
    // The thread is joined before `body` ends, so it may hold what does not escape.
    try withoutActuallyEscaping(body) { body in
      nonisolated(unsafe) let body = body
      let thread = try Thread(name: name) { body() }
      thread.join()
    }
  }
}

@Suite struct DescriptorTests {
  @Test func theOwnersEndClosesIt() throws {
    let right: Descriptor
    do {
      let pair = try SocketPair()
      right = pair.right
    }
    #expect(receive(8, from: right) == .end)
    #expect(send([1], to: right) == .failed(EPIPE))
  }

  @Test func aReleasedDescriptorStaysOpen() throws {
    let pair = try SocketPair()
    let copy = dup(pair.left.number)
    do {
      let descriptor = Descriptor(owning: copy)
      #expect(descriptor.release() == copy)
    }
    #expect(fcntl(copy, F_GETFD) >= 0)
    let again = Descriptor(owning: copy)
    #expect(send([7], to: again) == .bytes(1))
    #expect(receive(8, from: pair.right) == .bytes(1))
  }

  @Test func nothingToReadAndNoRoomToWriteAreNoErrors() throws {
    let pair = try SocketPair()
    #expect(receive(8, from: pair.left) == .wouldBlock)
    let block = [UInt8](repeating: 1, count: 1 << 16)
    var sent = 0
    while case .bytes(let count) = send(block, to: pair.left) { sent += count }
    #expect(send(block, to: pair.left) == .wouldBlock)
    var received = 0
    while case .bytes(let count) = receive(1 << 16, from: pair.right) { received += count }
    #expect(received == sent && sent > 0)
    #expect(send([1], to: pair.left) == .bytes(1))
  }

  @Test func closingTheSendingSideLetsAnswersThrough() throws {
    let pair = try SocketPair()
    #expect(send([1, 2], to: pair.left) == .bytes(2))
    pair.left.shutdownWriting()
    #expect(receive(8, from: pair.right) == .bytes(2))
    #expect(receive(8, from: pair.right) == .end)
    #expect(send([3], to: pair.right) == .bytes(1))
    #expect(receive(8, from: pair.left) == .bytes(1))
  }
}

@Suite struct SignalSourceTests {
  /// On a thread of its own, whose mask it changes and to which alone the signals are sent.
  @Test func signalsBecomeNumbers() throws {
    let seen = Mutex<[Int32]>([])
    let thread = try Thread(name: "signals") {
      guard let source = try? SignalSource() else { return }
      seen.withLock { $0.append(source.wait(timeoutMilliseconds: 0)) }
      for signal in [SIGHUP, SIGTERM, SIGINT] {
        _ = pthread_kill(pthread_self(), signal)
        let number = source.wait(timeoutMilliseconds: 30_000)
        seen.withLock { $0.append(number) }
      }
      seen.withLock { $0.append(source.wait(timeoutMilliseconds: 1)) }
    }
    thread.join()
    #expect(seen.withLock { $0 } == [0, SIGHUP, SIGTERM, SIGINT, 0])
  }
}
