import Testing

@testable import ApusFormats

@Suite("Zip archives")
struct ZipArchiveTests {
  private func read(_ builder: ZipBuilder) throws -> [String: [UInt8]] {
    try builder.bytes.withUnsafeBytes { buffer in
      let archive = try ZipArchive(FileBytes(buffer))
      var result: [String: [UInt8]] = [:]
      for entry in archive.entries {
        result[entry.name] = (0..<entry.contents.count).map { entry.contents[$0] }
      }
      return result
    }
  }

  private func problem(_ builder: ZipBuilder) -> String {
    do {
      _ = try read(builder)
      return "read"
    } catch {
      return "\(error)"
    }
  }

  let plain = ZipBuilder([("a/x", [1, 2, 3]), ("a/y", []), ("a/", [])])

  @Test("Entries come out as they went in: plain, zip64, with a comment, with data descriptors")
  func entries() throws {
    let expected: [String: [UInt8]] = ["a/x": [1, 2, 3], "a/y": [], "a/": []]
    #expect(try read(plain) == expected)
    var builder = plain
    builder.usesZip64 = true
    #expect(try read(builder) == expected)
    builder.comment = Array("PK\u{5}\u{6} a comment that looks like an end record".utf8)
    #expect(try read(builder) == expected)
    builder = plain
    builder.entries[0].flags = 8
    builder.entries[0].localSize = 0
    #expect(try read(builder) == expected)
  }

  @Test(
    "Names that leave the archive are refused",
    arguments: ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "", "a/\u{0}", "./x"])
  func names(name: String) {
    var builder = plain
    builder.entries[0].name = name
    #expect(problem(builder).contains("zip entry"))
  }

  @Test("What two readers could see differently is refused")
  func ambiguity() {
    var builder = plain
    builder.entries[1].name = "a/x"
    #expect(problem(builder).contains("twice"))
    builder = plain
    builder.entries[0].localName = "a/z"
    #expect(problem(builder).contains("differs"))
    builder = plain
    builder.entries[0].localSize = 2
    #expect(problem(builder).contains("differs"))
    builder = plain
    builder.announcedEntries = 2
    #expect(problem(builder).contains("announces 2"))
    builder = ZipBuilder([("a/x", [1]), ("a/x", [1])])
    builder.entries[1].name = "a/x"
    builder.entries[1].offset = 0
    #expect(problem(builder).contains("twice"))
  }

  @Test("Entries that overlap are refused")
  func overlap() {
    // The second entry lies, header and all, in the contents of the first.
    let inner = ZipBuilder([("b", [1, 2, 3])])
    let header = Array(inner.bytes[..<(30 + 1 + 3)])
    var builder = ZipBuilder([("a", header), ("b", [1, 2, 3])])
    builder.entries[1].offset = 30 + 1
    #expect(problem(builder).contains("overlap"))
  }

  @Test("Places outside of the file are refused")
  func bounds() {
    var builder = plain
    builder.entries[0].offset = 0x7fff_ffff
    #expect(problem(builder).contains("outside"))
    builder.entries[0].offset = UInt32(plain.bytes.count - 25)
    #expect(problem(builder).contains("outside"))
    builder.entries[0].offset = 1
    #expect(problem(builder).contains("no local header"))
  }

  @Test("Compression and encryption are refused")
  func methods() {
    var builder = plain
    builder.entries[0].method = 8
    #expect(problem(builder).contains("compressed"))
    builder = plain
    builder.entries[0].flags = 1
    #expect(problem(builder).contains("encrypted"))
  }
}
