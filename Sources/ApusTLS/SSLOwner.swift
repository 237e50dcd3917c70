import COpenSSL

/// Owner of an SSL and of the box that its BIO goes to.
///
/// Invariant of the unsafe code here: `ssl` is referenced here alone, from `init` to `deinit`; its only BIO
/// refers to `box`, which is freed after it. One thread at a time uses them, as their owner is not copyable.
struct SSLOwner: ~Copyable, @unchecked Sendable {
  let ssl: OpaquePointer
  let box: UnsafeMutablePointer<TransportBox>

  /// - Throws: when there is no memory.
  init(_ context: TLSContext, _ transport: TLSTransport) throws(TLSError) {
    ERR_clear_error()
    defer { ERR_clear_error() }
    guard let ssl = SSL_new(context.pointer) else {
      throw TLSError("OpenSSL makes no session (\(openSSLReason())); give it more memory")
    }
    let box = UnsafeMutablePointer<TransportBox>.allocate(capacity: 1)
    box.initialize(to: TransportBox(transport))
    guard let bio = TransportBIO.make(box) else {
      SSL_free(ssl)
      box.deallocate()
      throw TLSError("OpenSSL makes no BIO (\(openSSLReason())); give it more memory")
    }
    SSL_set_bio(ssl, bio, bio)
    SSL_set_msg_callback(ssl, countMessage)
    setMessageArgument(ssl, box)
    self.ssl = ssl
    self.box = box
  }

  deinit {
    // As if closed in order: otherwise OpenSSL makes the session's ticket worthless.
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
    SSL_free(ssl)
    box.deallocate()
  }
}

/// Counts messages of TLS that have come, and stops OpenSSL when they are too many: to it, the peer has then
/// sent its last byte.
///
/// Invariant of the unsafe code here: `box` is that of the `SSLOwner` of `ssl`.
private func countMessage(
  _ isSent: Int32, _: Int32, _ type: Int32, _: UnsafeRawPointer?, _: Int, _ ssl: OpaquePointer?,
  _ box: UnsafeMutableRawPointer?
) {
  guard isSent == 0, type == SSL3_RT_HANDSHAKE else { return }
  guard let box = box?.assumingMemoryBound(to: TransportBox.self) else { return }
  box.pointee.countMessage()
  if box.pointee.isFlooded { SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN | SSL_get_shutdown(ssl)) }
}
