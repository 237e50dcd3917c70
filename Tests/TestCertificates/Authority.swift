import COpenSSL
import Glibc

/// A certificate and its private key, in PEM.
package struct Identity: Sendable {
  /// The own certificate first.
  package var chain: [UInt8]
  package var key: [UInt8]

  package init(chain: [UInt8], key: [UInt8]) {
    self.chain = chain
    self.key = key
  }
}

/// A key that certificates are made for.
///
/// Invariant of the unsafe code here: `pointer` is a key of which this object holds one reference; it is not
/// changed after `init`.
package final class Key: @unchecked Sendable {
  package let pointer: OpaquePointer

  /// An elliptic key of this group, by OpenSSL's name for it.
  package init(group: String = "P-256") {
    let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil)
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    precondition(EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_group_name(context, group) == 1)
    precondition(EVP_PKEY_generate(context, &key) == 1)
    pointer = key!
  }

  package init(rsaBits: Int32) {
    let context = EVP_PKEY_CTX_new_from_name(nil, "RSA", nil)
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    precondition(EVP_PKEY_keygen_init(context) == 1)
    precondition(EVP_PKEY_CTX_set_rsa_keygen_bits(context, rsaBits) == 1)
    precondition(EVP_PKEY_generate(context, &key) == 1)
    pointer = key!
  }

  deinit { EVP_PKEY_free(pointer) }

  package var pem: [UInt8] { text { PEM_write_bio_PrivateKey($0, pointer, nil, nil, 0, nil, nil) } }

  package func pem(password: String) -> [UInt8] {
    let bytes = Array(password.utf8)
    return text {
      PEM_write_bio_PrivateKey($0, pointer, EVP_aes_128_cbc(), bytes, Int32(bytes.count), nil, nil)
    }
  }
}

/// What a certificate says.
package struct Naming {
  package var commonNames: [String] = []
  /// As OpenSSL's configuration has them: `DNS:…,IP:…,URI:…,email:…`; nil: no such extension.
  package var alternativeNames: String?
  /// For example `serverAuth`; nil: for all.
  package var usage: String?
  /// Seconds from now.
  package var notBefore = -3600
  package var notAfter = 3600

  package init(
    commonNames: [String] = [], alternativeNames: String? = nil, usage: String? = nil,
    notBefore: Int = -3600, notAfter: Int = 3600
  ) {
    self.commonNames = commonNames
    self.alternativeNames = alternativeNames
    self.usage = usage
    self.notBefore = notBefore
    self.notAfter = notAfter
  }
}

/// An authority that signs certificates, made in memory for one run.
///
/// Invariant of the unsafe code here: `certificate` is one of which this object holds a reference; it is not
/// changed after `init`.
package final class Authority: @unchecked Sendable {
  package let key = Key()
  package let certificate: OpaquePointer
  /// The chain from here up to the root, without the root, which is empty for a root.
  private let chain: [UInt8]

  /// - Parameter parent: who signs it; nil: it signs itself.
  package init(_ name: String, signedBy parent: Authority? = nil) {
    let naming = Naming(commonNames: [name])
    certificate = make(naming, key, isAuthority: true, issuer: parent?.certificate, parent?.key ?? key)
    let own = certificate
    chain = parent.map { text { PEM_write_bio_X509($0, own) } + $0.chain } ?? []
  }

  deinit { X509_free(certificate) }

  package var pem: [UInt8] { text { PEM_write_bio_X509($0, certificate) } }

  package func issue(_ naming: Naming, key: Key = Key()) -> Identity {
    let issued = make(naming, key, isAuthority: false, issuer: certificate, self.key)
    defer { X509_free(issued) }
    return Identity(chain: text { PEM_write_bio_X509($0, issued) } + chain, key: key.pem)
  }
}

/// A certificate that signs itself.
package func selfSigned(_ naming: Naming) -> Identity {
  let key = Key()
  let certificate = make(naming, key, isAuthority: false, issuer: nil, key)
  defer { X509_free(certificate) }
  return Identity(chain: text { PEM_write_bio_X509($0, certificate) }, key: key.pem)
}

private func make(
  _ naming: Naming, _ key: Key, isAuthority: Bool, issuer: OpaquePointer?, _ issuerKey: Key
) -> OpaquePointer {
  let certificate = X509_new()!
  X509_set_version(certificate, 2)
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), Int.random(in: 1...(1 << 60)))
  X509_gmtime_adj(X509_getm_notBefore(certificate), naming.notBefore)
  X509_gmtime_adj(X509_getm_notAfter(certificate), naming.notAfter)
  let subject = X509_get_subject_name(certificate)
  for name in naming.commonNames {
    X509_NAME_add_entry_by_NID(
      subject, NID_commonName, MBSTRING_UTF8, Array(name.utf8), Int32(name.utf8.count), -1, 0)
  }
  X509_set_issuer_name(certificate, issuer.map { X509_get_subject_name($0) } ?? subject)
  X509_set_pubkey(certificate, key.pointer)
  func add(_ kind: Int32, _ value: String) {
    var context = X509V3_CTX()
    X509V3_set_ctx(&context, issuer ?? certificate, certificate, nil, nil, 0)
    let part = X509V3_EXT_conf_nid(nil, &context, kind, value)
    precondition(part != nil && X509_add_ext(certificate, part, -1) == 1, "an extension that is well formed")
    X509_EXTENSION_free(part)
  }
  add(NID_basic_constraints, isAuthority ? "critical,CA:TRUE" : "CA:FALSE")
  if isAuthority { add(NID_key_usage, "critical,keyCertSign,cRLSign") }
  if let usage = naming.usage { add(NID_ext_key_usage, usage) }
  if let names = naming.alternativeNames { add(NID_subject_alt_name, names) }
  precondition(X509_sign(certificate, issuerKey.pointer, EVP_sha256()) > 0)
  return certificate
}

/// What is written to a BIO in memory.
private func text(_ write: (OpaquePointer?) -> Int32) -> [UInt8] {
  let bio = BIO_new(BIO_s_mem())
  defer { BIO_free(bio) }
  precondition(write(bio) == 1)
  var start: UnsafeMutablePointer<CChar>?
  let count = BIO_ctrl(bio, BIO_CTRL_INFO, 0, &start)
  return Array(UnsafeRawBufferPointer(start: start, count: count))
}
