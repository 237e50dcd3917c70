import COpenSSL
import Glibc

/// How a client names the server: certificates and SNI know names and addresses apart.
enum TLSHost: Equatable {
  case name(String)
  /// IPv4 or IPv6, without brackets and zone.
  case address(String)

  /// - Throws: when it is empty or holds a zero byte, at which C would cut it.
  init(_ host: String) throws(TLSError) {
    guard !host.isEmpty, !host.utf8.contains(0) else {
      throw TLSError("there is no host name to verify the server's certificate by; give one")
    }
    var text = Substring(host)
    if text.first == "[", text.last == "]" { text = text.dropFirst().dropLast() }
    let address = String(text.prefix { $0 != "%" })
    if Self.isAddress(address) {
      self = .address(address)
    } else {
      // A dot at the end makes a name absolute; certificates and SNI have none (RFC 6066, section 3).
      self = .name(text.last == "." ? String(text.dropLast()) : String(text))
    }
  }

  private static func isAddress(_ text: String) -> Bool {
    var bytes = in6_addr()
    return inet_pton(AF_INET, text, &bytes) == 1 || inet_pton(AF_INET6, text, &bytes) == 1
  }
}

extension SSLOwner {
  /// Has the server's certificate verified against its subject alternative names alone.
  func expect(_ host: TLSHost) throws(TLSError) {
    ERR_clear_error()
    defer { ERR_clear_error() }
    let flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT
    SSL_set_hostflags(ssl, UInt32(flags))
    let isTaken =
      switch host {
      case .address(let text): X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1
      case .name(let text): SSL_set1_host(ssl, text) == 1 && setServerName(ssl, text)
      }
    guard isTaken else {
      throw TLSError("no certificate can name this host; give a DNS name or a numeric address")
    }
  }
}
