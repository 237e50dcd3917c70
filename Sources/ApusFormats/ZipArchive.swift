/// The entries of a zip archive whose contents are stored without compression, as `torch.save` writes them.
///
/// Follows PKWARE's APPNOTE 6.3.9: end record (4.3.16), zip64 (4.3.14, 4.3.15, 4.5.3), central directory
/// (4.3.12), local headers (4.3.7), data descriptors (bit 3: sizes are in the central directory only). The
/// central directory is what counts, and each local header must agree with it, so that no two readers can see
/// different files.
struct ZipArchive {
  struct Entry {
    let name: String
    let contents: FileBytes
  }

  /// In the order of the central directory.
  let entries: [Entry]
  private let indexes: [String: Int]

  /// The contents of the entry of this name, or nil.
  func contents(_ name: String) -> FileBytes? { indexes[name].map { entries[$0].contents } }

  /// - Parameter advice: how to write entries without compression.
  init(
    _ bytes: FileBytes, advice: String = "torch.save stores entries as they are"
  ) throws(FormatError) {
    let directory = try Self.findDirectory(bytes)
    var reader = ByteReader(directory.bytes, part: "the zip archive's central directory")
    var entries: [Entry] = []
    var indexes: [String: Int] = [:]
    var extents: [Range<Int>] = []
    while reader.remaining > 0 {
      let header = try CentralHeader(&reader, advice: advice)
      if let problem = Self.problem(ofName: header.name) {
        throw .malformed("zip entry \(printable(header.name)) \(problem)")
      }
      guard indexes.updateValue(entries.count, forKey: header.name) == nil else {
        throw .malformed("zip entry \(printable(header.name)) is there twice")
      }
      let contents = try header.contents(in: bytes, before: directory.offset)
      extents.append(header.localOffset..<contents.end)
      entries.append(Entry(name: header.name, contents: contents.bytes))
    }
    guard entries.count == directory.entryCount else {
      throw .malformed("the zip archive lists \(entries.count) entries and announces \(directory.entryCount)")
    }
    extents.sort { $0.lowerBound < $1.lowerBound }
    for (extent, next) in zip(extents, extents.dropFirst()) where extent.upperBound > next.lowerBound {
      throw .malformed("entries of the zip archive overlap at byte \(next.lowerBound)")
    }
    self.entries = entries
    self.indexes = indexes
  }

  /// What is wrong with a name: nothing here is ever written to a disk, but a name that tries to leave the
  /// archive is no work of PyTorch's.
  private static func problem(ofName name: String) -> String? {
    if name.isEmpty || name.utf8.contains(0) { return "has an empty name or one with a NUL" }
    if name.hasPrefix("/") || name.utf8.contains(UInt8(ascii: "\\")) { return "has an absolute path" }
    let components = name.split(separator: "/", omittingEmptySubsequences: false)
    return components.contains("..") || components.contains(".") ? "has a path that leaves the archive" : nil
  }

  // MARK: - End records

  private struct Directory {
    let bytes: FileBytes
    let offset: Int
    let entryCount: UInt64
  }

  private static func findDirectory(_ bytes: FileBytes) throws(FormatError) -> Directory {
    guard let end = findEndRecord(bytes) else {
      throw .malformed("the zip archive has no end record; the file is cut short or overwritten")
    }
    guard let disk = bytes.integer(at: end + 4, as: UInt32.self),
      let entryCount = bytes.integer(at: end + 10, as: UInt16.self),
      let size = bytes.integer(at: end + 12, as: UInt32.self),
      let offset = bytes.integer(at: end + 16, as: UInt32.self)
    else { throw .truncated(part: "the zip archive's end record", position: bytes.count) }
    guard disk == 0 || disk == 0xffff_ffff else { throw .unsupported("a zip archive in several parts") }
    if let locator = bytes.slice(at: end - 20, count: 20), locator.starts(with: Array("PK\u{6}\u{7}".utf8)) {
      return try directory64(bytes, locator: locator, locatorOffset: end - 20)
    }
    return try directory(
      bytes, offset: UInt64(offset), size: UInt64(size), count: UInt64(entryCount), end: end)
  }

  /// The last end record whose comment reaches exactly to the end of the file.
  private static func findEndRecord(_ bytes: FileBytes) -> Int? {
    let longestComment = Int(UInt16.max)
    for commentBytes in 0...longestComment {
      let start = bytes.count - 22 - commentBytes
      if start < 0 { return nil }
      if bytes.integer(at: start, as: UInt32.self) == 0x0605_4b50,
        bytes.integer(at: start + 20, as: UInt16.self).map(Int.init) == commentBytes
      {
        return start
      }
    }
    return nil
  }

  private static func directory64(
    _ bytes: FileBytes, locator: FileBytes, locatorOffset: Int
  ) throws(FormatError) -> Directory {
    let part = "the zip archive's zip64 end record"
    guard let place = locator.integer(at: 8, as: UInt64.self), let start = Int(exactly: place),
      let record = bytes.slice(at: start, count: 56), start <= locatorOffset - 56
    else { throw .malformed("\(part) lies outside of the file") }
    guard record.starts(with: Array("PK\u{6}\u{6}".utf8)),
      let entryCount = record.integer(at: 32, as: UInt64.self),
      let size = record.integer(at: 40, as: UInt64.self),
      let offset = record.integer(at: 48, as: UInt64.self)
    else { throw .malformed("\(part) is not one") }
    return try directory(bytes, offset: offset, size: size, count: entryCount, end: start)
  }

  private static func directory(
    _ bytes: FileBytes, offset: UInt64, size: UInt64, count: UInt64, end: Int
  ) throws(FormatError) -> Directory {
    guard let offset = Int(exactly: offset), let size = Int(exactly: size), offset <= end,
      size <= end - offset,
      let slice = bytes.slice(at: offset, count: size)
    else { throw .malformed("the zip archive's central directory lies outside of the file") }
    return Directory(bytes: slice, offset: offset, entryCount: count)
  }
}

/// One entry as the central directory describes it.
private struct CentralHeader {
  let name: String
  let rawName: FileBytes
  let flags: UInt16
  let method: UInt16
  let byteCount: Int
  let localOffset: Int

  /// Bit 0 of the flags.
  static let encrypted: UInt16 = 1
  /// Bit 3 of the flags: the local header has no sizes.
  static let dataDescriptor: UInt16 = 8

  init(_ reader: inout ByteReader, advice: String) throws(FormatError) {
    guard try reader.integer(as: UInt32.self) == 0x0201_4b50 else {
      throw .malformed("the zip archive's central directory has no entry where one should be")
    }
    _ = try reader.take(4)  // versions
    flags = try reader.integer(as: UInt16.self)
    method = try reader.integer(as: UInt16.self)
    _ = try reader.take(8)  // time, date, CRC-32
    var compressed = UInt64(try reader.integer(as: UInt32.self))
    var size = UInt64(try reader.integer(as: UInt32.self))
    let nameBytes = try reader.integer(as: UInt16.self)
    let extraBytes = try reader.integer(as: UInt16.self)
    let commentBytes = try reader.integer(as: UInt16.self)
    _ = try reader.take(8)  // disk, attributes
    var offset = UInt64(try reader.integer(as: UInt32.self))
    rawName = try reader.take(nameBytes)
    let extra = try reader.take(extraBytes)
    _ = try reader.take(commentBytes)
    guard let text = rawName.text else {
      throw .malformed("zip entry \(rawName.printableText) has a name that is not UTF-8")
    }
    name = text
    try Self.widen(&size, &compressed, &offset, extra: extra, name: text)
    guard method == 0, compressed == size else {
      throw .unsupported("zip entry \(printable(text)) is compressed (method \(method)); \(advice)")
    }
    guard flags & Self.encrypted == 0 else { throw .unsupported("zip entry \(printable(text)) is encrypted") }
    guard let byteCount = Int(exactly: size), let localOffset = Int(exactly: offset) else {
      throw .malformed("zip entry \(printable(text)) lies outside of the file")
    }
    self.byteCount = byteCount
    self.localOffset = localOffset
  }

  /// Takes from the zip64 field (id 1) the numbers that are all ones in the header, in the order given there.
  private static func widen(
    _ size: inout UInt64, _ compressed: inout UInt64, _ offset: inout UInt64, extra: FileBytes, name: String
  ) throws(FormatError) {
    let ones: UInt64 = 0xffff_ffff
    guard size == ones || compressed == ones || offset == ones else { return }
    var fields = ByteReader(extra, part: "the extra fields of zip entry \(printable(name))")
    while fields.remaining >= 4 {
      let id = try fields.integer(as: UInt16.self)
      let field = try fields.take(try fields.integer(as: UInt16.self))
      guard id == 1 else { continue }
      var numbers = ByteReader(field, part: "the zip64 field of zip entry \(printable(name))")
      if size == ones { size = try numbers.integer(as: UInt64.self) }
      if compressed == ones { compressed = try numbers.integer(as: UInt64.self) }
      if offset == ones { offset = try numbers.integer(as: UInt64.self) }
      return
    }
    throw .malformed("zip entry \(printable(name)) has no zip64 sizes")
  }

  /// The entry's bytes, after comparing the local header with this one.
  ///
  /// - Parameter limit: where the central directory begins; contents must end before.
  func contents(in archive: FileBytes, before limit: Int) throws(FormatError) -> (bytes: FileBytes, end: Int)
  {
    let entry = "zip entry \(printable(name))"
    guard localOffset < limit, let rest = archive.slice(at: localOffset, count: limit - localOffset) else {
      throw .malformed("\(entry) lies outside of the file")
    }
    var reader = ByteReader(rest, part: "the local header of \(entry)")
    guard try reader.integer(as: UInt32.self) == 0x0403_4b50 else {
      throw .malformed("\(entry) has no local header")
    }
    _ = try reader.take(2)  // version
    let localFlags = try reader.integer(as: UInt16.self)
    let localMethod = try reader.integer(as: UInt16.self)
    _ = try reader.take(8)  // time, date, CRC-32
    let compressed = try reader.integer(as: UInt32.self)
    let size = try reader.integer(as: UInt32.self)
    let nameBytes = try reader.integer(as: UInt16.self)
    let extraBytes = try reader.integer(as: UInt16.self)
    let hasSizes = localFlags & Self.dataDescriptor == 0 && size != .max && compressed != .max
    guard try reader.take(nameBytes).elementsEqual(rawName), localFlags == flags, localMethod == method,
      !hasSizes || (Int(size) == byteCount && Int(compressed) == byteCount)
    else { throw .malformed("\(entry) differs between its local header and the central directory") }
    _ = try reader.take(extraBytes)
    let contents = try reader.take(byteCount)
    return (contents, localOffset + reader.position)
  }
}
