import CLinux
import Glibc

/// Where a server listens or a client connects: `unix:PATH`, `tcp://HOST:PORT` or `tls://HOST:PORT`, and for
/// a client `shm:PATH`.
package enum Address: Hashable, Sendable, CustomStringConvertible {
  case unix(path: String)
  /// A lane, opened over the Unix socket of this path.
  case lane(path: String)
  case tcp(host: String, port: UInt16)
  /// TCP, encrypted.
  case tls(host: String, port: UInt16)

  /// Why a text is no address.
  package struct Invalid: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
  }

  /// Bytes of a socket's path: sun_path of unix(7) less its zero.
  static let longestPath = 107

  package init(_ text: String) throws(Invalid) {
    if text.hasPrefix("unix:") {
      self = .unix(path: try Self.path(text, text.dropFirst(5)))
    } else if text.hasPrefix("shm:") {
      self = .lane(path: try Self.path(text, text.dropFirst(4)))
    } else if text.hasPrefix("tcp://") {
      let (host, port) = try Self.hostAndPort(text)
      self = .tcp(host: host, port: port)
    } else if text.hasPrefix("tls://") {
      let (host, port) = try Self.hostAndPort(text)
      self = .tls(host: host, port: port)
    } else {
      throw Invalid(
        description: "'\(text)' is no address; write unix:PATH, tcp://HOST:PORT or tls://HOST:PORT")
    }
  }

  private static func path(_ text: String, _ path: Substring) throws(Invalid) -> String {
    guard !path.isEmpty, path.utf8.count <= Self.longestPath, !path.utf8.contains(0) else {
      throw Invalid(description: "'\(text)': a socket path has 1 to 107 bytes")
    }
    return String(path)
  }

  /// Of a text that begins with `tcp://` or `tls://`.
  private static func hostAndPort(_ text: String) throws(Invalid) -> (host: String, port: UInt16) {
    let rest = text.dropFirst(6)
    guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...]),
      colon > rest.startIndex
    else {
      throw Invalid(
        description: "'\(text)': write \(text.prefix(6))HOST:PORT, for example "
          + "\(text.prefix(6))127.0.0.1:7070")
    }
    var host = rest[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { throw Invalid(description: "'\(text)' names no host") }
    return (String(host), port)
  }

  package var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .lane(let path): "shm:\(path)"
    case .tcp(let host, let port): "tcp://\(Self.authority(host, port))"
    case .tls(let host, let port): "tls://\(Self.authority(host, port))"
    }
  }

  /// As in a URL (RFC 3986, section 3.2).
  private static func authority(_ host: String, _ port: UInt16) -> String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  /// Whether only this machine can reach it.
  package var isLocal: Bool {
    switch self {
    case .unix, .lane: true
    case .tcp(let host, _), .tls(let host, _):
      host == "localhost" || host == "::1" || Self.isLoopback(host)
    }
  }

  /// What HTTP calls it, of a socket of TCP or TLS: `http://HOST:PORT` or `https://HOST:PORT`.
  package var url: String { (isEncrypted ? "https" : "http") + description.dropFirst(3) }

  package var isEncrypted: Bool {
    if case .tls = self { true } else { false }
  }

  /// Whether it is a numeric address in 127.0.0.0/8; a name that begins alike is none.
  private static func isLoopback(_ host: String) -> Bool {
    var address = in_addr()
    return inet_pton(AF_INET, host, &address) == 1 && UInt32(bigEndian: address.s_addr) >> 24 == 127
  }
}

extension Address {
  /// Opens a socket for each resolved form of the address until `use` takes one.
  func withSocket(
    passive: Bool, _ operation: String,
    _ use: (borrowing Descriptor, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) throws(SystemError) -> Descriptor {
    switch self {
    case .unix(let path), .lane(let path): try unixSocket(path, operation, use)
    case .tcp(let host, let port), .tls(let host, let port):
      try tcpSocket(host, port, passive: passive, operation, use)
    }
  }

  private func unixSocket(
    _ path: String, _ operation: String,
    _ use: (borrowing Descriptor, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) throws(SystemError) -> Descriptor {
    let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    let descriptor = Descriptor(owning: try check(number < 0 ? -errno : number, operation))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        use(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    _ = try check(result, operation)
    return descriptor
  }

  private func tcpSocket(
    _ host: String, _ port: UInt16, passive: Bool, _ operation: String,
    _ use: (borrowing Descriptor, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) throws(SystemError) -> Descriptor {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &list)
    guard code == 0 else {
      throw SystemError("\(operation): \(String(cString: gai_strerror(code)))", errorNumber: EADDRNOTAVAIL)
    }
    defer { freeaddrinfo(list) }
    var last = EADDRNOTAVAIL
    var entry = list
    while let info = entry {
      entry = info.pointee.ai_next
      let number = socket(info.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      guard number >= 0 else {
        last = errno
        continue
      }
      let descriptor = Descriptor(owning: number)
      let result = use(descriptor, info.pointee.ai_addr, info.pointee.ai_addrlen)
      if result >= 0 { return descriptor }
      last = -result
    }
    throw SystemError(operation, errorNumber: last)
  }

  /// Sends each answer at once instead of waiting for more (TCP_NODELAY).
  package static func setNoDelay(_ descriptor: borrowing Descriptor) {
    var on: Int32 = 1
    _ = setsockopt(
      descriptor.number, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Connects, blocking.
  ///
  /// - Parameter timeoutNanoseconds: the longest wait for each form of the address; 0: as long as the kernel
  ///   tries.
  /// - Throws: `ETIMEDOUT` when the time has passed.
  package func connect(timeoutNanoseconds: UInt64 = 0) throws(SystemError) -> Descriptor {
    let descriptor = try withSocket(passive: false, "connect to \(self)") { socket, address, length in
      Self.limitConnecting(socket, timeoutNanoseconds)
      guard Glibc.connect(socket.number, address, length) < 0 else { return 0 }
      return errno == EINPROGRESS || errno == EAGAIN ? -ETIMEDOUT : -errno
    }
    switch self {
    case .unix, .lane: break
    case .tcp, .tls: Self.setNoDelay(descriptor)
    }
    return descriptor
  }

  /// The socket's time for sending bounds connecting too (socket(7)); sends themselves never block here.
  private static func limitConnecting(_ socket: borrowing Descriptor, _ nanoseconds: UInt64) {
    guard nanoseconds > 0 else { return }
    let microseconds = max(1, nanoseconds / 1000)
    var time = timeval(
      tv_sec: Int(clamping: microseconds / 1_000_000), tv_usec: Int(microseconds % 1_000_000))
    _ = setsockopt(socket.number, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
  }
}
