import Foundation
import Testing

@testable import ApusJSON

/// Runs `read` over the text and makes sure that nothing follows.
func scan<Result>(
  _ text: some Sequence<UInt8>, _ read: (inout JSONScanner) throws(JSONError) -> Result
) throws -> Result {
  try Array(text).withUnsafeBytes { bytes in
    var scanner = JSONScanner(bytes)
    let result = try read(&scanner)
    try scanner.end()
    return result
  }
}

func skip(_ text: some Sequence<UInt8>) throws {
  try scan(text) { (scanner) throws(JSONError) in try scanner.skipValue() }
}

/// RFC 8259, by documents in the manner of JSONTestSuite (github.com/nst/JSONTestSuite): what every reader
/// must take, and what every reader must refuse.
@Suite struct JSONScannerTests {
  @Test(arguments: [
    "[]", "{}", " [] ", "\t\n\r [1 , 2]\n", "[[]   ]", "[\"\"]", "[\"a\"]", "[1, 4, 7, \"x\"]", "[null]",
    "[1,null,null,2]", "true", "false", "null", "42", "-0.1", "\"asd\"", "\"\"", "[123e65]",
    "[0e+1]", "[0e1]",
    "[ 4]",
    "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000000001]", "[20e1]",
    "[-0]", "[-123]", "[-1]", "[1E22]", "[1E-2]", "[1E+2]", "[123e45]", "[123.456e78]", "[1e-2]", "[1e+2]",
    "[123.456789]", "{\"asd\":\"sdf\", \"dfg\":\"fgh\"}", "{\"a\":\"b\",\"a\":\"c\"}", "{\"\":0}",
    #"{"foo\u0000bar": 42}"#, #"{"title":"\u041f\u043e"}"#, "{\n\"a\": \"b\"\n}", #"["\u0060\u012a\u12AB"]"#,
    #"["\uD801\udc37"]"#, #"["\ud83d\ude39\ud83d\udc8d"]"#, #"["\"\\\/\b\f\n\r\t"]"#, #"["\\u0000"]"#,
    #"["\""]"#, "[\"a/*b*/c\"]", #"["\\a"]"#, #"["\u0012"]"#, #"["\uFFFF"]"#, "[\"€𝄞\"]", "[\"\u{7F}\"]",
    "[\"\u{2028}\"]", #"["new\u000Aline"]"#, "[0]", "[1e400]", "[-1e-400]",
  ])
  func takesWhatIsJSON(_ text: String) throws { try skip(text.utf8) }

  @Test(arguments: [
    "", " ", "[", "]", "[1 true]", "[a]", "[\"\": 1]", "[\"\"],", "[,1]", "[1,,2]", "[\"x\",,]", "[\"x\"]]",
    "[\"\",]", "[\"x\"", "[x", "[3[ 4]]", "[1:2]", "[,]", "[-]", "[   , \"\"]", "[\"a\",\n4\n,1,", "[1,]",
    "[\"\u{B}a\"\\f]", "[*]", "[1,", "[nul]", "[tru]", "[fals]", "[truee]", "[++1234]", "[+1]", "[+Inf]",
    "[-01]", "[-1.0.]", "[-2.]", "[-NaN]", "[.-1]", "[.2e-3]", "[0.1.2]", "[0.3e+]", "[0.3e]", "[0.e1]",
    "[0E+]", "[0E]", "[0e+]", "[0e]", "[1.0e+]", "[1.0e-]", "[1.0e]", "[1 000.0]", "[1eE2]", "[2.e+3]",
    "[2.e3]", "[9.e+]", "[Inf]", "[NaN]", "[１]", "[1+2]", "[0x1]", "[0x42]", "[Infinity]", "[-Infinity]",
    "[-foo]", "[- 1]", "[-012]", "[-.123]", "[-1x]", "[1ea]", "[1.]", "[.123]", "[1.2a-3]", "[012]",
    "{\"x\", null}", "{\"x\"::\"b\"}", "{🇨🇭}", "{\"a\":\"a\" 123}", "{key: 'value'}", "{\"a\" b}", "{:\"b\"}",
    "{\"a\" \"b\"}", "{\"a\":", "{\"a\"", "{1:1}", "{null:null}", "{\"id\":0,,,,,}", "{'a':0}", "{\"id\":0,}",
    "{\"a\":\"b\"}/**/", "{\"a\":\"b\"}//", "{\"a\":\"b\",,\"c\":\"d\"}", "{\"a\":\"a", "{a: \"b\"}",

       "{\"a\":\"b\"}#", #"["\uD800\"]"#, #"["\uD800\u"]"#, #"["\uD800\u1"]"#, #"["\uD800\u1x"]"#,
    #"["\uDFFF"]"#,
    #"["\uD800\uD800"]"#, #"["\uD800abc"]"#, "[é]", #"["\x00"]"#, #"["\\\"]"#, "[\"\\\u{9}\"]", #"["\🌀"]"#,
    #"["\"]"#, #"["\u00A"]"#, #"["\a"]"#, #"["\uqqqq"]"#, "[\\u0020\"asd\"]", "[\\n]", "\"", "['single']",
    "abc", #"["\"#, "[\"a\u{0}a\"]", "[\"new\nline\"]", "[\"\t\"]", #""\UA66D""#, "<.>", "[<null>]",
    "[1]x", "[1]]", "{}}", "aå", "[True]", "1]", "{\"x\": true,", "[][]", "\u{C}[]", "\u{2060}[]",
    "\u{FEFF}[]", "[\u{A0}]", "å", "2@", "{\"a\":1 \"b\":2}", "--1", "-", "1e", "\u{0}", "[1]\u{0}",
  ])
  func refusesWhatIsNone(_ text: String) { #expect(throws: JSONError.self) { try skip(text.utf8) } }

  /// Not UTF-8: a lone continuation, an overlong form, a surrogate, a scalar over U+10FFFF, a cut sequence.
  @Test(arguments: [
    [0x80], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0xBF, 0xBF, 0xBF], [0xE2, 0x82], [0xFF], [0xFE],
    [0xFC, 0x80, 0x80, 0x80, 0x80, 0x80], [0xE0, 0x80, 0xAF],
  ] as [[UInt8]])
  func refusesTextThatIsNotUTF8(_ bytes: [UInt8]) {
    let quote: [UInt8] = [0x22]
    #expect(throws: JSONError.self) { try skip(quote + bytes + quote) }
    #expect(throws: JSONError.self) { try skip(quote + Array(#"\n"#.utf8) + bytes + quote) }
  }

  @Test func readsTexts() throws {
    let texts = [
      (#""""#, ""), (#""abc""#, "abc"), (#""\u0041\n\"\\\/\b\f\r\t""#, "A\n\"\\/\u{8}\u{C}\r\t"),
      (#""\ud83d\ude39""#, "😹"), (#""€\u20ac""#, "€€"), (#""\uD834\uDD1E""#, "𝄞"), (#""\u0000""#, "\0"),
      (#""\uFFFD\uffff""#, "\u{FFFD}\u{FFFF}"),
    ]
    for (text, expected) in texts {
      #expect(try scan(text.utf8) { (scanner) throws(JSONError) in try scanner.string() } == expected)
    }
  }

  private func number(_ text: String) throws -> Double {
    try scan(text.utf8) { (scanner) throws(JSONError) in try scanner.number() }
  }

  /// Halfway cases, the ends of the range, and texts longer than any digit counts.
  @Test(arguments: [
    "0", "-0", "-0.0", "0e999999999999999999999", "1e-999999999999999999999", "9007199254740992",
    "9007199254740993", "9007199254740995", "9007199254740991e22", "9007199254740993e-22", "1e22", "1e23",
    "8.5e22", "2.2250738585072011e-308", "2.2250738585072014e-308", "4.9e-324", "2.4703282292062327e-324",
    "2.4703282292062328e-324", "1.7976931348623157e308", "1.7976931348623159e308", "6929495644600919.5",
    "3.7455744005952583e15", "0.1", "0.30000000000000004", "123456789012345678901234567890",
    "0.000000000000000000000000000000000000000000000000123456789012345678901234567890e48",
    "18446744073709551616", "9999999999999999999", "1.00000000000000011102230246251565404",
  ])
  func roundsAsStrtodDoes(_ text: String) throws {
    #expect(try number(text).bitPattern == strtod(text, nil).bitPattern)
  }

  @Test func roundsRandomNumbersAsStrtodDoes() throws {
    var random = SystemRandomNumberGenerator()
    for round in 0..<100_000 {
      let text = Self.randomNumber(round, &random)
      let value = try number(text)
      guard value.bitPattern != strtod(text, nil).bitPattern else { continue }
      Issue.record("\(text) is \(strtod(text, nil)), not \(value)")
      return
    }
  }

  private static func randomNumber(_ round: Int, _ random: inout SystemRandomNumberGenerator) -> String {
    if round % 4 == 0 {
      let value = Double(bitPattern: random.next())
      if value.isFinite { return String(format: "%.17g", value) }
    }
    func digits(_ most: Int) -> String {
      String((0..<Int.random(in: 1...most, using: &random)).map { _ in
        Character(Unicode.Scalar(UInt8.random(in: 48...57, using: &random)))
      })
    }
    var text = Bool.random(using: &random) ? "-" : ""
    text += Bool.random(using: &random) ? "0" : String(Int.random(in: 1...9, using: &random)) + digits(20)
    if Bool.random(using: &random) { text += "." + digits(24) }
    if Bool.random(using: &random) {
      text += ["e", "E", "e-", "E+"].randomElement(using: &random)!
      text += String(Int.random(in: 0...(round % 3 == 0 ? 330 : 30), using: &random))
    }
    return text
  }

  @Test func countsAreWholeNumbers() throws {
    func count(_ text: String) throws -> Int {
      try scan(text.utf8) { (scanner) throws(JSONError) in try scanner.count() }
    }
    #expect(try count("0") == 0)
    #expect(try count("-0") == 0)
    #expect(try count("12") == 12)
    #expect(try count("1.2e1") == 12)
    #expect(try count("9007199254740992") == 1 << 53)
    for text in ["-1", "0.5", "1e300", "9007199254740994", "\"1\"", "null", "true"] {
      #expect(throws: JSONError.self) { try count(text) }
    }
  }

  @Test func depthIsBounded() throws {
    func nested(_ depth: Int, _ open: String, _ close: String) -> String {
      String(repeating: open, count: depth) + String(repeating: close, count: depth)
    }
    try skip(nested(64, "[", "]").utf8)
    #expect(throws: JSONError(description: "the JSON is nested too deeply, at byte 65")) {
      try skip(nested(65, "[", "]").utf8)
    }
    #expect(throws: JSONError.self) { try skip(String(repeating: "[", count: 100_000).utf8) }
    #expect(throws: JSONError.self) { try skip(String(repeating: "{\"a\":", count: 100_000).utf8) }
    // Neighbours are not nested.
    try skip(("[" + String(repeating: "[],{},", count: 100) + "1]").utf8)
  }

  /// Nothing behind the cut is read: the allocation ends there.
  @Test func refusesATextThatIsCutAtAnyByte() throws {
    let text = #" {"a": [1, -2.5e+3, true, false, null], "\u00e9\ud83d\ude39": {"b": "x\n€"}, "c": 10 } "#
    let whole = Array(text.utf8)
    try skip(whole)
    let end = whole.lastIndex(of: UInt8(ascii: "}"))!
    for count in 0...end {
      #expect(throws: JSONError.self, "cut at \(count)") { try skip(whole.prefix(count)) }
    }
  }

  @Test func errorsNameTheirPlace() {
    #expect(throws: JSONError(description: "',' or ']' must stand here, at byte 3")) { try skip("[1 x".utf8) }
    #expect(throws: JSONError(description: "something follows the JSON, at byte 3")) { try skip("[] x".utf8) }
  }

  @Test func readsMembersInTheirOrder() throws {
    var names: [String] = []
    try scan(#"{"b": 1, "a": [2], "b": {}}"#.utf8) { (scanner) throws(JSONError) in
      try scanner.object { (scanner, name) throws(JSONError) in
        names.append(name)
        try scanner.skipValue()
      }
    }
    #expect(names == ["b", "a", "b"])
  }
}
