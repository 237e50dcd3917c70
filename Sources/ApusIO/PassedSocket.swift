import CLinux
import Glibc

/// A listening socket that the service manager opened and passed on (sd_listen_fds(3)). Whoever makes a
/// `Listener` from it owns the descriptor then.
package struct PassedSocket: Sendable {
  package let number: Int32
  /// Where it is bound: a Unix path, or `@name` for an abstract one, or a numeric host and a port.
  package var address: Address

  /// The first descriptor that a service manager passes: SD_LISTEN_FDS_START.
  private static let first: Int32 = 3

  /// Takes the sockets that `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` promise to this process, none if
  /// they speak to another, and unsets the variables. Call it before any thread starts and any file is
  /// opened.
  ///
  /// - Throws: `SystemError` for a number that is none, and for a descriptor that is no listening stream
  ///   socket.
  package static func takeAll() throws(SystemError) -> [PassedSocket] {
    let names = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]
    let values = names.map { getenv($0).map { String(cString: $0) } }
    for name in names { unsetenv(name) }
    guard let text = values[1], values[0].flatMap({ pid_t($0) }) == getpid() else { return [] }
    guard let count = Int32(text), (0...1024).contains(count) else {
      throw SystemError("take passed sockets: LISTEN_FDS is no number from 0 to 1024", errorNumber: EINVAL)
    }
    let labels = (values[2] ?? "").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    var sockets: [PassedSocket] = []
    for index in 0..<Int(count) {
      let label = index < labels.count ? labels[index] : ""
      sockets.append(try PassedSocket(first + Int32(index), name: label))
    }
    return sockets
  }

  private init(_ number: Int32, name: String) throws(SystemError) {
    let operation = "listen on descriptor \(number), which the service manager passed"
    guard fcntl(number, F_SETFD, FD_CLOEXEC) == 0 else { throw SystemError(operation, errorNumber: errno) }
    guard let type = Self.option(number, SO_TYPE) else {
      throw SystemError(operation, errorNumber: ENOTSOCK)
    }
    guard type == Int32(SOCK_STREAM.rawValue), Self.option(number, SO_ACCEPTCONN) == 1 else {
      throw SystemError(operation + " and is no listening stream socket", errorNumber: EINVAL)
    }
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
    guard let address = Self.boundAddress(number, encrypted: name.hasPrefix("tls")) else {
      throw SystemError(operation, errorNumber: EAFNOSUPPORT)
    }
    self.number = number
    self.address = address
  }

  private static func option(_ number: Int32, _ name: Int32) -> Int32? {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(number, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
  }

  /// nil for a family that is neither Unix nor IP.
  private static func boundAddress(_ number: Int32, encrypted: Bool) -> Address? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(number, $0, &length) }
    }
    guard result == 0 else { return nil }
    switch Int32(storage.ss_family) {
    case AF_UNIX: return unixAddress(storage, Int(length))
    case AF_INET, AF_INET6:
      guard let (host, port) = withUnsafePointer(to: &storage, {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { numeric($0, length) }
      }) else { return nil }
      return encrypted ? .tls(host: host, port: port) : .tcp(host: host, port: port)
    default: return nil
    }
  }

  /// The path ends at its zero or at the length; an abstract name begins with a zero (unix(7)).
  private static func unixAddress(_ storage: sockaddr_storage, _ length: Int) -> Address? {
    let bytes = withUnsafeBytes(of: storage) { Array($0[..<min(length, $0.count)].dropFirst(2)) }
    guard let first = bytes.first else { return nil }
    if first == 0 { return .unix(path: "@" + String(decoding: bytes.dropFirst(), as: UTF8.self)) }
    return .unix(path: String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
  }

  private static func numeric(_ name: UnsafePointer<sockaddr>, _ length: socklen_t) -> (String, UInt16)? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { host in
      withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16) { port in
        guard let hostBase = host.baseAddress, let portBase = port.baseAddress,
          getnameinfo(name, length, hostBase, 128, portBase, 16, NI_NUMERICHOST | NI_NUMERICSERV) == 0,
          let number = UInt16(String(cString: portBase))
        else { return nil }
        return (String(cString: hostBase), number)
      }
    }
  }

  // MARK: Which configured address it serves

  /// Whether this socket is what a server would open for an address.
  package func serves(_ wanted: Address) -> Bool {
    switch (address, wanted) {
    case (.unix(let own), .unix(let other)): own == other
    case (.tcp(let own, let ownPort), .tcp(let host, let port)),
      (.tcp(let own, let ownPort), .tls(let host, let port)),
      (.tls(let own, let ownPort), .tcp(let host, let port)),
      (.tls(let own, let ownPort), .tls(let host, let port)):
      ownPort == port && Self.isSame(own, host, port)
    default: false
    }
  }

  /// `[::]` takes IPv4 too, as systemd opens it.
  private static func isSame(_ own: String, _ host: String, _ port: UInt16) -> Bool {
    if own == host || (own == "::" && host == "0.0.0.0") { return true }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &list) == 0 else { return false }
    defer { freeaddrinfo(list) }
    var entry = list
    while let info = entry {
      entry = info.pointee.ai_next
      if let name = info.pointee.ai_addr, numeric(name, info.pointee.ai_addrlen)?.0 == own { return true }
    }
    return false
  }
}
