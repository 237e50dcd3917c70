import ApusBase
package import ApusIO
import ApusStream
import ApusTLS
import Glibc

/// Whom a client trusts and how it says who it is.
public struct SecurityOptions: Sendable {
  /// PEM file of the certificate authorities that a server's certificate may come from; nil: the system's.
  public var authorityFile: String?
  /// PEM file of this client's certificate chain, where the server asks for one; with `keyFile`.
  public var certificateFile: String?
  /// PEM file of the certificate's private key.
  public var keyFile: String?
  /// The name that the server's certificate must hold; nil: the host of the address.
  public var serverName: String?
  /// Bearer token, sent with the first frame of each connection.
  public var token: String?
  /// Sends the token even where others on the network can read it.
  public var allowsPlainToken = false

  public init() {}
}

/// What the connections of one client share: trust, identity, and the last session's ticket.
package final class ClientSecurity: Sendable {
  let token: [UInt8]
  /// nil: the address is not encrypted.
  private let context: TLSContext?
  private let host: String
  private let ticket = Locked<TLSTicket?>(nil)

  /// - Throws: `invalidOptions` for files that cannot be read or hold something else, and for a token that
  ///   would be sent in the clear.
  package init(_ address: Address, _ options: SecurityOptions) throws(ClientError) {
    token = Array((options.token ?? "").utf8)
    guard case .tls(let host, _) = address else {
      guard token.isEmpty || address.isLocal || options.allowsPlainToken else {
        throw .invalidOptions("a token would be readable on the way to \(address); use tls://")
      }
      (context, self.host) = (nil, "")
      return
    }
    self.host = options.serverName ?? host
    var configuration = TLSClientConfiguration()
    configuration.authorities = try Self.bytes(options.authorityFile)
    configuration.certificateChain = try Self.bytes(options.certificateFile)
    configuration.privateKey = try Self.bytes(options.keyFile)
    do { context = try TLSContext(client: configuration) } catch { throw .invalidOptions(error.description) }
  }

  private static func bytes(_ path: String?) throws(ClientError) -> [UInt8]? {
    guard let path else { return nil }
    do { return try fileBytes(path, atMost: 1 << 20) } catch { throw .invalidOptions(error.description) }
  }

  /// Shakes hands over a connected socket, blocking.
  private func stream(
    over descriptor: consuming Descriptor, until deadline: Instant
  ) throws(ClientError) -> ByteStream {
    guard let context else { return ByteStream(descriptor) }
    do {
      var session = try TLSSession(
        client: context, transport: TLSTransport(socket: descriptor), host: host,
        resuming: ticket.withLock { $0 })
      while true {
        switch session.handshake() {
        case .done: return ByteStream(descriptor, session: session)
        case .failed: throw ClientError.connectionFailed(session.failure ?? "the TLS handshake failed")
        case .wantsRead: try Self.wait(descriptor, forWriting: false, until: deadline)
        case .wantsWrite: try Self.wait(descriptor, forWriting: true, until: deadline)
        }
      }
    } catch let error as ClientError {
      throw error
    } catch {
      throw .connectionFailed("\(error)")
    }
  }

  private static func wait(
    _ descriptor: borrowing Descriptor, forWriting: Bool, until deadline: Instant
  ) throws(ClientError) {
    let left = deadline.nanosecondsLeft
    guard left > 0 else { throw .connectionFailed("the server did not end the TLS handshake in time") }
    descriptor.wait(forWritingToo: forWriting, nanoseconds: left)
  }

  /// Keeps what a server gave for a shorter handshake next time.
  func keepTicket(of stream: borrowing ByteStream) {
    guard let new = stream.ticket else { return }
    ticket.withLock { $0 = new }
  }

  /// Connects and, where the address is encrypted, shakes hands: blocking.
  ///
  /// - Parameter timeoutNanoseconds: for each of both; 0: as long as the kernel tries.
  /// - Throws: `connectionFailed`.
  static func connect(
    to address: Address, _ security: ClientSecurity?, timeoutNanoseconds: UInt64
  ) throws(ClientError) -> ByteStream {
    let descriptor: Descriptor
    do { descriptor = try address.connect(timeoutNanoseconds: timeoutNanoseconds) } catch {
      throw .connectionFailed(error.description)
    }
    guard let security else { return ByteStream(descriptor) }
    let deadline = Instant.deadline(after: timeoutNanoseconds)
    return try security.stream(over: descriptor, until: deadline)
  }
}
