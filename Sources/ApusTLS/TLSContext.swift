import COpenSSL
import Glibc

/// What all sessions of one side share: certificate, key, whom it trusts, and for a server the keys of its
/// tickets, so that a ticket of another context is none.
///
/// Invariant of the unsafe code here: `pointer` is an SSL_CTX that this object holds one reference of; it is
/// changed only in `init`, and OpenSSL's own locks guard what sessions of several threads share in it.
package final class TLSContext: @unchecked Sendable {
  let pointer: OpaquePointer
  /// When the first certificate of the own chain expires, in seconds since 1970; `Int64.max` without a chain.
  package private(set) var notAfter = Int64.max

  static let apus = TLSApplication.apus.listed
  static let http = TLSApplication.http.listed
  /// Each session's buffer of records: a burst of them comes by one call of the transport.
  static let readBufferBytes = 64 << 10

  /// A context for a server.
  /// - Throws: when a PEM text cannot be read, or key and certificate do not belong together.
  package init(server configuration: TLSServerConfiguration) throws(TLSError) {
    pointer = try Self.makeContext(TLS_server_method(), configuration.minimumVersion)
    try show(configuration.certificateChain, configuration.privateKey)
    SSL_CTX_set_options(pointer, TLSOption.serverPreference | TLSOption.prioritizeChaCha)
    setSessionCacheMode(pointer, SSL_SESS_CACHE_OFF)
    SSL_CTX_set_num_tickets(pointer, 1)
    let name = configuration.application.listed
    SSL_CTX_set_session_id_context(pointer, name, UInt32(name.count))
    switch configuration.application {
    case .apus: SSL_CTX_set_alpn_select_cb(pointer, selectApus, nil)
    case .http: SSL_CTX_set_alpn_select_cb(pointer, selectHTTP, nil)
    }
    guard let authorities = configuration.clientAuthorities else { return }
    try trust(authorities, name: "client authorities", namedToPeer: true)
    SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
  }

  /// A context for a client.
  /// - Throws: when a PEM text cannot be read, or key and certificate do not belong together.
  package init(client configuration: TLSClientConfiguration) throws(TLSError) {
    pointer = try Self.makeContext(TLS_client_method(), configuration.minimumVersion)
    switch (configuration.certificateChain, configuration.privateKey) {
    case (nil, nil): break
    case (let chain?, let key?): try show(chain, key)
    default: throw TLSError("a certificate chain and a private key go together; give both or neither")
    }
    setSessionCacheMode(pointer, SSL_SESS_CACHE_OFF)
    SSL_CTX_set_alpn_protos(pointer, Self.apus, UInt32(Self.apus.count))
    SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
    if let authorities = configuration.authorities {
      try trust(authorities, name: "authorities", namedToPeer: false)
    } else if SSL_CTX_set_default_verify_paths(pointer) != 1 {
      throw TLSError("the system's trusted certificates cannot be read; name the authorities yourself")
    }
  }

  deinit { SSL_CTX_free(pointer) }
}

// MARK: Parts

extension TLSContext {
  /// A context that is all a session needs except for who it is and whom it trusts.
  private static func makeContext(
    _ method: OpaquePointer?, _ minimum: TLSVersion
  ) throws(TLSError) -> OpaquePointer {
    ERR_clear_error()
    defer { ERR_clear_error() }
    guard let context = SSL_CTX_new(method) else {
      throw TLSError("OpenSSL makes no context (\(openSSLReason())); look at its configuration and memory")
    }
    setMinimumVersion(context, minimum == .v13 ? TLS1_3_VERSION : TLS1_2_VERSION)
    setMaximumVersion(context, TLS1_3_VERSION)
    SSL_CTX_set_security_level(context, 2)
    SSL_CTX_clear_options(context, TLSOption.noTicket)
    SSL_CTX_set_options(context, TLSOption.noCompression | TLSOption.noRenegotiation)
    setModes(
      context,
      SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY
        | SSL_MODE_NO_AUTO_CHAIN)
    setReadAhead(context)
    SSL_CTX_set_default_read_buffer_len(context, readBufferBytes)
    let hasAll =
      SSL_CTX_set_ciphersuites(context, ciphers13) == 1 && SSL_CTX_set_cipher_list(context, ciphers12) == 1
      && setGroups(context, groups)
    guard hasAll else {
      let reason = openSSLReason()
      SSL_CTX_free(context)
      throw TLSError("OpenSSL lacks ciphers that Apus speaks (\(reason)); look at its configuration")
    }
    return context
  }

  private static let ciphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
  private static let ciphers12 = [
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
  ].joined(separator: ":")

  /// The last one only so that certificates with such keys can be used with TLS 1.2.
  private static let groups = "X25519:P-256:P-384"

  /// Shows this chain to peers and proves it by this key.
  private func show(_ chain: [UInt8], _ key: [UInt8]) throws(TLSError) {
    let certificates = try readCertificates(chain, name: "certificate chain")
    let privateKey = try readPrivateKey(key, name: "private key")
    ERR_clear_error()
    defer { ERR_clear_error() }
    guard X509_check_private_key(certificates[0].pointer, privateKey.pointer) == 1 else {
      throw TLSError(
        "the private key does not belong to the first certificate of the chain; "
          + "give its own key, and the chain with the own certificate first")
    }
    var taken = SSL_CTX_use_certificate(pointer, certificates[0].pointer) == 1
    for certificate in certificates.dropFirst() where taken {
      taken = addToChain(pointer, certificate.pointer)
    }
    guard taken, SSL_CTX_use_PrivateKey(pointer, privateKey.pointer) == 1 else {
      throw TLSError("the certificate chain is refused (\(openSSLReason())); have a stronger one made")
    }
    notAfter = certificates.map { secondsSince1970(X509_get0_notAfter($0.pointer)) }.min() ?? .max
  }

  /// Trusts these and whom they sign, also where they are themselves signed by another.
  private func trust(_ authorities: [UInt8], name: String, namedToPeer: Bool) throws(TLSError) {
    let certificates = try readCertificates(authorities, name: name)
    ERR_clear_error()
    defer { ERR_clear_error() }
    let store = SSL_CTX_get_cert_store(pointer)
    X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
    for certificate in certificates {
      guard X509_STORE_add_cert(store, certificate.pointer) == 1,
        !namedToPeer || SSL_CTX_add_client_CA(pointer, certificate.pointer) == 1
      else { throw TLSError("\(name): a certificate is refused (\(openSSLReason())); give another") }
    }
  }
}

/// A certificate's time; 0 when it cannot be read.
private func secondsSince1970(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
  var parts = tm()
  return ASN1_TIME_to_tm(time, &parts) == 1 ? Int64(timegm(&parts)) : 0
}

/// Takes Apus's protocol if the client offers it, and refuses the client if it offers only others.
private func selectApus(
  _: OpaquePointer?, _ selected: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  _ selectedCount: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ count: UInt32,
  _: UnsafeMutableRawPointer?
) -> Int32 {
  let isFound = select(TLSContext.apus, selected, selectedCount, offered, count)
  return isFound ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL
}

/// Takes HTTP/1.1 if the client offers it, and otherwise names nothing, which means the same.
private func selectHTTP(
  _: OpaquePointer?, _ selected: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  _ selectedCount: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ count: UInt32,
  _: UnsafeMutableRawPointer?
) -> Int32 {
  let isFound = select(TLSContext.http, selected, selectedCount, offered, count)
  return isFound ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK
}

/// Finds a name, with its length before it, in the list that the client offers.
///
/// Invariant of the unsafe code here: OpenSSL gives `count` bytes at `offered` and copies what `selected`
/// points to before it frees them. It has checked that the names end where the list ends; here no name is
/// read past it either way.
private func select(
  _ name: [UInt8], _ selected: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  _ selectedCount: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ count: UInt32
) -> Bool {
  guard let offered, let selected, let selectedCount else { return false }
  let list = UnsafeBufferPointer(start: offered, count: Int(count))
  var start = 0
  while start < list.count {
    let end = start + 1 + Int(list[start])
    guard end <= list.count else { break }
    if list[start..<end].elementsEqual(name) {
      selected.pointee = offered + start + 1
      selectedCount.pointee = UInt8(end - start - 1)
      return true
    }
    start = end
  }
  return false
}
