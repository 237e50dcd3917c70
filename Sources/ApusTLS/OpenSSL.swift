import COpenSSL

// What OpenSSL's headers have as macros that Swift does not import.

/// Options of a context, `SSL_OP_…` of ssl.h.
enum TLSOption {
  static let noTicket: UInt64 = 1 << 14
  static let noCompression: UInt64 = 1 << 17
  static let prioritizeChaCha: UInt64 = 1 << 21
  static let serverPreference: UInt64 = 1 << 22
  static let noRenegotiation: UInt64 = 1 << 30
}

func setMinimumVersion(_ context: OpaquePointer, _ version: Int32) {
  SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(version), nil)
}

func setMaximumVersion(_ context: OpaquePointer, _ version: Int32) {
  SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(version), nil)
}

func setModes(_ context: OpaquePointer, _ modes: UInt32) {
  SSL_CTX_ctrl(context, SSL_CTRL_MODE, Int(modes), nil)
}

func setReadAhead(_ context: OpaquePointer) {
  SSL_CTX_ctrl(context, SSL_CTRL_SET_READ_AHEAD, 1, nil)
}

func setSessionCacheMode(_ context: OpaquePointer, _ mode: Int32) {
  SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(mode), nil)
}

/// - Returns: whether this OpenSSL has all the groups.
func setGroups(_ context: OpaquePointer, _ names: String) -> Bool {
  names.withCString {
    SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, UnsafeMutableRawPointer(mutating: $0)) == 1
  }
}

/// Adds one more certificate to what is shown after the own one; the context keeps a reference of its own.
func addToChain(_ context: OpaquePointer, _ certificate: OpaquePointer) -> Bool {
  SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(certificate)) == 1
}

/// Names the server that is wanted (SNI, RFC 6066 section 3).
func setServerName(_ ssl: OpaquePointer, _ name: String) -> Bool {
  name.withCString {
    SSL_ctrl(
      ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name),
      UnsafeMutableRawPointer(mutating: $0)) == 1
  }
}

/// What the callback for messages is given.
func setMessageArgument(_ ssl: OpaquePointer, _ argument: UnsafeMutableRawPointer) {
  SSL_ctrl(ssl, SSL_CTRL_SET_MSG_CALLBACK_ARG, 0, argument)
}

func openSSLFree(_ memory: UnsafeMutableRawPointer?) { CRYPTO_free(memory, nil, 0) }

/// Overwrites the bytes in a way that no compiler leaves out.
func wipe(_ bytes: inout [UInt8]) {
  bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
}

/// Why OpenSSL refused: without a code, by the oldest error of this thread's queue, which is the cause of the
/// others.
func openSSLReason(_ code: UInt = ERR_peek_error()) -> String {
  if code == 0 { return "no reason given" }
  if let reason = ERR_reason_error_string(code) { return String(cString: reason) }
  return "error \(String(code, radix: 16))"
}
