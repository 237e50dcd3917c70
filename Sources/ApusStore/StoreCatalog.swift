/// What a store holds.
package struct StoreCatalog: Equatable, Sendable {
  package var models: [StoreModel]

  package init(models: [StoreModel] = []) { self.models = models }
}

package struct StoreModel: Equatable, Sendable {
  package let name: String
  package var versions: [StoreVersion]
  package var state: StoreState?
}

package struct StoreVersion: Equatable, Sendable {
  package let number: UInt64
  package var files: [StoreFile]

  /// Most files of a version.
  static let mostFiles = 64

  /// All files' bytes, or nil where the sum is beyond all numbers.
  var byteCount: Int? {
    var sum = 0
    for file in files {
      let (next, overflow) = sum.addingReportingOverflow(file.byteCount)
      if overflow { return nil }
      sum = next
    }
    return sum
  }

  /// A line for each file, from which two versions can be told apart.
  package var record: String {
    files.sorted { $0.name < $1.name }.map { "\($0.digest) \($0.byteCount) \($0.name)\n" }.joined()
  }
}

package struct StoreFile: Equatable, Sendable {
  package let name: String
  package let byteCount: Int
  package var digest: StoreDigest
}

/// What is known of a file's content.
package enum StoreDigest: Equatable, Sendable, CustomStringConvertible {
  /// 64 lower-case digits.
  case sha256(String)
  /// The ETag of a listing, without its quotes.
  case tag(String)

  package var description: String {
    switch self {
    case .sha256(let digits): "sha256:\(digits)"
    case .tag(let tag): "etag:\(tag)"
    }
  }

  /// The MD5 that S3 gives as the ETag of what was uploaded in one part; nil for more parts.
  var md5: String? {
    guard case .tag(let tag) = self, tag.utf8.count == 32, isHexadecimal(tag) else { return nil }
    return tag
  }
}

/// Aliases, and which versions are withdrawn; only a server reads them.
package enum StoreState: Equatable, Sendable {
  /// JSON, as an index holds it.
  case content([UInt8])
  /// An object of the store with this ETag.
  case object(tag: String)

  /// The longest state, in bytes.
  static let mostBytes = 1 << 20
}

/// Lower-case hexadecimal digits and nothing else.
func isHexadecimal(_ text: String) -> Bool {
  text.utf8.allSatisfy {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
      || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
  }
}
