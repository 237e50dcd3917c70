import ApusIO
import CLinux
import Glibc

/// What a service manager is told about this process: sd_notify(3), datagrams to the socket that
/// `NOTIFY_SOCKET` names. Without the variable nothing is sent; a message that cannot be delivered is left
/// out.
struct ServiceManager {
  private let name: [UInt8]

  /// - Parameter socket: a path, or `@name` for an abstract socket; anything else is nobody.
  init(socket: String?) {
    let bytes = Array((socket ?? "").utf8)
    guard let first = bytes.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "@"),
      (2...107).contains(bytes.count)
    else {
      name = []
      return
    }
    name = first == UInt8(ascii: "@") ? [0] + bytes.dropFirst() : bytes
  }

  init() { self.init(socket: getenv("NOTIFY_SOCKET").map { String(cString: $0) }) }

  /// Clients are answered from now on.
  func ready(models: Int, failed: Int) {
    send("READY=1\nSTATUS=\(models) models ready, \(failed) failed")
  }

  /// Type=notify-reload wants the time on CLOCK_MONOTONIC, in microseconds.
  func reloading() { send("RELOADING=1\nMONOTONIC_USEC=\(clinux_monotonic_ns() / 1000)") }

  func reloaded() { send("READY=1") }

  /// The service is alive; sent while a `Watchdog` says so.
  func alive() { send("WATCHDOG=1") }

  func stopping() { send("STOPPING=1") }

  private func send(_ text: String) {
    guard !name.isEmpty else { return }
    let flags = SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue
    let number = socket(AF_UNIX, Int32(flags), 0)
    guard number >= 0 else { return }
    let descriptor = Descriptor(owning: number)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    // An abstract name ends at the length, not at a zero.
    let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
    let bytes = Array(text.utf8)
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = sendto(descriptor.number, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
      }
    }
  }
}

extension ServeConfiguration {
  /// Gives passed sockets the addresses that they serve, and leaves in `opened` those that the server opens
  /// itself. The default address is not opened where a socket was passed.
  ///
  /// - Throws: what does not go together, such as a socket that other machines reach without encryption.
  mutating func adopt(
    _ passed: [PassedSocket]
  ) throws(ConfigurationError) -> (opened: [Address], passed: [PassedSocket]) {
    guard !passed.isEmpty else { return (listen, []) }
    var opened = self[.listen].origin == .standard ? [] : listen
    var adopted: [PassedSocket] = []
    for var socket in passed {
      if let place = opened.firstIndex(where: { socket.serves($0) }) {
        let wanted = opened.remove(at: place)
        // A name that asks for encryption is never answered with less.
        if !socket.address.isEncrypted { socket.address = wanted }
      }
      adopted.append(socket)
    }
    setListen(opened + adopted.map(\.address))
    if let problem = contradictions.first { throw ConfigurationError(description: problem) }
    return (opened, adopted)
  }
}
