import COpenSSL

/// SHA-256 of bytes that come piece by piece.
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
