package import ApusBase
import CLinux
import Glibc

/// Owner of a file descriptor: closes it at its end.
package struct Descriptor: ~Copyable, Sendable {
  package let number: Int32

  package init(owning number: Int32) { self.number = number }

  deinit { _ = close(number) }

  /// Gives the descriptor away without closing it.
  package consuming func release() -> Int32 {
    let number = number
    discard self
    return number
  }
}

extension Descriptor {
  /// Receives without blocking. `buffer` is not empty.
  @inline(__always)
  package func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    let count = clinux_recv(number, buffer.baseAddress, buffer.count)
    if count > 0 { return .bytes(count) }
    if count == 0 { return .end }
    return count == Int(-EAGAIN) ? .wouldBlock : .failed(Int32(-count))
  }

  /// Receives, waiting until something comes or the socket's receive time-out passes.
  @inline(__always)
  package func receiveBlocking(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    let count = clinux_recv_blocking(number, buffer.baseAddress, buffer.count)
    if count > 0 { return .bytes(count) }
    if count == 0 { return .end }
    return count == Int(-EAGAIN) ? .wouldBlock : .failed(Int32(-count))
  }

  /// Sends what the kernel has room for, without blocking.
  @inline(__always)
  package func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    let count = clinux_send(number, bytes.baseAddress, bytes.count)
    if count >= 0 { return .bytes(count) }
    return count == Int(-EAGAIN) ? .wouldBlock : .failed(Int32(-count))
  }

  /// Receives without blocking, and with the bytes a descriptor, which the caller owns; -1: none came.
  package func receive(into buffer: UnsafeMutableRawBufferPointer, passed: inout Int32) -> Transfer {
    let count = clinux_receive_with_descriptor(number, buffer.baseAddress, buffer.count, &passed)
    if count > 0 { return .bytes(count) }
    if count == 0 { return .end }
    return count == Int(-EAGAIN) ? .wouldBlock : .failed(Int32(-count))
  }

  /// Sends bytes, and another process a copy of a descriptor, without blocking.
  package func send(_ bytes: UnsafeRawBufferPointer, passing passed: borrowing Descriptor) -> Transfer {
    let count = clinux_send_with_descriptor(number, bytes.baseAddress, bytes.count, passed.number)
    if count >= 0 { return .bytes(count) }
    return count == Int(-EAGAIN) ? .wouldBlock : .failed(Int32(-count))
  }

  /// Waits until there is something to receive or, on wish, room to send, at most so long.
  package func wait(forWritingToo: Bool, nanoseconds: UInt64) {
    _ = clinux_wait_socket(number, forWritingToo ? 1 : 0, nanoseconds)
  }

  /// Says to the peer that nothing more will come.
  package func shutdownWriting() { _ = shutdown(number, Int32(SHUT_WR)) }
}

/// Receiving and sending as C functions, for a library that moves its bytes itself. Their first argument is
/// `Descriptor.context`; they give bytes moved, 0 at the peer's end, or the negated errno. Only the waiting
/// one blocks.
extension Descriptor {
  package typealias Function =
    @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, Int) -> Int

  /// The descriptor's number in a pointer's place.
  package var context: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: Int(number)) }

  package static var receiveFunction: Function {
    { clinux_recv(Int32(truncatingIfNeeded: Int(bitPattern: $0)), $1, $2) }
  }

  /// Waits until something comes or the socket's receive time-out passes.
  package static var receiveWaitingFunction: Function {
    { clinux_recv_blocking(Int32(truncatingIfNeeded: Int(bitPattern: $0)), $1, $2) }
  }

  package static var sendFunction: Function {
    { clinux_send(Int32(truncatingIfNeeded: Int(bitPattern: $0)), $1, $2) }
  }
}
