import COpenSSL

/// SHA-256 (FIPS 180-4) of bytes that come piece by piece.
///
/// Invariant of the unsafe code here: `context` is an EVP_MD_CTX that this value owns, set up for SHA-256.
package struct SHA256: ~Copyable {
  private let context: OpaquePointer

  package init() {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      preconditionFailure("SHA-256 is part of every OpenSSL")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    precondition(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1, "SHA-256 takes any bytes")
  }

  /// 32 bytes.
  package consuming func finish() -> [UInt8] {
    var result = [UInt8](repeating: 0, count: 32)
    precondition(EVP_DigestFinal_ex(context, &result, nil) == 1, "SHA-256 ends once")
    return result
  }
}

/// SHA-256 of bytes that are all there, 32 bytes.
package func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
  var result = [UInt8](repeating: 0, count: 32)
  let done = EVP_Digest(bytes.baseAddress, bytes.count, &result, nil, EVP_sha256(), nil)
  precondition(done == 1, "SHA-256 is part of every OpenSSL")
  return result
}

/// SHA-256 of a text in UTF-8, 32 bytes.
package func sha256(of text: String) -> [UInt8] { Array(text.utf8).withUnsafeBytes { sha256($0) } }
