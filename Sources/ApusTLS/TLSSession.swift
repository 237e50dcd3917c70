package import ApusBase
import COpenSSL
import Glibc

/// How far a handshake has come.
package enum TLSHandshake: Sendable {
  /// Bytes may be received and sent; some may be buffered already.
  case done
  /// To be called again when the transport has something to receive.
  case wantsRead
  /// To be called again when the transport has room to send.
  case wantsWrite
  /// `failure` says why.
  case failed
}

/// One TLS connection over bytes that a transport moves: a state machine without I/O of its own, which never
/// blocks. `handshake` first, until it is done; then `receive` and `send`, in any order.
///
/// Every call clears this thread's queue of OpenSSL errors first, so that no session sees another's error.
package struct TLSSession: ~Copyable, Sendable {
  private let owner: SSLOwner
  private let context: TLSContext
  private let side: TLSSide
  private var isEstablished = false
  /// How receiving ended: `.end` or `.failed`; nil: it goes on.
  private var outcome: Transfer?
  /// `outcome` came after bytes in the same receive and is not told yet.
  private var owesOutcome = false
  /// No whole record is buffered: OpenSSL has said so since it last took bytes.
  private var isDrained = false
  /// Why the session is broken, in one line.
  package private(set) var failure: String?
  /// The handshake failed because the peer showed no certificate that is trusted here.
  package private(set) var refusedCertificate = false

  /// A server's side.
  package init(server context: TLSContext, transport: TLSTransport) throws(TLSError) {
    owner = try SSLOwner(context, transport)
    self.context = context
    side = .server
    SSL_set_accept_state(owner.ssl)
  }

  /// A client's side.
  /// - Parameters:
  ///   - host: whom the server's certificate must name among its subject alternative names: a DNS name, or a
  ///     numeric address, in brackets or not.
  ///   - ticket: goes unused if it is of another host or context.
  package init(
    client context: TLSContext, transport: TLSTransport, host: String, resuming ticket: TLSTicket? = nil
  ) throws(TLSError) {
    let owner = try SSLOwner(context, transport)
    try owner.expect(TLSHost(host))
    self.owner = owner
    self.context = context
    side = .client(host: host)
    SSL_set_connect_state(self.owner.ssl)
    if let ticket, ticket.fits(context, host) { SSL_set_session(self.owner.ssl, ticket.pointer) }
  }
}

// MARK: Handshake

extension TLSSession {
  /// Goes on with the handshake as far as the transport allows. After `.done`, `hasBuffered` says whether the
  /// peer's first bytes have come already.
  package mutating func handshake() -> TLSHandshake {
    if isEstablished { return .done }
    if failure != nil { return .failed }
    ERR_clear_error()
    let result = SSL_do_handshake(owner.ssl)
    if result == 1 { return establish() }
    let error = SSL_get_error(owner.ssl, result)
    let box = owner.box.pointee
    if error == SSL_ERROR_WANT_READ, box.receiveError == 0, !box.isEnded { return .wantsRead }
    if error == SSL_ERROR_WANT_WRITE, box.sendError == 0 { return .wantsWrite }
    if error == SSL_ERROR_WANT_READ, box.isEnded {
      fail(EPROTO, "the \(side.peer) closed the connection during the handshake; look at its log")
    } else if error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE {
      let number = error == SSL_ERROR_WANT_READ ? box.receiveError : box.sendError
      fail(number, transportFailureText(number))
    } else {
      refusedCertificate = lastErrorRefusesCertificate
      fail(EPROTO, failureText(owner.ssl, side))
    }
    return .failed
  }

  /// A ticket may outlive the certificate that it stands for: that is looked at again.
  private mutating func establish() -> TLSHandshake {
    if isResumed, let certificate = verifiedCertificate, hasExpired(certificate) {
      refusedCertificate = true
      fail(EPROTO, "the \(side.peer)'s certificate has expired; have it renewed")
      return .failed
    }
    isEstablished = true
    owner.box.pointee.isEstablished = true
    return .done
  }

  private mutating func fail(_ number: Int32, _ text: String) {
    outcome = .failed(number)
    failure = text
    ERR_clear_error()
  }
}

// MARK: Bytes

extension TLSSession {
  /// Receives plaintext while there is space and whole records are buffered. The transport is asked only as
  /// long as not a byte has come.
  ///
  /// - Parameter waiting: the transport may wait for bytes as long as not one has come.
  /// - Returns: `.bytes`; `.wouldBlock`: the transport has nothing now; `.end`: the peer has said that it
  ///   sends no more, or its transport has ended, be it inside a record; `.failed`: the transport's error
  ///   number, or EPROTO when TLS itself is broken, and `failure` says why.
  package mutating func receive(
    into space: UnsafeMutableRawBufferPointer, waiting: Bool = false
  ) -> Transfer {
    assert(isEstablished, "receive comes after the handshake")
    guard let base = space.baseAddress, space.count > 0 else { return .bytes(0) }
    var count = 0
    owner.box.pointee.isPaused = false
    owner.box.pointee.isWaiting = waiting
    while outcome == nil, count < space.count {
      var moved = 0
      ERR_clear_error()
      let result = SSL_read_ex(owner.ssl, base + count, space.count - count, &moved)
      if result == 1 {
        count += moved
        owner.box.pointee.receivedBytes &+= moved
        isDrained = false
        owner.box.pointee.isPaused = true
        if SSL_has_pending(owner.ssl) == 0 { break }
        continue
      }
      outcome = afterReceive(SSL_get_error(owner.ssl, result))
      if outcome == nil { break }
    }
    owner.box.pointee.isWaiting = false
    owesOutcome = outcome != nil && count > 0
    if count > 0 { return .bytes(count) }
    return outcome ?? .wouldBlock
  }

  /// How receiving ends by this error of OpenSSL's; nil: it goes on when more has come.
  private mutating func afterReceive(_ error: Int32) -> Transfer? {
    let box = owner.box.pointee
    switch error {
    case _ where box.isFlooded:
      fail(EPROTO, "the \(side.peer) sends too many messages of TLS and too few bytes; update it")
    case SSL_ERROR_ZERO_RETURN: return .end
    case SSL_ERROR_WANT_READ:
      isDrained = true
      if box.receiveError == 0 { return box.isEnded ? .end : nil }
      fail(box.receiveError, transportFailureText(box.receiveError))
    case SSL_ERROR_WANT_WRITE where box.sendError != 0:
      fail(box.sendError, transportFailureText(box.sendError))
    case SSL_ERROR_WANT_WRITE:
      fail(EPROTO, "the \(side.peer) asks for an answer of TLS and does not read it; let it read")
    default: fail(EPROTO, failureText(owner.ssl, side))
    }
    return outcome
  }

  /// Whether a `receive` brings something that the transport cannot announce: records that OpenSSL holds, or
  /// an end that came with the last bytes.
  package var hasBuffered: Bool {
    outcome == nil ? !isDrained && SSL_has_pending(owner.ssl) == 1 : owesOutcome
  }

  /// Sends the front of the bytes, a record (16 KiB) at most.
  ///
  /// - Returns: `.bytes`; `.wouldBlock`: the transport has no room now, and a record may wait in OpenSSL: the
  ///   caller comes again with bytes that begin alike and are as many or more; `.failed` as in `receive`.
  package mutating func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    assert(isEstablished, "send comes after the handshake")
    if case .failed = outcome { return outcome.unsafelyUnwrapped }
    guard bytes.count > 0 else { return .bytes(0) }
    var moved = 0
    ERR_clear_error()
    let result = SSL_write_ex(owner.ssl, bytes.baseAddress, bytes.count, &moved)
    if result == 1 { return .bytes(moved) }
    switch SSL_get_error(owner.ssl, result) {
    case SSL_ERROR_WANT_WRITE:
      let number = owner.box.pointee.sendError
      if number == 0 { return .wouldBlock }
      failure = transportFailureText(number)
      return .failed(number)
    case SSL_ERROR_WANT_READ:
      fail(EPROTO, "the \(side.peer) sent a part of a message of TLS and not the rest; update it")
    default: fail(EPROTO, failureText(owner.ssl, side))
    }
    return .failed(EPROTO)
  }

  /// Tells the peer that nothing more will be sent, if the transport has room for it now. What the peer sends
  /// can still be received.
  package mutating func endSending() {
    guard isEstablished, failure == nil else { return }
    ERR_clear_error()
    SSL_shutdown(owner.ssl)
    ERR_clear_error()
  }
}

// MARK: What was agreed

extension TLSSession {
  /// Invariant of the unsafe code here: it is used only as long as the session is borrowed.
  private var verifiedCertificate: OpaquePointer? {
    guard SSL_get_verify_mode(owner.ssl) & SSL_VERIFY_PEER != 0,
      SSL_get_verify_result(owner.ssl) == Int(X509_V_OK)
    else { return nil }
    return SSL_get0_peer_certificate(owner.ssl)
  }

  /// Whom the peer's verified certificate names; nil when it was not asked for one.
  package var peer: TLSPeer? {
    isEstablished ? verifiedCertificate.map { TLSPeer(certificate: $0) } : nil
  }

  /// Whether the handshake went on from a ticket.
  package var isResumed: Bool { SSL_session_reused(owner.ssl) == 1 }

  /// For example `TLSv1.3`.
  package var version: String { String(cString: SSL_get_version(owner.ssl)) }

  /// For example `TLS_AES_128_GCM_SHA256`.
  package var cipher: String { String(cString: SSL_CIPHER_get_name(SSL_get_current_cipher(owner.ssl))) }

  /// A client's newest ticket for its next session; with TLS 1.3 there is none before the first receive.
  package var ticket: TLSTicket? {
    guard case .client(let host) = side, isEstablished, let session = SSL_get1_session(owner.ssl) else {
      return nil
    }
    let ticket = TLSTicket(owning: session, context: context, host: host)
    return SSL_SESSION_is_resumable(session) == 1 ? ticket : nil
  }
}
