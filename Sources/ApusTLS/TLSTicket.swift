import COpenSSL

/// What a client keeps of a session so that the next one to the same host, of the same context, needs no
/// certificates.
///
/// Invariant of the unsafe code here: `pointer` is an SSL_SESSION of which this object holds one reference;
/// OpenSSL does not change a session that has been taken out, and counts references atomically.
package final class TLSTicket: @unchecked Sendable {
  let pointer: OpaquePointer
  let context: TLSContext
  let host: String

  init(owning pointer: OpaquePointer, context: TLSContext, host: String) {
    self.pointer = pointer
    self.context = context
    self.host = host
  }

  deinit { SSL_SESSION_free(pointer) }

  /// Whether a session may go on from here: who was trusted then would be trusted now.
  func fits(_ context: TLSContext, _ host: String) -> Bool {
    guard context === self.context, host == self.host, SSL_SESSION_is_resumable(pointer) == 1,
      let certificate = SSL_SESSION_get0_peer(pointer)
    else { return false }
    return !hasExpired(certificate)
  }
}
