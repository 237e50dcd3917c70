/// Where a store is: `s3://BUCKET/PREFIX`, or `https://HOST/PATH` (and `http://…`).
package struct StoreLocation: Equatable, Sendable {
  package enum Kind: Sendable { case s3, web }

  package let kind: Kind
  /// What stands before the key of an object, escaped, with a slash at its end.
  private let base: String
  /// What stands before the bucket's own resources; nil for the web.
  private let bucketURL: String
  /// The prefix of all keys, with a slash at its end where it is not empty.
  package let prefix: String
  /// What follows every URL of the web, a signature perhaps: it is in no message.
  private let query: String
  package let isEncrypted: Bool

  /// - Parameters:
  ///   - endpoint: of S3; nil for Amazon's own.
  ///   - region: of S3.
  /// - Throws: `StoreError` of kind `usage`.
  package init(_ text: String, endpoint: String? = nil, region: String = "us-east-1") throws(StoreError) {
    guard text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F }), !text.contains("#") else {
      throw StoreError(.usage, "a store's URL holds no spaces, control characters or '#'")
    }
    if text.hasPrefix("s3://") {
      try self.init(bucketAndPrefix: text.dropFirst(5), endpoint: endpoint, region: region)
    } else if text.hasPrefix("https://") || text.hasPrefix("http://") {
      try self.init(web: text)
    } else {
      throw StoreError(.usage, "\(shown(text)) is no store: use s3://BUCKET/PREFIX or https://HOST/PATH")
    }
  }

  private init(web text: String) throws(StoreError) {
    let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    try Self.checkHost(parts[0])
    kind = .web
    base = parts[0].hasSuffix("/") ? String(parts[0]) : parts[0] + "/"
    bucketURL = ""
    prefix = ""
    query = parts.count > 1 && !parts[1].isEmpty ? "?" + parts[1] : ""
    isEncrypted = text.hasPrefix("https://")
  }

  private init(
    bucketAndPrefix text: Substring, endpoint: String?, region: String
  ) throws(StoreError) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    let bucket = parts[0]
    guard (3...63).contains(bucket.utf8.count), StoreNames.isModelName(bucket) else {
      throw StoreError(.usage, "\(shown(bucket)) is no name of a bucket: use s3://BUCKET/PREFIX")
    }
    guard !region.isEmpty, region.utf8.allSatisfy({ $0 != UInt8(ascii: ".") }),
      StoreNames.isModelName(region)
    else { throw StoreError(.usage, "\(shown(region)) is no region: use one such as eu-central-1") }
    let folders = parts.count > 1 ? parts[1].split(separator: "/") : []
    guard !folders.contains(where: { $0 == "." || $0 == ".." }) else {
      throw StoreError(.usage, "the prefix of a store holds no '.' or '..'")
    }
    kind = .s3
    prefix = folders.map { $0 + "/" }.joined()
    bucketURL = try Self.bucketURL(String(bucket), endpoint, region)
    base = bucketURL + percentEncoded(prefix, keeping: "/")
    query = ""
    isEncrypted = bucketURL.hasPrefix("https://")
  }

  /// The bucket in the path for an endpoint of one's own, and where its name has dots, which no certificate
  /// of Amazon's covers; else in the host's name, as the SDKs do.
  private static func bucketURL(
    _ bucket: String, _ endpoint: String?, _ region: String
  ) throws(StoreError) -> String {
    if let endpoint {
      guard endpoint.hasPrefix("https://") || endpoint.hasPrefix("http://"), !endpoint.contains("?") else {
        throw StoreError(.usage, "\(shown(endpoint)) is no endpoint: use one such as https://s3.example.com")
      }
      try checkHost(endpoint[...])
      return (endpoint.hasSuffix("/") ? endpoint : endpoint + "/") + bucket + "/"
    }
    let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
    return bucket.contains(".") || bucket.contains("_") || bucket.lowercased() != bucket
      ? "https://s3.\(region).\(domain)/\(bucket)/" : "https://\(bucket).s3.\(region).\(domain)/"
  }

  private static func checkHost(_ url: Substring) throws(StoreError) {
    let rest = url.drop { $0 != "/" }.dropFirst(2)
    let host = rest.prefix { $0 != "/" }
    let segments = rest.split(separator: "/").dropFirst()
    guard !host.isEmpty, !segments.contains(where: { $0 == "." || $0 == ".." }) else {
      throw StoreError(.usage, "\(shown(url)) has no host, or '.' or '..' in its path")
    }
    guard !host.contains("@") else {
      throw StoreError(.usage, "a store's URL holds no password: anyone who sees processes would see it")
    }
  }

  /// The URL of an object, and the same as messages show it.
  ///
  /// - Parameter key: below the prefix.
  package func url(_ key: String) -> (url: String, shown: String) {
    let url = base + percentEncoded(key, keeping: "/")
    return (url + query, url)
  }

  /// The URL of a page of the listing; its parameters stand in the order that signatures ask for.
  package func listing(after token: String?) -> (url: String, shown: String) {
    let root = bucketURL.hasSuffix("/") ? bucketURL : bucketURL + "/"
    let continuation = token.map { "continuation-token=\(percentEncoded($0))&" } ?? ""
    let parameters = "\(continuation)encoding-type=url&list-type=2&prefix=\(percentEncoded(prefix))"
    return (root + "?" + parameters, root + "?list-type=2&prefix=\(percentEncoded(prefix))")
  }
}
