import CLinux
import Glibc

/// What happened on a descriptor.
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let readable = Readiness(rawValue: UInt32(CLINUX_EPOLLIN))
  package static let writable = Readiness(rawValue: UInt32(CLINUX_EPOLLOUT))
  private static let failed = Readiness(rawValue: UInt32(CLINUX_EPOLLERR | CLINUX_EPOLLHUP))
  /// The peer is gone or the socket is broken: always reported, by one bit or both.
  package var hasFailed: Bool { rawValue & Self.failed.rawValue != 0 }

  // The standard library's is generic.
  @inlinable public func contains(_ other: Readiness) -> Bool {
    rawValue & other.rawValue == other.rawValue
  }
}

/// An epoll instance. Each descriptor carries a word of the caller's, a slot's key and never a pointer.
///
/// Invariant of the unsafe code here: `events` has room for `capacity` events and lives as long as the
/// poller.
package struct Poller: ~Copyable {
  private let epoll: Descriptor
  private let events: UnsafeMutablePointer<clinux_event>
  private static let capacity = 256

  package init() throws(SystemError) {
    epoll = Descriptor(owning: try check(clinux_epoll_create(), "create an epoll instance"))
    events = .allocate(capacity: Self.capacity)
  }

  deinit { events.deallocate() }

  package func add(
    _ descriptor: borrowing Descriptor, _ interest: Readiness, word: UInt64
  ) throws(SystemError) {
    let result = clinux_epoll_add(epoll.number, descriptor.number, interest.rawValue, word)
    _ = try check(result, "watch a descriptor")
  }

  /// Tells once of each arrival at another owner's descriptor, until that owner closes it.
  package func addEdges(ofNumber number: Int32) {
    let edges = UInt32(truncatingIfNeeded: CLINUX_EPOLLET) | UInt32(CLINUX_EPOLLIN)
    _ = clinux_epoll_add(epoll.number, number, edges, 0)
  }

  package func change(_ descriptor: borrowing Descriptor, _ interest: Readiness, word: UInt64) {
    _ = clinux_epoll_modify(epoll.number, descriptor.number, interest.rawValue, word)
  }

  package func remove(_ descriptor: borrowing Descriptor) {
    _ = clinux_epoll_remove(epoll.number, descriptor.number)
  }

  /// Waits for events, at most so long (negative: without end, 0: not at all).
  ///
  /// - Returns: how many there are, to be read with `event(_:)`.
  package func wait(timeoutNanoseconds: Int64) -> Int {
    max(0, Int(clinux_epoll_wait(epoll.number, events, Int32(Self.capacity), timeoutNanoseconds)))
  }

  package func event(_ index: Int) -> (word: UInt64, readiness: Readiness) {
    (events[index].data, Readiness(rawValue: events[index].events))
  }
}

/// Wakes a thread that waits in a poller.
package struct WakeUp: ~Copyable, Sendable {
  package let descriptor: Descriptor

  package init() throws(SystemError) {
    descriptor = Descriptor(owning: try check(clinux_eventfd(), "create an eventfd"))
  }

  package func signal() { _ = clinux_eventfd_signal(descriptor.number) }
  package func drain() { _ = clinux_eventfd_drain(descriptor.number) }
}

/// The signals that a server acts upon, as a descriptor. Made before any other thread, which then inherits
/// the mask; SIGPIPE is ignored.
package struct SignalSource: ~Copyable, Sendable {
  package let descriptor: Descriptor

  package init() throws(SystemError) {
    descriptor = Descriptor(owning: try check(clinux_signal_descriptor(), "create a signalfd"))
  }

  /// Waits for SIGINT, SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2 and gives its number, or 0 when the time has
  /// passed or one of `others` can be read; negative ones are left out.
  package func wait(timeoutMilliseconds: Int32 = -1, orReadable others: [Int32] = []) -> Int32 {
    var entries = ([descriptor.number] + others).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    while true {
      let count = poll(&entries, nfds_t(entries.count), timeoutMilliseconds)
      if count == 0 { return 0 }
      if count > 0 { return entries[0].revents == 0 ? 0 : max(0, clinux_read_signal(descriptor.number)) }
      if errno != EINTR { return 0 }
    }
  }
}
