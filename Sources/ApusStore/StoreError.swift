/// Why something of a store is not here: what, of which URL, and what to do, in one line.
package struct StoreError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Kind: Sendable {
    /// No answer, or one that says that the store is busy or broken.
    case unreachable
    /// 401 or 403.
    case denied
    /// 404 or 410.
    case missing
    /// What was asked for has become another.
    case changed
    /// The store's answer cannot be used.
    case unusable
    /// This machine's own: a full disk, a folder that cannot be written.
    case local
    /// The caller's own.
    case usage
  }

  package let kind: Kind
  package let description: String

  package init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

/// A text from elsewhere in one line without control characters, and not too long.
func shown(_ text: some StringProtocol) -> String {
  var result = ""
  for scalar in text.unicodeScalars.prefix(300) {
    let isPlain = scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value)
    result.unicodeScalars.append(isPlain ? scalar : "\u{FFFD}")
  }
  return result
}

/// The bytes in memory, for a body that throws errors of one type.
func withBytes<Result, Failure: Error>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
) throws(Failure) -> Result {
  let result = bytes.withUnsafeBytes { bytes -> Swift.Result<Result, Failure> in
    do throws(Failure) { return .success(try body(bytes)) } catch { return .failure(error) }
  }
  return try result.get()
}
