import ApusBase
import ApusIO
import ApusServer
import NIOCore

/// Polls the connections of one event loop for a time after an answer, as reactors do, because the wake-up of
/// a thread that sleeps costs more than most answers. NIO cannot be told to poll, so a task of the loop looks
/// into an epoll instance of its own, and ends when NIO's would have something to say, or soon.
///
/// Invariant of the unchecked conformance: everything is touched on the loop's thread alone.
final class LoopPolling: @unchecked Sendable {
  private let loop: any EventLoop
  private let service: LocalService
  private let poller: Poller
  private var polling: AdaptivePolling
  /// When the last look ended in vain.
  private var slept: Instant?
  private var isScheduled = false

  /// - Throws: when the descriptors have run out.
  init(_ loop: any EventLoop, _ service: LocalService, maximumNanoseconds: UInt64) throws(SystemError) {
    self.loop = loop
    self.service = service
    poller = try Poller()
    polling = AdaptivePolling(maximumNanoseconds: maximumNanoseconds)
  }

  /// Looks at a connection from now on, until it is closed.
  func add(_ channel: any Channel) {
    loop.assertInEventLoop()
    try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
      poller.addEdges(ofNumber: $0)
    }
  }

  /// Something came, and has been answered.
  func answered() {
    loop.assertInEventLoop()
    guard !isScheduled else { return }
    if let slept { polling.woke(afterNanoseconds: Instant.now.since(slept)) }
    slept = nil
    isScheduled = true
    loop.execute(look)
  }

  private func look() {
    isScheduled = false
    let begun = Instant.now
    guard polling.windowNanoseconds > 0 else {
      slept = begun
      return
    }
    let end = begun.advanced(by: polling.windowNanoseconds)
    var now = begun
    var hasMore = false
    while !hasMore, now < end {
      hasMore = poller.wait(timeoutNanoseconds: 0) > 0
      now = .now
    }
    service.polled(nanoseconds: now.since(begun))
    if hasMore {
      polling.succeeded()
    } else {
      polling.failed()
      slept = now
    }
  }
}
