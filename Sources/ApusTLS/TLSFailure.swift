import COpenSSL
import Glibc

/// Whose failure is told.
enum TLSSide {
  case server
  case client(host: String)

  var peer: String { if case .server = self { "client" } else { "server" } }
}

/// Whether OpenSSL's last error of this thread is that the peer's certificate is missing or not trusted.
var lastErrorRefusesCertificate: Bool {
  let code = ERR_peek_last_error()
  guard ERR_GET_LIB(code) == ERR_LIB_SSL else { return false }
  let reason = ERR_GET_REASON(code)
  return reason == SSL_R_CERTIFICATE_VERIFY_FAILED || reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE
}

/// What went wrong in OpenSSL's last call for `ssl`: one line, from this thread's queue of errors, which it
/// takes out.
func failureText(_ ssl: OpaquePointer, _ side: TLSSide) -> String {
  var code = ERR_peek_error()
  if code == 0 { return "TLS failed: no reason given" }
  // What TLS makes of it says more than what went wrong deeper down.
  while ERR_peek_error() != 0, ERR_GET_LIB(ERR_peek_error()) != ERR_LIB_SSL { ERR_get_error() }
  if ERR_peek_error() != 0 { code = ERR_peek_error() }
  let text = openSSLReason(code)
  let reason = ERR_GET_REASON(code)
  guard ERR_GET_LIB(code) == ERR_LIB_SSL else { return "TLS failed: \(text)" }
  if reason == SSL_R_CERTIFICATE_VERIFY_FAILED {
    return verificationText(Int32(truncatingIfNeeded: SSL_get_verify_result(ssl)), side)
  }
  let alerts = SSL_AD_REASON_OFFSET..<(SSL_AD_REASON_OFFSET + 256)
  if alerts.contains(reason) { return alertText(reason - SSL_AD_REASON_OFFSET, side) }
  switch reason {
  case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    return "the client showed no certificate, which this server requires; give it one"
  case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST:
    return "the client speaks HTTP without TLS; connect to the address for HTTP"
  case SSL_R_WRONG_VERSION_NUMBER, SSL_R_BAD_RECORD_TYPE:
    return "what the \(side.peer) sends is no TLS; use TLS on both sides or on neither"
  case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_NO_PROTOCOLS_AVAILABLE, SSL_R_VERSION_TOO_LOW:
    return "the \(side.peer) speaks no version of TLS that is allowed here; update it, or allow 1.2"
  case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_GROUPS,
    SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    return "the client has no cipher in common with this server (\(text)); update it"
  case SSL_R_NO_APPLICATION_PROTOCOL:
    return "the client offers protocols (ALPN) but not apus/1; connect with a client of Apus"
  case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    return "a record was changed on its way; look at what lies between the two sides"
  case SSL_R_NO_RENEGOTIATION:
    return "the \(side.peer) refused to renegotiate; open another connection"
  default:
    return "the \(side.peer) broke the TLS protocol: \(text)"
  }
}

/// Why a certificate is not trusted; `result` is one of `X509_V_ERR_…`.
private func verificationText(_ result: Int32, _ side: TLSSide) -> String {
  let certificate = "the \(side.peer)'s certificate"
  switch result {
  case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
    guard case .client(let host) = side else { break }
    return "\(certificate) is not for \(host); connect by one of its subject alternative names"
  case X509_V_ERR_CERT_HAS_EXPIRED:
    return "\(certificate) or one that signed it has expired; have it renewed"
  case X509_V_ERR_CERT_NOT_YET_VALID:
    return "\(certificate) is not valid yet; look at the clocks of both machines"
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
    X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    return "\(certificate) is signed by no trusted authority; "
      + "trust the one that signed it, and let the chain lead to it"
  case X509_V_ERR_INVALID_PURPOSE:
    return "\(certificate) is not made for a \(side.peer); have one made whose extended key usage allows it"
  default: break
  }
  return "\(certificate) is not trusted: \(String(cString: X509_verify_cert_error_string(Int(result))))"
}

/// What the peer's fatal alert says; the numbers are those of RFC 8446, section 6.
private func alertText(_ alert: Int32, _ side: TLSSide) -> String {
  switch alert {
  case SSL_AD_CERTIFICATE_REQUIRED:
    return "the \(side.peer) requires a certificate; give a certificate chain and its private key"
  case SSL_AD_UNKNOWN_CA:
    return "the \(side.peer) does not trust who signed this side's certificate; use one that it trusts"
  case SSL_AD_BAD_CERTIFICATE, SSL_AD_UNSUPPORTED_CERTIFICATE, SSL_AD_CERTIFICATE_REVOKED,
    SSL_AD_CERTIFICATE_EXPIRED, SSL_AD_CERTIFICATE_UNKNOWN:
    let text = String(cString: SSL_alert_desc_string_long(alert))
    return "the \(side.peer) refuses this side's certificate (\(text)); have another made"
  case SSL_AD_PROTOCOL_VERSION:
    return "the \(side.peer) allows no version of TLS that this side speaks; allow the same on both"
  case SSL_AD_HANDSHAKE_FAILURE, SSL_AD_INSUFFICIENT_SECURITY:
    return "the \(side.peer) finds no cipher in common; allow the same on both sides"
  case SSL_AD_NO_APPLICATION_PROTOCOL:
    return "the \(side.peer) does not speak apus/1 (ALPN); connect to a server of Apus"
  default:
    return "the \(side.peer) broke off: \(String(cString: SSL_alert_desc_string_long(alert)))"
  }
}

/// What a transport's error number means.
func transportFailureText(_ number: Int32) -> String {
  "the connection broke: \(String(cString: strerror(number)))"
}
