package import ApusBase
package import ApusIO
public import ApusLane
package import ApusTLS

/// A connected socket, encrypted or not, or a lane beside one: what server and client send frames over.
public struct ByteStream: ~Copyable, Sendable {
  package let descriptor: Descriptor
  /// nil: the bytes are not encrypted.
  package var session: TLSSession?
  /// nil: frames go over the socket.
  public var lane: LaneEnd?

  package init(_ descriptor: consuming Descriptor, session: consuming TLSSession? = nil) {
    self.descriptor = descriptor
    self.session = session
  }

  package var isEncrypted: Bool {
    switch session {
    case .some: true
    case .none: false
    }
  }

  @inlinable @inline(__always)
  public var isLane: Bool {
    switch lane {
    case .some: true
    case .none: false
    }
  }

  /// Receives without blocking. `space` is not empty.
  @inline(__always)
  package mutating func receive(into space: UnsafeMutableRawBufferPointer) -> Transfer {
    if isLane { return receiveFromLane(into: space) }
    guard isEncrypted else { return descriptor.receive(into: space) }
    return session?.receive(into: space) ?? .end
  }

  /// Receives, waiting until something comes or the socket's receive time-out passes.
  @inline(__always)
  package mutating func receiveWaiting(into space: UnsafeMutableRawBufferPointer) -> Transfer {
    if isLane { return receiveFromLaneWaiting(into: space) }
    guard isEncrypted else { return descriptor.receiveBlocking(into: space) }
    return session?.receive(into: space, waiting: true) ?? .end
  }

  /// Sends what the kernel has room for. Over TLS, bytes that did not go must come again, first.
  @inline(__always)
  package mutating func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    if isLane { return sendToLane(bytes) }
    guard isEncrypted else { return descriptor.send(bytes) }
    return session?.send(bytes) ?? .end
  }

  /// Says to the peer that nothing more will come.
  package mutating func shutdownWriting() {
    session?.endSending()
    descriptor.shutdownWriting()
  }

  /// Whether there are received bytes that a poller does not know of.
  @inlinable public var hasBuffered: Bool {
    switch lane {
    case .some(let lane): lane.hasArrived
    case .none: hasDecrypted
    }
  }

  @usableFromInline var hasDecrypted: Bool {
    switch session {
    case .some(let session): session.hasBuffered
    case .none: false
    }
  }

  /// What the peer gave for a shorter handshake next time.
  package var ticket: TLSTicket? {
    switch session {
    case .some(let session): session.ticket
    case .none: nil
    }
  }

  /// Why TLS broke off; nil where it did not.
  package var failure: String? {
    switch session {
    case .some(let session): session.failure
    case .none: nil
    }
  }
}

extension TLSTransport {
  /// Records go over a socket, which must live as long as the session.
  package init(socket: borrowing Descriptor) {
    self.init(
      context: socket.context, receive: Descriptor.receiveFunction, send: Descriptor.sendFunction,
      receiveWaiting: Descriptor.receiveWaitingFunction)
  }
}
