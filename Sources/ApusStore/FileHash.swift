import ApusBase
import COpenSSL

/// SHA-256 or MD5 of what is added to it.
struct FileHash: ~Copyable {
  enum Kind { case sha256, md5 }

  /// Invariant: made in `init`, freed in `deinit`.
  private let context: OpaquePointer

  init(_ kind: Kind) {
    guard let context = EVP_MD_CTX_new(),
      EVP_DigestInit_ex(context, kind == .sha256 ? EVP_sha256() : EVP_md5(), nil) == 1
    else { preconditionFailure("SHA-256 and MD5 are part of every OpenSSL") }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
  }

  /// The digest in hexadecimal; nothing may be added after it.
  mutating func digits() -> String {
    var result = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count: UInt32 = 0
    EVP_DigestFinal_ex(context, &result, &count)
    return hexadecimal(Array(result[..<Int(count)]))
  }
}
