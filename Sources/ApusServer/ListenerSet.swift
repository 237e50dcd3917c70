package import ApusIO

/// The sockets on which a server waits for clients. Every reactor may look at it; one accepts.
///
/// Invariant of the unsafe code here: `listeners` is filled before the set is shared and never changes after
/// that.
package struct ListenerSet: ~Copyable, @unchecked Sendable {
  private let listeners: UnsafeMutableBufferPointer<Listener>

  /// Opens all of them or none, and takes over those that were passed.
  package init(
    _ addresses: [Address], passed: [PassedSocket] = [], mode: UInt32
  ) throws(SystemError) {
    let places = UnsafeMutableBufferPointer<Listener>.allocate(capacity: addresses.count + passed.count)
    var opened = 0
    for socket in passed {
      places.initializeElement(at: opened, to: Listener(socket))
      opened += 1
    }
    do throws(SystemError) {
      for address in addresses {
        places.initializeElement(at: opened, to: try Listener(address, mode: mode))
        opened += 1
      }
    } catch {
      for index in 0..<opened { (places.baseAddress.unsafelyUnwrapped + index).deinitialize(count: 1) }
      places.deallocate()
      throw error
    }
    listeners = places
  }

  /// Closes them and unlinks the socket files.
  deinit {
    for index in 0..<listeners.count {
      (listeners.baseAddress.unsafelyUnwrapped + index).deinitialize(count: 1)
    }
    listeners.deallocate()
  }

  /// With the ports that the kernel chose.
  package var addresses: [Address] { (0..<listeners.count).map { listeners[$0].address } }

  func watch(by poller: borrowing Poller) {
    for index in 0..<listeners.count {
      try? poller.add(listeners[index].descriptor, .readable, word: Reactor.listenerWord + UInt64(index))
    }
  }

  /// Who has connected can still be accepted; over Unix sockets nobody else comes.
  func removeFiles() {
    for index in 0..<listeners.count { listeners[index].removeFile() }
  }

  func unwatch(by poller: borrowing Poller) {
    for index in 0..<listeners.count { poller.remove(listeners[index].descriptor) }
  }

  /// Takes no more connections: the socket files go, and who connects is refused.
  func stop(watchedBy poller: borrowing Poller) {
    for index in 0..<listeners.count {
      poller.remove(listeners[index].descriptor)
      listeners[index].stop()
    }
  }

  var count: Int { listeners.count }

  /// A connection that waits on one of them, or a negated errno.
  func accept(_ index: Int) -> Int32 { listeners[index].acceptNumber() }

  /// How clients reach one of them, before any handshake.
  func transport(_ index: Int) -> Arrival.Transport {
    if case .unix = listeners[index].address { .unix } else { .tcp }
  }
}
