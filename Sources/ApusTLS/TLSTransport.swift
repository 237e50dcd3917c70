import COpenSSL
import Glibc

/// Where a session takes records from and puts them: C functions, so that a socket's receive writes straight
/// into OpenSSL's buffer and no further copy or buffer exists. Only `receiveWaiting` may block.
package struct TLSTransport: @unchecked Sendable {
  /// Context, bytes, count (at least 1) → bytes moved; 0: the peer's end; -errno, of which -EAGAIN is: would
  /// block.
  package typealias Function =
    @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, Int) -> Int

  let context: UnsafeMutableRawPointer?
  let receive: Function
  let receiveWaiting: Function
  let send: Function

  /// - Parameters:
  ///   - context: given to the functions; it must be good for as long as the session lives.
  ///   - receiveWaiting: as `receive`, for a caller who wants to wait; nil: nobody does.
  package init(
    context: UnsafeMutableRawPointer?, receive: @escaping Function, send: @escaping Function,
    receiveWaiting: Function? = nil
  ) {
    self.context = context
    self.receive = receive
    self.receiveWaiting = receiveWaiting ?? receive
    self.send = send
  }
}

/// What OpenSSL's reads and writes of one session go through. To OpenSSL the transport's end and its failures
/// look like "nothing now", so that they do not spoil the session: after the peer's end, answers still go
/// out.
struct TransportBox {
  let transport: TLSTransport
  /// The transport is not asked for more, so that only what has been buffered is read.
  var isPaused = false
  /// The transport may wait for bytes.
  var isWaiting = false
  /// The transport has come to its end.
  var isEnded = false
  /// What the transport failed with; 0: it has not.
  var receiveError: Int32 = 0
  var sendError: Int32 = 0
  /// Messages of TLS itself are counted from here on.
  var isEstablished = false
  private var messages = 0
  /// Plaintext received.
  var receivedBytes = 0

  init(_ transport: TLSTransport) { self.transport = transport }

  /// - Returns: bytes received, or -1: nothing now.
  mutating func receive(_ bytes: UnsafeMutablePointer<CChar>, _ capacity: Int) -> Int {
    if isPaused || isEnded || receiveError != 0 { return -1 }
    let receive = isWaiting ? transport.receiveWaiting : transport.receive
    let count = receive(transport.context, bytes, capacity)
    precondition(count <= capacity, "a transport receives no more than there is room for")
    if count > 0 { return count }
    if count == 0 { isEnded = true } else if count != Int(-EAGAIN) { receiveError = Int32(-count) }
    return -1
  }

  /// - Returns: bytes sent, or -1: no room now.
  mutating func send(_ bytes: UnsafePointer<CChar>, _ count: Int) -> Int {
    if sendError != 0 { return -1 }
    let sent = transport.send(transport.context, UnsafeMutableRawPointer(mutating: bytes), count)
    precondition(sent <= count, "a transport sends no more than it was given")
    if sent > 0 { return sent }
    if sent == 0 { sendError = EPIPE } else if sent != Int(-EAGAIN) { sendError = Int32(-sent) }
    return -1
  }
}

extension TransportBox {
  /// Notes that a message of TLS itself has come, such as a ticket or a change of keys.
  mutating func countMessage() { if isEstablished { messages += 1 } }

  /// The peer sends more such messages than it may: each costs much and brings nothing, and OpenSSL goes on
  /// with them for as long as they come.
  var isFlooded: Bool { messages > 32 + receivedBytes >> 20 }
}

/// A BIO that goes to a `TransportBox`.
///
/// Invariant of the unsafe code here: the data of every BIO made here is a box that lives longer than the
/// BIO, which `SSLOwner` sees to; OpenSSL gives `count` bytes of memory that nobody else uses during the
/// call.
enum TransportBIO {
  static func make(_ box: UnsafeMutablePointer<TransportBox>) -> OpaquePointer? {
    guard let method, let bio = BIO_new(method) else { return nil }
    BIO_set_data(bio, box)
    return bio
  }

  private static let retryFlags =
    BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

  private nonisolated(unsafe) static let method: OpaquePointer? = {
    guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "apus") else { return nil }
    BIO_meth_set_read(method) { bio, bytes, count in
      BIO_clear_flags(bio, retryFlags)
      guard let bytes, count > 0, let box = box(bio) else { return -1 }
      let moved = box.pointee.receive(bytes, Int(count))
      if moved < 0 { BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY) }
      return Int32(moved)
    }
    BIO_meth_set_write(method) { bio, bytes, count in
      BIO_clear_flags(bio, retryFlags)
      guard let bytes, count > 0, let box = box(bio) else { return -1 }
      let moved = box.pointee.send(bytes, Int(count))
      if moved < 0 { BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY) }
      return Int32(moved)
    }
    BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return method
  }()

  private static func box(_ bio: OpaquePointer?) -> UnsafeMutablePointer<TransportBox>? {
    BIO_get_data(bio)?.assumingMemoryBound(to: TransportBox.self)
  }
}
