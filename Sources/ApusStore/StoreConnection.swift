import Glibc

/// A connection to one store, over which it is asked again when it was busy or broken.
struct StoreConnection: ~Copyable {
  private let http: HTTPConnection
  let settings: StoreSettings

  /// Answers that say "again", one after the other, before it is given up.
  static let tries = 5

  init(_ settings: StoreSettings) throws(StoreError) {
    http = try HTTPConnection(settings)
    self.settings = settings
  }

  struct Object {
    let bytes: [UInt8]
    let tag: String?
  }

  /// A whole small object.
  ///
  /// - Parameters:
  ///   - key: below the store's prefix.
  ///   - unless: the ETag of what the caller has.
  /// - Returns: nil where the caller has it.
  /// - Throws: `StoreError`.
  func object(_ key: String, atMost limit: Int, unless tag: String? = nil) throws(StoreError) -> Object? {
    try small(settings.location.url(key), atMost: limit, unless: tag)
  }

  /// A page of the listing.
  func page(after token: String?) throws(StoreError) -> ListingPage {
    let url = settings.location.listing(after: token)
    guard let object = try small(url, atMost: ListingPage.mostBytes) else { return ListingPage() }
    do throws(StoreError) {
      let page = try withBytes(object.bytes) { (bytes) throws(StoreError) in try ListingPage(bytes) }
      guard page.errorCode == nil else { throw StoreError(.unusable, "this is an error, no listing") }
      return page
    } catch { throw StoreError(error.kind, "\(url.shown): \(error); is this an S3 store?") }
  }

  private func small(
    _ url: (url: String, shown: String), atMost limit: Int, unless tag: String? = nil
  ) throws(StoreError) -> Object? {
    var failures = 0
    while true {
      let body = MemoryBody(atMost: limit)
      do throws(StoreError) {
        let (response, explanation) = try http.get(url, unless: tag, into: body)
        if response.status == 304, tag != nil { return nil }
        try check(response, explanation, url.shown)
        guard !body.isTooLong else {
          throw StoreError(.unusable, "\(url.shown) is over \(limit) bytes, more than is read of it")
        }
        return Object(bytes: body.bytes, tag: response.tag)
      } catch { try again(after: error, &failures) }
    }
  }

  /// Brings what is missing of a file.
  ///
  /// - Throws: `StoreError`; what has come stays for the next time.
  func fetch(_ key: String, into part: PartFile) throws(StoreError) {
    let url = settings.location.url(key)
    var failures = 0
    var hasRestarted = false
    while true {
      if !part.canResume { try part.restart() }
      let before = part.byteCount
      do throws(StoreError) {
        if try ask(url, part) { return }
        // The object is no longer what was begun: once more from its start, but not for ever.
        guard !hasRestarted else {
          throw StoreError(.unusable, "\(url.shown) changes while it is fetched; try again later")
        }
        hasRestarted = true
        try part.restart()
      } catch {
        if part.byteCount > before, part.canResume { failures = 0 }
        try again(after: error, &failures)
      }
    }
  }

  /// - Returns: false where the object has changed since its first part came.
  private func ask(_ url: (url: String, shown: String), _ part: PartFile) throws(StoreError) -> Bool {
    let offset = part.byteCount
    guard offset == 0 || part.byteCount < part.file.byteCount else {
      return try part.check(url.shown)
    }
    let (response, explanation) = try http.get(
      url, from: offset, onlyIf: offset > 0 ? part.tag : nil, into: part)
    if offset > 0, response.status == 412 || response.status == 416 { return false }
    try check(response, explanation, url.shown)
    if let problem = part.takeProblem() {
      if offset > 0, problem.kind == .changed { return false }
      throw StoreError(problem.kind, "\(url.shown): \(problem)")
    }
    return try part.check(url.shown)
  }

  private func check(_ response: HTTPResponse, _ explanation: [UInt8], _ url: String) throws(StoreError) {
    if response.status == 200 || response.status == 206 { return }
    let page = explanation.withUnsafeBytes { bytes in try? ListingPage(bytes) }
    let code = page?.errorCode.map { " (\(shown($0)))" } ?? ""
    let (kind, advice): (StoreError.Kind, String) =
      switch response.status {
      case 300..<500 where settings.isElsewhere(response.region):
        (.unusable, "the bucket is in the region \(shown(response.region ?? "")): use --region")
      case 401, 403:
        (
          .denied,
          settings.location.kind == .web ? "does it need a signature in its URL?"
            : settings.credentials == nil
              ? "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or make it public"
              : "check the AWS_… credentials, and that they may list and get it"
        )
      case 404, 410: (.missing, "is the address right?")
      case 408, 429, 500...: (.unreachable, "the store is busy or broken; it is asked again")
      default: (.unusable, "the store refuses it")
      }
    if kind == .unreachable, let seconds = response.retryAfterSeconds {
      pause(Double(min(max(seconds, 0), 10)))
    }
    throw StoreError(kind, "\(url): status \(response.status)\(code); \(advice)")
  }

  /// Waits before the next try: 0.2 s, and twice as long each time, more or less.
  ///
  /// - Throws: the error, where another try makes no sense or there have been enough.
  private func again(after error: StoreError, _ failures: inout Int) throws(StoreError) {
    failures += 1
    guard error.kind == .unreachable, failures < Self.tries else { throw error }
    pause(0.1 * Double(1 << failures) * Double.random(in: 0.75...1.25))
  }
}

/// Sleeps so many seconds.
package func pause(_ seconds: Double) {
  var time = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
  nanosleep(&time, nil)
}

/// A body in memory, up to a limit.
private final class MemoryBody: BodySink {
  private let limit: Int
  private(set) var bytes: [UInt8] = []
  private(set) var isTooLong = false

  init(atMost limit: Int) { self.limit = limit }

  func begin(_ response: HTTPResponse) -> Bool {
    isTooLong = response.contentLength ?? 0 > limit
    return !isTooLong
  }

  func take(_ piece: UnsafeRawBufferPointer) -> Bool {
    isTooLong = piece.count > limit - bytes.count
    if !isTooLong { bytes += piece }
    return !isTooLong
  }
}
