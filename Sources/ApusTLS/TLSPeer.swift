import COpenSSL
import Glibc

/// Whom a verified certificate names.
package struct TLSPeer: Sendable, Equatable {
  /// The subject's common name, if it has exactly one and that without control characters.
  package let commonName: String?
  /// The subject's alternative names (RFC 5280, section 4.2.1.6), each with its kind: `dns:…`, `uri:…`,
  /// `ip:…`, `email:…`. Other kinds are left out, and names with bytes that are no visible ASCII.
  package let alternativeNames: [String]

  package init(commonName: String?, alternativeNames: [String]) {
    self.commonName = commonName
    self.alternativeNames = alternativeNames
  }

  /// Invariant of the unsafe code here: `certificate` is good during the call.
  init(certificate: OpaquePointer) {
    commonName = Self.commonName(X509_get_subject_name(certificate))
    alternativeNames = Self.alternativeNames(certificate)
  }

  private static func commonName(_ subject: OpaquePointer?) -> String? {
    let index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
    guard index >= 0, X509_NAME_get_index_by_NID(subject, NID_commonName, index) < 0 else { return nil }
    let value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index))
    var bytes: UnsafeMutablePointer<UInt8>?
    let count = ASN1_STRING_to_UTF8(&bytes, value)
    defer { openSSLFree(bytes) }
    guard count > 0, let bytes else { return nil }
    let text = UnsafeBufferPointer(start: bytes, count: Int(count))
    guard text.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
    return String(validating: text, as: UTF8.self)
  }

  /// Invariant of the unsafe code here: the list is a stack of GENERAL_NAME, which is freed as one.
  private static func alternativeNames(_ certificate: OpaquePointer) -> [String] {
    guard let list = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
    let names = OpaquePointer(list)
    defer { GENERAL_NAMES_free(names) }
    return (0..<max(0, OPENSSL_sk_num(names))).compactMap { index in
      let name = OPENSSL_sk_value(names, index)?.assumingMemoryBound(to: GENERAL_NAME.self)
      var kind: Int32 = 0
      guard let name, let value = GENERAL_NAME_get0_value(name, &kind) else { return nil }
      return text(value, kind)
    }
  }

  private static func text(_ value: UnsafeMutableRawPointer, _ kind: Int32) -> String? {
    guard [GEN_DNS, GEN_URI, GEN_IPADD, GEN_EMAIL].contains(kind) else { return nil }
    let string = value.assumingMemoryBound(to: ASN1_STRING.self)
    let bytes = UnsafeBufferPointer(
      start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
    switch kind {
    case GEN_DNS: return visible(bytes).map { "dns:" + $0 }
    case GEN_URI: return visible(bytes).map { "uri:" + $0 }
    case GEN_EMAIL: return visible(bytes).map { "email:" + $0 }
    default: return address(bytes).map { "ip:" + $0 }
    }
  }

  private static func visible(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
    guard !bytes.isEmpty, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func address(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
      let family = bytes.count == 4 ? AF_INET : AF_INET6
      return inet_ntop(family, bytes.baseAddress, text.baseAddress, socklen_t(text.count))
        .map { String(cString: $0) }
    }
  }
}

/// Invariant of the unsafe code here: `certificate` is good during the call.
func hasExpired(_ certificate: OpaquePointer) -> Bool {
  X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0
}
