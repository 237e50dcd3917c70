import Glibc

/// Who signs requests to S3.
package struct StoreCredentials: Equatable, Sendable {
  let accessKey: String
  let secretKey: String
  /// Of temporary credentials.
  let sessionToken: String?

  /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; nil without the first, then
  /// requests are not signed.
  ///
  /// - Throws: `StoreError` of kind `usage` where only one of two is there.
  package init?(environment: (String) -> String?) throws(StoreError) {
    let access = environment("AWS_ACCESS_KEY_ID")
    let secret = environment("AWS_SECRET_ACCESS_KEY")
    if access == nil, secret == nil { return nil }
    guard let access, let secret else {
      throw StoreError(.usage, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must both be set, or neither")
    }
    let token = environment("AWS_SESSION_TOKEN")
    guard ([access, secret, token ?? ""].joined().utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }) else {
      throw StoreError(.usage, "the AWS_… credentials hold characters that no credential has")
    }
    accessKey = access
    secretKey = secret
    sessionToken = token
  }
}

/// How a store is reached and what is taken from it.
package struct StoreSettings: Sendable {
  package let location: StoreLocation
  package let region: String
  package let credentials: StoreCredentials?
  /// Certificates of those who may sign the store's, in PEM; nil: the system's.
  package var certificates: String?
  /// Seconds to connect, and without bytes coming.
  package var timeoutSeconds = 30
  /// Most bytes of a version.
  package var mostBytes = 64 << 30
  /// Connections at one time.
  package var concurrency = 4
  /// Whether versions of a listing without a manifest must first look the same twice.
  package var waitsForQuiet = false

  /// What is not given comes from the environment: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_REGION`,
  /// `AWS_DEFAULT_REGION`, and credentials.
  ///
  /// - Throws: `StoreError` of kind `usage`.
  package init(
    url: String, endpoint: String? = nil, region: String? = nil,
    environment: (String) -> String? = environmentVariable
  ) throws(StoreError) {
    self.region = region ?? environment("AWS_REGION") ?? environment("AWS_DEFAULT_REGION") ?? "us-east-1"
    location = try StoreLocation(
      url, endpoint: endpoint ?? environment("AWS_ENDPOINT_URL_S3") ?? environment("AWS_ENDPOINT_URL"),
      region: self.region)
    credentials = location.kind == .s3 ? try StoreCredentials(environment: environment) : nil
  }

  /// Whether a bucket says that it is in another region.
  func isElsewhere(_ region: String?) -> Bool { region.map { $0 != self.region } ?? false }
}

/// nil for one that is not set, or empty.
package func environmentVariable(_ name: String) -> String? {
  guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
  return value
}
