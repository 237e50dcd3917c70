import Testing

@testable import ApusGateway

/// A text in a header of an answer.
@Suite struct DisplayStringTests {
  private func written(_ text: String, mostBytes: Int = 256) -> String {
    displayString(text, mostBytes: mostBytes)
  }

  @Test(arguments: [
    ("", #"%"""#), ("use 2 before May", #"%"use 2 before May""#), (#"a\b"#, #"%"a\b""#),
    (#"100% "so""#, #"%"100%25 %22so%22""#), ("\r\nX-Other: 1", #"%"%0d%0aX-Other: 1""#),
    ("\t\u{0}\u{7F}", #"%"%09%00%7f""#), ("ü 模", #"%"%c3%bc %e6%a8%a1""#),
  ])
  func standsInAHeader(_ text: String, _ expected: String) {
    #expect(written(text) == expected)
  }

  @Test func holdsNothingButPrintableASCII() {
    let all = String(String.UnicodeScalarView((0...0x2FF).compactMap { Unicode.Scalar($0) }))
    let text = written(all, mostBytes: .max)
    #expect(text.utf8.allSatisfy { (0x20..<0x7F).contains($0) })
    #expect(text.utf8.count { $0 == UInt8(ascii: "\"") } == 2)
  }

  @Test func isCutBetweenCharacters() {
    #expect(written("abc", mostBytes: 3) == #"%"abc""#)
    #expect(written("abcd", mostBytes: 3) == #"%"abc""#)
    #expect(written("aüü", mostBytes: 4) == #"%"a%c3%bc""#)
    #expect(written("😀a", mostBytes: 3) == #"%"""#)
  }
}
