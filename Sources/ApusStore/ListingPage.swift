import CExpat

/// A page of a bucket's listing (S3, ListObjectsV2), or S3's description of an error.
package struct ListingPage: Equatable, Sendable {
  package struct Entry: Equatable, Sendable {
    package var key = ""
    package var byteCount = 0
    /// Without its quotes.
    package var tag = ""
  }

  package var entries: [Entry] = []
  /// For the next page; nil after the last.
  package var continuation: String?
  /// `AccessDenied` for instance, where the document is an error's.
  package var errorCode: String?

  /// The longest page that is read, in bytes: a thousand keys of a kilobyte, every byte escaped.
  static let mostBytes = 8 << 20

  init() {}

  /// - Throws: `StoreError` for what is no such document, and for one with a document type, which may name
  ///   entities.
  package init(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
    let reader = ListingReader()
    try reader.read(bytes)
    self = reader.page
    if !reader.isTruncated {
      continuation = nil
    } else if continuation == nil {
      throw StoreError(.unusable, "the listing goes on, but does not say where")
    }
    guard reader.isEscaped else { return }
    for index in entries.indices {
      guard let key = percentDecoded(entries[index].key) else {
        throw StoreError(.unusable, "a key of the listing is not escaped as it claims")
      }
      entries[index].key = key
    }
  }
}

/// What the parser calls while it reads.
private final class ListingReader {
  var page = ListingPage()
  var isTruncated = false
  var isEscaped = false
  private var problem: StoreError?
  private var path: [String] = []
  private var text: [UInt8] = []
  private var entry = ListingPage.Entry()
  private var parser: XML_Parser?

  private static let deepest = 16
  private static let longestText = 8 << 10

  /// Invariant of the unsafe code: the parser lives only in here, and calls back only from within XML_Parse,
  /// while `self` is held by the caller.
  func read(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
    guard bytes.count <= ListingPage.mostBytes else {
      throw StoreError(.unusable, "the listing is over \(ListingPage.mostBytes) bytes")
    }
    guard let parser = XML_ParserCreate("UTF-8") else {
      throw StoreError(.local, "there is no memory to read the listing")
    }
    defer { XML_ParserFree(parser) }
    self.parser = parser
    defer { self.parser = nil }
    XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
    XML_SetElementHandler(
      parser, { context, name, _ in ListingReader.of(context)?.begin(name) },
      { context, _ in ListingReader.of(context)?.end() })
    XML_SetCharacterDataHandler(parser) { ListingReader.of($0)?.add($1, $2) }
    XML_SetStartDoctypeDeclHandler(parser) { context, _, _, _, _ in
      ListingReader.of(context)?.stop("the listing has a document type, which is not read")
    }
    let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    let status = XML_Parse(parser, start, Int32(bytes.count), 1)
    if let problem { throw problem }
    guard status == XML_STATUS_OK else {
      let reason = XML_ErrorString(XML_GetErrorCode(parser)).map { String(cString: $0) } ?? "no reason"
      throw StoreError(
        .unusable, "the listing is no XML: \(reason) in line \(XML_GetCurrentLineNumber(parser))")
    }
    guard page.errorCode != nil || isListing else { throw StoreError(.unusable, "this is no listing of S3") }
  }

  private var isListing = false

  private static func of(_ context: UnsafeMutableRawPointer?) -> ListingReader? {
    context.map { Unmanaged<ListingReader>.fromOpaque($0).takeUnretainedValue() }
  }

  private func stop(_ reason: String) {
    guard problem == nil, let parser else { return }
    problem = StoreError(.unusable, reason)
    XML_StopParser(parser, XML_Bool(0))
  }

  private func begin(_ name: UnsafePointer<XML_Char>?) {
    guard problem == nil, let name else { return }
    guard path.count < Self.deepest else { return stop("the listing is nested too deeply") }
    path.append(String(cString: name))
    text.removeAll(keepingCapacity: true)
    if path == ["ListBucketResult"] { isListing = true }
    if path == ["ListBucketResult", "Contents"] { entry = ListingPage.Entry() }
  }

  private func add(_ characters: UnsafePointer<XML_Char>?, _ count: Int32) {
    guard problem == nil, let characters else { return }
    guard text.count + Int(count) <= Self.longestText else { return stop("the listing has too long a text") }
    text += UnsafeRawBufferPointer(start: characters, count: Int(count))
  }

  private func end() {
    guard problem == nil else { return }
    let value = String(decoding: text, as: UTF8.self)
    switch path {
    case ["ListBucketResult", "Contents", "Key"]: entry.key = value
    case ["ListBucketResult", "Contents", "Size"]:
      guard let count = Int(value), count >= 0, count < 1 << 53 else {
        return stop("a size in the listing is no number")
      }
      entry.byteCount = count
    case ["ListBucketResult", "Contents", "ETag"]:
      entry.tag = String(value.split(separator: "\"", maxSplits: 2).joined())
    case ["ListBucketResult", "Contents"]: page.entries.append(entry)
    case ["ListBucketResult", "IsTruncated"]: isTruncated = value == "true"
    case ["ListBucketResult", "NextContinuationToken"]: page.continuation = value
    case ["ListBucketResult", "EncodingType"]: isEscaped = value == "url"
    case ["Error", "Code"]: page.errorCode = value
    default: break
    }
    path.removeLast()
    text.removeAll(keepingCapacity: true)
  }
}
