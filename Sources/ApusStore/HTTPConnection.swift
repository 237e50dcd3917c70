import ApusBase
import CCurl
import Glibc

/// What a store answers, before its body.
struct HTTPResponse {
  let status: Int
  /// As it stands in the header, with its quotes.
  let tag: String?
  let contentRange: String?
  /// nil where the store does not say it.
  let contentLength: Int?
  let retryAfterSeconds: Int?
  /// The bucket's own, where another was asked.
  let region: String?
  /// Whether the ETag of an object is no digest of what it holds.
  let hasForeignTag: Bool
}

/// Where the body of a good answer (200 or 206) goes.
protocol BodySink: AnyObject {
  /// - Returns: whether the body is wanted.
  func begin(_ response: HTTPResponse) -> Bool
  /// - Returns: whether more is wanted.
  func take(_ bytes: UnsafeRawBufferPointer) -> Bool
}

/// One connection over which objects are asked for, kept open between them: a handle of libcurl.
struct HTTPConnection: ~Copyable {
  /// Invariant: made in `init`, freed in `deinit`, used by one thread at a time, as the type cannot be
  /// copied.
  private let handle: UnsafeMutableRawPointer
  private let settings: StoreSettings

  /// - Throws: `StoreError` where libcurl has no memory.
  init(_ settings: StoreSettings) throws(StoreError) {
    guard Self.isReady, let handle = curl_easy_init() else {
      throw StoreError(.local, "libcurl cannot be started")
    }
    self.handle = handle
    self.settings = settings
    setUp()
  }

  deinit { curl_easy_cleanup(handle) }

  private static let isReady = ccurl_global_init() == CURLE_OK

  private func setUp() {
    let schemes = settings.location.isEncrypted ? "https" : "http,https"
    ccurl_set_text(handle, CURLOPT_PROTOCOLS_STR, schemes)
    ccurl_set_text(handle, CURLOPT_REDIR_PROTOCOLS_STR, schemes)
    // S3 answers with a redirection where the region is wrong, and a signature holds for one host alone.
    ccurl_set_long(handle, CURLOPT_FOLLOWLOCATION, settings.location.kind == .web ? 1 : 0)
    ccurl_set_long(handle, CURLOPT_MAXREDIRS, 3)
    ccurl_set_long(handle, CURLOPT_PATH_AS_IS, 1)
    ccurl_set_long(handle, CURLOPT_NOSIGNAL, 1)
    ccurl_set_long(handle, CURLOPT_CONNECTTIMEOUT, settings.timeoutSeconds)
    ccurl_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
    ccurl_set_long(handle, CURLOPT_LOW_SPEED_TIME, settings.timeoutSeconds)
    ccurl_set_long(handle, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
    ccurl_set_text(handle, CURLOPT_USERAGENT, "apus-store")
    if let certificates = settings.certificates { ccurl_set_text(handle, CURLOPT_CAINFO, certificates) }
    if let credentials = settings.credentials {
      ccurl_set_text(handle, CURLOPT_AWS_SIGV4, "aws:amz:\(settings.region):s3")
      ccurl_set_text(handle, CURLOPT_USERNAME, credentials.accessKey)
      ccurl_set_text(handle, CURLOPT_PASSWORD, credentials.secretKey)
    }
    ccurl_set_write(handle) { bytes, size, count, context in
      guard let bytes, let context else { return 0 }
      let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
      let piece = UnsafeRawBufferPointer(start: bytes, count: size * count)
      return exchange.take(piece) ? piece.count : 0
    }
  }

  /// The SHA-256 of the empty body of every request, which S3 asks for in a header.
  private static let emptyBody = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  /// Asks once for an object, or for the rest of it.
  ///
  /// - Parameters:
  ///   - url: as it is asked for, and as messages show it.
  ///   - offset: where the answer shall begin, if it is still what `onlyIf` names.
  /// - Returns: what was answered, and what a bad answer's body says; the sink has the body of a good one.
  /// - Throws: `StoreError` where no answer came, or not all of it; where the sink wanted no more, nothing.
  func get(
    _ url: (url: String, shown: String), from offset: Int = 0, onlyIf tag: String? = nil,
    unless oldTag: String? = nil, into sink: any BodySink
  ) throws(StoreError) -> (response: HTTPResponse, explanation: [UInt8]) {
    var headers: [String] = []
    if let tag { headers.append("If-Match: \(tag)") }
    if let oldTag { headers.append("If-None-Match: \(oldTag)") }
    if let credentials = settings.credentials {
      headers.append("x-amz-content-sha256: \(Self.emptyBody)")
      if let token = credentials.sessionToken { headers.append("x-amz-security-token: \(token)") }
    }
    var list: UnsafeMutablePointer<curl_slist>?
    for header in headers { list = curl_slist_append(list, header) ?? list }
    defer { curl_slist_free_all(list) }
    let exchange = Exchange(handle, sink)
    ccurl_set_text(handle, CURLOPT_URL, url.url)
    ccurl_set_text(handle, CURLOPT_RANGE, offset > 0 ? "\(offset)-" : nil)
    ccurl_set_pointer(handle, CURLOPT_HTTPHEADER, list)
    ccurl_set_pointer(handle, CURLOPT_WRITEDATA, Unmanaged.passUnretained(exchange).toOpaque())
    let code = withExtendedLifetime(exchange) { curl_easy_perform(handle) }
    ccurl_set_pointer(handle, CURLOPT_HTTPHEADER, nil)
    let response = exchange.finish()
    guard code == CURLE_OK || exchange.hasStopped else { throw Self.failure(code, url.shown) }
    return (response, exchange.explanation)
  }

  private static func failure(_ code: CURLcode, _ url: String) -> StoreError {
    let reason = curl_easy_strerror(code).map { String(cString: $0) } ?? "error \(code.rawValue)"
    let advice =
      switch code {
      case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE:
        "name the file with the certificates that sign it by --ca"
      case CURLE_COULDNT_RESOLVE_HOST: "is the host's name right?"
      case CURLE_UNSUPPORTED_PROTOCOL: "a redirection may not leave https"
      case CURLE_TOO_MANY_REDIRECTS: "use the address that it redirects to"
      default: "is it running, and may this machine reach it?"
      }
    let isLasting: Bool =
      switch code {
      case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_UNSUPPORTED_PROTOCOL,
        CURLE_TOO_MANY_REDIRECTS, CURLE_URL_MALFORMAT, CURLE_OUT_OF_MEMORY:
        true
      default: false
      }
    return StoreError(isLasting ? .unusable : .unreachable, "cannot fetch \(url): \(reason); \(advice)")
  }
}

/// One question and its answer.
private final class Exchange {
  private let handle: UnsafeMutableRawPointer
  private let sink: any BodySink
  private var response: HTTPResponse?
  private(set) var explanation: [UInt8] = []
  /// Whether the sink wanted no more.
  private(set) var hasStopped = false

  private static let longestExplanation = 16 << 10

  init(_ handle: UnsafeMutableRawPointer, _ sink: any BodySink) {
    self.handle = handle
    self.sink = sink
  }

  /// - Returns: whether more is wanted.
  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let response = begin()
    guard !hasStopped else { return false }
    if response.status == 200 || response.status == 206 {
      hasStopped = !sink.take(bytes)
      return !hasStopped
    }
    explanation += bytes.prefix(Self.longestExplanation - explanation.count)
    hasStopped = explanation.count == Self.longestExplanation
    return !hasStopped
  }

  /// Also without any body.
  func finish() -> HTTPResponse { begin() }

  private func begin() -> HTTPResponse {
    if let response { return response }
    let encryption = header("x-amz-server-side-encryption")
    let response = HTTPResponse(
      status: Int(ccurl_status(handle)), tag: header("etag"), contentRange: header("content-range"),
      contentLength: header("content-length").flatMap { Int($0) },
      retryAfterSeconds: header("retry-after").flatMap { Int($0) },
      region: header("x-amz-bucket-region"),
      hasForeignTag: encryption.map { $0 != "AES256" } ?? false
        || header("x-amz-server-side-encryption-customer-algorithm") != nil)
    self.response = response
    if response.status == 200 || response.status == 206 { hasStopped = !sink.begin(response) }
    return response
  }

  private func header(_ name: String) -> String? {
    ccurl_header(handle, name).map { String(cString: $0) }
  }
}
