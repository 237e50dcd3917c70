import ApusBase
import ApusDigest
import COpenSSL
import Glibc

/// A private key that signs versions: Ed25519 (RFC 8032), kept as PEM of PKCS #8 (RFC 8410).
///
/// Invariant of the unsafe code here: `key` is an Ed25519 private key of which this object holds the one
/// reference until its end.
package struct SigningKey: ~Copyable {
  private let key: OpaquePointer
  /// 32 bytes.
  package let publicKey: [UInt8]

  private init(owning key: OpaquePointer) throws(ModelError) {
    do { publicKey = try rawPublicKey(key) } catch {
      EVP_PKEY_free(key)
      throw error
    }
    self.key = key
  }

  deinit { EVP_PKEY_free(key) }

  package static func create() throws(ModelError) -> SigningKey {
    var seed = [UInt8](repeating: 0, count: 32)
    defer { OPENSSL_cleanse(&seed, seed.count) }
    guard RAND_priv_bytes(&seed, Int32(seed.count)) == 1,
      let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count)
    else { throw ModelError("OpenSSL could not make a key") }
    return try SigningKey(owning: key)
  }

  /// Reads a key that is not encrypted.
  package init(pem: [UInt8]) throws(ModelError) {
    let key = withReader(pem) { PEM_read_bio_PrivateKey($0, nil, noPassword, nil) }
    guard let key else {
      throw ModelError("there is no private key in it; make one with apus model key create FILE")
    }
    try self.init(owning: key)
  }

  /// Reads a file that only its owner may read.
  package init(path: String) throws(ModelError) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw ModelError("cannot open \(lastComponent(path)): \(systemError())")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw ModelError("others may read the private key \(lastComponent(path)); chmod 600 it")
    }
    let file = try MappedFile(path: path)
    guard file.bytes.count <= maximumPEMBytes else { throw ModelError("\(lastComponent(path)) is no key") }
    var text = Array(file.bytes)
    defer { OPENSSL_cleanse(&text, text.count) }
    try self.init(pem: text)
  }

  package var id: String { keyID(publicKey) }

  /// PKCS #8, not encrypted.
  package func privatePEM() throws(ModelError) -> [UInt8] {
    try written { PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil) }
  }

  /// SubjectPublicKeyInfo (RFC 5280, section 4.1).
  package func publicPEM() throws(ModelError) -> [UInt8] { try written { PEM_write_bio_PUBKEY($0, key) } }

  package func sign(_ statement: [UInt8]) throws(ModelError) -> ManifestSignatures.Entry {
    var signature = [UInt8](repeating: 0, count: 64)
    var count = signature.count
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
      EVP_DigestSign(context, &signature, &count, statement, statement.count) == 1, count == 64
    else { throw ModelError("OpenSSL could not sign") }
    return ManifestSignatures.Entry(key: id, signature: signature)
  }
}

/// The public keys whose signatures count.
package struct TrustedKeys: Sendable {
  /// 32 bytes each, by their ids.
  private var keys: [String: [UInt8]] = [:]

  package init() {}

  /// - Parameter files: PEM files of one public key each.
  package init(files: [String]) throws(ModelError) {
    for path in files {
      let file = try MappedFile(path: path)
      do {
        guard file.bytes.count <= maximumPEMBytes else { throw ModelError("it is no key") }
        try add(pem: Array(file.bytes))
      } catch { throw ModelError("\(lastComponent(path)): \(error)") }
    }
  }

  package mutating func add(pem: [UInt8]) throws(ModelError) {
    let marks = String(decoding: pem, as: UTF8.self).split(separator: "-----BEGIN ").count
    guard let key = withReader(pem, { PEM_read_bio_PUBKEY($0, nil, noPassword, nil) }) else {
      throw ModelError("there is no public key in it; print one with apus model key public FILE")
    }
    defer { EVP_PKEY_free(key) }
    guard marks <= 2 else { throw ModelError("it holds more than one key; give a file for each") }
    let raw = try rawPublicKey(key)
    keys[keyID(raw)] = raw
  }

  package var isEmpty: Bool { keys.isEmpty }
  package var ids: [String] { keys.keys.sorted() }

  /// The id of the first trusted key that signed the statement; nil where none did so validly.
  package func signer(of statement: [UInt8], signatures: ManifestSignatures) -> String? {
    signatures.entries.first { entry in
      keys[entry.key].map { Self.isValid(entry.signature, of: statement, by: $0) } ?? false
    }?.key
  }

  private static func isValid(_ signature: [UInt8], of statement: [UInt8], by raw: [UInt8]) -> Bool {
    guard signature.count == 64,
      let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, raw, raw.count)
    else { return false }
    let context = EVP_MD_CTX_new()
    defer {
      EVP_MD_CTX_free(context)
      EVP_PKEY_free(key)
      ERR_clear_error()
    }
    return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
      && EVP_DigestVerify(context, signature, signature.count, statement, statement.count) == 1
  }
}

// MARK: PEM

/// A key takes some hundred bytes.
private let maximumPEMBytes = 64 << 10

private func keyID(_ publicKey: [UInt8]) -> String {
  "ed25519:" + hexadecimal(Array(publicKey.withUnsafeBytes { sha256($0) }.prefix(8)))
}

private func rawPublicKey(_ key: OpaquePointer) throws(ModelError) -> [UInt8] {
  var raw = [UInt8](repeating: 0, count: 32)
  var count = raw.count
  guard EVP_PKEY_get_id(key) == EVP_PKEY_ED25519, EVP_PKEY_get_raw_public_key(key, &raw, &count) == 1,
    count == 32
  else { throw ModelError("the key is not of Ed25519; make one with apus model key create FILE") }
  return raw
}

/// In place of OpenSSL's own callback, which asks at the terminal.
private func noPassword(
  _: UnsafeMutablePointer<CChar>?, _: Int32, _: Int32, _: UnsafeMutableRawPointer?
) -> Int32 { -1 }

/// Runs `body` on a reader of the text. Invariant of the unsafe code here: the reader refers to the text's
/// memory and is freed before that ends.
private func withReader(_ text: [UInt8], _ body: (OpaquePointer) -> OpaquePointer?) -> OpaquePointer? {
  text.withUnsafeBytes { bytes in
    guard bytes.count > 0, bytes.count <= maximumPEMBytes,
      let reader = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count))
    else { return nil }
    defer {
      BIO_free(reader)
      ERR_clear_error()
    }
    return body(reader)
  }
}

/// What `write` writes.
private func written(_ write: (OpaquePointer) -> Int32) throws(ModelError) -> [UInt8] {
  guard let writer = BIO_new(BIO_s_mem()) else { throw ModelError("there is no memory for a key") }
  defer { BIO_free(writer) }
  var bytes = [UInt8](repeating: 0, count: 4096)
  guard write(writer) == 1 else { throw ModelError("OpenSSL could not write the key") }
  let count = BIO_read(writer, &bytes, Int32(bytes.count))
  guard count > 0 else { throw ModelError("OpenSSL could not write the key") }
  return Array(bytes[..<Int(count)])
}
