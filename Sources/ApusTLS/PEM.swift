import COpenSSL

/// Owner of one reference to an X.509 certificate.
///
/// Invariant of the unsafe code here: `pointer` is a certificate of which this object holds one reference
/// until its end.
final class Certificate {
  let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) { self.pointer = pointer }

  deinit { X509_free(pointer) }
}

/// Owner of one reference to a private key.
///
/// Invariant of the unsafe code here: as `Certificate`.
struct PrivateKey: ~Copyable {
  let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) { self.pointer = pointer }

  deinit { EVP_PKEY_free(pointer) }
}

/// Reads every certificate of a PEM text; what else stands there is passed over.
/// - Parameter name: what the text is, for the error's text.
/// - Throws: when there is none, or one that cannot be read.
func readCertificates(_ text: [UInt8], name: String) throws(TLSError) -> [Certificate] {
  ERR_clear_error()
  defer { ERR_clear_error() }
  var found: [Certificate] = []
  let isWhole = withMemoryBIO(text) { bio in
    while let pointer = PEM_read_bio_X509(bio, nil, noPassword, nil) {
      found.append(Certificate(owning: pointer))
    }
    let last = ERR_peek_last_error()
    return ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE
  }
  if isWhole == false {
    throw TLSError(
      "\(name): certificate \(found.count + 1) cannot be read (\(openSSLReason())); give certificates in PEM")
  }
  if found.isEmpty {
    throw TLSError("\(name): there is no certificate in it; give PEM text with BEGIN CERTIFICATE")
  }
  return found
}

/// Reads the first private key of a PEM text. No copy of the text is made.
/// - Throws: when there is none, or it is encrypted or cannot be read.
func readPrivateKey(_ text: [UInt8], name: String) throws(TLSError) -> PrivateKey {
  ERR_clear_error()
  defer { ERR_clear_error() }
  var asked = false
  let pointer = withMemoryBIO(text) { bio in
    withUnsafeMutablePointer(to: &asked) { PEM_read_bio_PrivateKey(bio, nil, noPassword, $0) }
  }
  if let pointer = pointer ?? nil { return PrivateKey(owning: pointer) }
  if asked {
    throw TLSError("\(name): the private key is encrypted; decrypt it, for example by openssl pkey")
  }
  guard holds(text, "PRIVATE KEY-----") else {
    throw TLSError("\(name): there is no private key in it; give PEM text with BEGIN PRIVATE KEY")
  }
  throw TLSError("\(name): the private key cannot be read (\(openSSLReason())); give a key in PEM")
}

/// Looked up in place, so that no copy of a key is made.
private func holds(_ text: [UInt8], _ mark: String) -> Bool {
  text.indices.contains { text[$0...].starts(with: mark.utf8) }
}

/// Says that there is no password, in place of OpenSSL's own callback, which asks at the terminal; notes in
/// the `Bool` behind `asked` that one was wanted.
private func noPassword(
  _: UnsafeMutablePointer<CChar>?, _: Int32, _: Int32, _ asked: UnsafeMutableRawPointer?
) -> Int32 {
  asked?.assumingMemoryBound(to: Bool.self).pointee = true
  return -1
}

/// Runs `body` on a reader of the text; nil when the text is empty or there is no memory.
///
/// Invariant of the unsafe code here: the reader refers to the text's memory and is freed before that ends.
private func withMemoryBIO<Result>(_ text: [UInt8], _ body: (OpaquePointer) -> Result) -> Result? {
  text.withUnsafeBytes { bytes in
    guard bytes.count > 0, bytes.count <= Int(Int32.max),
      let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count))
    else { return nil }
    defer { BIO_free(bio) }
    return body(bio)
  }
}
