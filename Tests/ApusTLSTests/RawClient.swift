import ApusBase
import COpenSSL

@testable import ApusTLS

/// A client made of OpenSSL alone, for what Apus's own never does, against a server's session.
///
/// Invariant of the unsafe code here: `ssl` and `context` are this object's own from `init` to `deinit`; the
/// two BIOs belong to `ssl`.
final class RawClient {
  let context: OpaquePointer
  private(set) var ssl: OpaquePointer
  private let fromServer: OpaquePointer
  private let toServer: OpaquePointer
  let server: Side

  /// - Parameter prepare: sets what this client is like.
  init(_ serverContext: TLSContext, _ prepare: (OpaquePointer) -> Void) throws {
    context = SSL_CTX_new(TLS_client_method())!
    SSL_CTX_set_security_level(context, 0)
    SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, 0, nil)
    prepare(context)
    ssl = SSL_new(context)!
    fromServer = BIO_new(BIO_s_mem())!
    toServer = BIO_new(BIO_s_mem())!
    SSL_set_bio(ssl, fromServer, toServer)
    SSL_set_connect_state(ssl)
    let end = End(Queue(), Queue())
    server = Side(end, try TLSSession(server: serverContext, transport: end.transport))
  }

  deinit {
    SSL_free(ssl)
    SSL_CTX_free(context)
  }

  /// Both sides in turn until the server's is over; true if both are done.
  func handshake() -> Bool {
    for _ in 0..<10 {
      _ = attempt { SSL_do_handshake($0) }
      let state = server.handshake()
      if state.isOver {
        _ = attempt { SSL_do_handshake($0) }
        return state == .done && SSL_is_init_finished(ssl) == 1
      }
    }
    return false
  }

  /// One call of OpenSSL's for this client, with what the server has sent, and its records to the server.
  /// - Returns: the call's result and, if it failed, why.
  func attempt(_ call: (OpaquePointer) -> Int32) -> (result: Int32, reason: String) {
    let new = server.end.outgoing.bytes
    server.end.outgoing.bytes = []
    BIO_write(fromServer, new, Int32(new.count))
    ERR_clear_error()
    let result = call(ssl)
    let reason = openSSLReason()
    ERR_clear_error()
    var records = [UInt8](repeating: 0, count: 100_000)
    while case let count = BIO_read(toServer, &records, Int32(records.count)), count > 0 {
      server.end.incoming.bytes += records[..<Int(count)]
    }
    return (result, reason)
  }

  func send(_ bytes: [UInt8]) -> Int32 { attempt { SSL_write($0, bytes, Int32(bytes.count)) }.result }

  func receive() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 100_000)
    let count = attempt { SSL_read($0, &bytes, Int32(bytes.count)) }.result
    return count > 0 ? Array(bytes[..<Int(count)]) : []
  }
}
