import CLinux
import Glibc

/// Connections that may wait to be accepted; the kernel holds it to its own bound (net.core.somaxconn).
private let backlog: Int32 = 4096

/// A listening socket. A Unix socket's file is made with the given mode, an old one is removed only when
/// nobody listens on it, and the file is unlinked when the listener ends.
package struct Listener: ~Copyable, Sendable {
  package let descriptor: Descriptor
  /// With the port the kernel chose, where 0 was asked for.
  package let address: Address
  /// The socket file that was made here; nil for TCP.
  private let file: FileIdentity?
  /// The service manager holds it too, and may pass it to the next process.
  private let isPassed: Bool

  /// Takes a passed socket over; its file is not this process's to remove.
  package init(_ passed: PassedSocket) {
    descriptor = Descriptor(owning: passed.number)
    address = passed.address
    file = nil
    isPassed = true
  }

  package init(_ address: Address, mode: UInt32 = 0o660) throws(SystemError) {
    switch address {
    case .unix(let path):
      try Self.removeStale(path)
      descriptor = try Self.listenUnderOtherName(path, mode)
    case .lane: throw SystemError("listen on \(address), where lanes are opened only", errorNumber: EINVAL)
    case .tcp, .tls:
      descriptor = try address.withSocket(passive: true, "listen on \(address)") { socket, name, length in
        var on: Int32 = 1
        _ = setsockopt(
          socket.number, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard bind(socket.number, name, length) == 0 else { return -errno }
        return listen(socket.number, backlog) < 0 ? -errno : 0
      }
    }
    self.address = Self.bound(descriptor, address)
    if case .unix(let path) = address { file = FileIdentity(path) } else { file = nil }
    isPassed = false
    _ = fcntl(descriptor.number, F_SETFL, O_NONBLOCK)
  }

  /// A file that can be seen can be connected to: it is made beside its place, listened on, and only then
  /// moved there. Two servers that start at once cannot both get the place.
  private static func listenUnderOtherName(
    _ path: String, _ mode: UInt32
  ) throws(SystemError) -> Descriptor {
    let other = (path.utf8.count < Address.longestPath ? path : String(path.dropLast())) + "~"
    let operation = "listen on unix:\(path)"
    _ = unlink(other)
    return try Address.unix(path: other).withSocket(passive: true, operation) { socket, name, length in
      // The kernel makes the file with the socket's own mode less the umask: it must never be open to more
      // than its mode says, not even for a moment, and the umask is not this thread's alone.
      _ = fchmod(socket.number, mode_t(mode))
      guard bind(socket.number, name, length) == 0 else { return -errno }
      _ = chmod(other, mode_t(mode))
      var result = listen(socket.number, backlog) < 0 ? -errno : 0
      if result == 0 { result = clinux_rename_new(other, path) }
      if result < 0 { _ = unlink(other) }
      return result
    }
  }

  deinit { stop() }

  /// Takes no more connections: the socket file goes, and who connects is refused. At a passed socket they
  /// wait for the next process.
  package func stop() {
    removeFile()
    guard !isPassed else { return }
    _ = shutdown(descriptor.number, Int32(SHUT_RDWR))
  }

  /// Nobody finds the socket any more; who has connected can still be accepted. A file that a successor has
  /// made in its place stays.
  package func removeFile() {
    if case .unix(let path) = address, let file, FileIdentity(path) == file { _ = unlink(path) }
  }

  /// Which file a path names. The kernel gives the numbers to no other file while the socket is open.
  private struct FileIdentity: Equatable, Sendable {
    let device: UInt64
    let inode: UInt64

    init?(_ path: String) {
      var information = stat()
      guard lstat(path, &information) == 0 else { return nil }
      device = UInt64(information.st_dev)
      inode = UInt64(information.st_ino)
    }
  }

  /// A file that nobody listens on is what a killed server left. Anything but a socket is left alone.
  private static func removeStale(_ path: String) throws(SystemError) {
    var information = stat()
    guard lstat(path, &information) == 0 else { return }
    guard information.st_mode & S_IFMT == S_IFSOCK else {
      throw SystemError("listen on unix:\(path), which is a file but no socket", errorNumber: EEXIST)
    }
    do throws(SystemError) {
      _ = try Address.unix(path: path).connect()
      throw SystemError("listen on unix:\(path), where a server is running", errorNumber: EADDRINUSE)
    } catch  where error.errorNumber == ECONNREFUSED {
      _ = unlink(path)
    } catch {
      throw error
    }
  }

  private static func bound(_ descriptor: borrowing Descriptor, _ address: Address) -> Address {
    switch address {
    case .unix, .lane: address
    case .tcp(let host, let port): .tcp(host: host, port: chosenPort(descriptor) ?? port)
    case .tls(let host, let port): .tls(host: host, port: chosenPort(descriptor) ?? port)
    }
  }

  /// The port that the kernel gave a TCP socket.
  private static func chosenPort(_ descriptor: borrowing Descriptor) -> UInt16? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
        guard getsockname(descriptor.number, name, &length) == 0 else { return nil }
        // The port stands at the same place in IPv4 and IPv6 addresses.
        return name.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
          UInt16(bigEndian: $0.pointee.sin_port)
        }
      }
    }
  }

  /// The next connection that waits, or nil.
  package func accept() -> Descriptor? {
    let number = acceptNumber()
    return number >= 0 ? Descriptor(owning: number) : nil
  }

  /// The next connection that waits as a number that the caller owns, or a negated errno.
  package func acceptNumber() -> Int32 { clinux_accept(descriptor.number) }
}
