import Testing

@testable import ApusYAML

/// What a value tells about a text, and in which words and with which line a wrong one is refused.
@Suite struct YAMLValueTests {
  private enum Color: String, CaseIterable { case red, green }

  private func value(_ text: String) throws -> YAMLValue {
    try #require(try YAMLValue(text: text, source: "a.yaml"))
  }

  private func message(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "nothing is wrong"
  }

  private func parseError(_ text: String) -> String {
    message { _ = try YAMLValue(text: text, source: "a.yaml") }
  }

  @Test(arguments: ["", "\n\n", "# only a comment\n", "---\n"])
  func nothingIsNoValueOrNull(_ text: String) throws {
    let value = try YAMLValue(text: text, source: "a.yaml")
    #expect(value?.isNull ?? true)
  }

  @Test func fieldsComeInTheOrderOfTheTextWithTheirLines() throws {
    let fields = try value("b: 1\n\na: [x, y]\n").fields("a map", known: ["a", "b"])
    #expect(fields.map(\.key) == ["b", "a"])
    #expect(fields.map(\.value.line) == [1, 3])
    #expect(try fields[1].value.items?.map { item in try item.text("an item") } == ["x", "y"])
    #expect(fields[0].value.items == nil && !fields[0].value.isMapping)
  }

  @Test func entriesTakeAnyKey() throws {
    let map = try value("one: 1\n[2]: two\n")
    let entries = try #require(map.entries)
    #expect(entries.map(\.key.line) == [1, 2])
    #expect(map.isMapping && entries[1].key.items?.count == 1)
    #expect(try entries[1].value.text("it") == "two")
    #expect(try value("[a]").entries == nil)
    #expect(try value("a").entries == nil)
  }

  @Test func unknownKeysNameTheNearest() throws {
    let map = try value("labels: a\nouptut: b\n")
    #expect(
      message { _ = try map.fields("the file", known: ["labels", "output"]) }
        == "a.yaml line 2: unknown key ouptut in the file; did you mean output?")
    #expect(
      message { _ = try map.fields("the file", known: ["input"]) }
        == "a.yaml line 1: unknown key labels in the file; there are input")
    let odd = try value("[x]: 1\n")
    #expect(
      message { _ = try odd.fields("the file", known: ["input"]) }
        == "a.yaml line 1: unknown key (not a text) in the file; there are input")
    #expect(
      message { _ = try value("- a").fields("the file", known: ["x", "y"]) }
        == "a.yaml line 1: the file must be a map of x, y")
  }

  @Test func textIsWhatStandsThere() throws {
    for text in ["no", "1.30", "0660", "2027-01-01", "true"] { #expect(try value(text).text("it") == text) }
    #expect(try value("\"a\\tb\"").text("it") == "a\tb")
    #expect(message { _ = try value("\n\n[a]").text("it") } == "a.yaml line 3: it must be a text")
  }

  @Test func nullIsWhatIsNotQuoted() throws {
    for text in ["a:", "a: ~", "a: null", "a: Null", "a: NULL"] {
      #expect(try value(text).entries?.first?.value.isNull == true, "\(text)")
    }
    for text in ["a: ''", "a: \"~\"", "a: 'null'", "a: nul", "a: []", "a: {}", "a: 0"] {
      #expect(try value(text).entries?.first?.value.isNull == false, "\(text)")
    }
  }

  @Test func integersHaveARange() throws {
    #expect(try value("7").integer("n", in: 0...7) == 7)
    #expect(try value("-3").integer("n", in: -3...0) == -3)
    for text in ["8", "-1", "7.0", "1e0", "0x7", "1_0", "99999999999999999999", "x", "''"] {
      let read = text == "''" ? "" : text
      #expect(
        message { _ = try value(text).integer("n", in: 0...7) }
          == "a.yaml line 1: n must be a number from 0 to 7, not \(read)")
    }
  }

  @Test func choicesAreNamed() throws {
    #expect(try value("green").choice("color", of: Color.self) == .green)
    #expect(
      message { _ = try value("Red").choice("color", of: Color.self) }
        == "a.yaml line 1: color is Red; it must be one of red, green")
  }

  @Test func longTextsAreCutInMessages() throws {
    let long = String(repeating: "k", count: 5000)
    let beginning = String(repeating: "k", count: 64) + "…"
    #expect(shortened(long) == beginning)
    #expect(shortened(String(long.prefix(64))) == String(long.prefix(64)))
    #expect(
      message { _ = try value(long).integer("n", in: 0...1) }
        == "a.yaml line 1: n must be a number from 0 to 1, not \(beginning)")
    let pair = try value("? \(long)\n: 1\n")
    #expect(
      message { _ = try pair.fields("it", known: ["a"]) }
        == "a.yaml line 1: unknown key \(beginning) in it; there are a")
  }

  @Test func nearestNameCountsEdits() {
    let names = ["threads", "models", "listen"]
    #expect(nearestName(to: "threads", in: names)! == ("threads", 0))
    #expect(nearestName(to: "treads", in: names)! == ("threads", 1))
    #expect(nearestName(to: "modles", in: names)! == ("models", 2))
    #expect(nearestName(to: "", in: names)! == ("models", 6))
    #expect(nearestName(to: "x", in: []) == nil)
  }

  @Test func syntaxErrorsHaveALine() {
    #expect(parseError("a: 1\nb: [1, 2\nc: 3\n").hasPrefix("a.yaml line 3: "))
    #expect(parseError("a: 1\n b: 2\n").hasPrefix("a.yaml line 2: "))
    #expect(parseError("a: \"b\n").hasPrefix("a.yaml line "))
    #expect(parseError("a: 1\nb: 2\na: 3\n") == "a.yaml line 1: a is there twice")
    #expect(parseError("a: 1\n---\nb: 2\n").hasPrefix("a.yaml"))
    #expect(parseError("a: \u{1}\n").hasPrefix("a.yaml"))
    #expect(parseError("a: *b\n").hasPrefix("a.yaml line 1: "))
  }

  /// Ten lines that stand for a milliard values, and nesting that would end the parser's stack.
  @Test func whatMultipliesIsRefused() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...9 {
      let aliases = (0..<10).map { _ in "*a\(level - 1)" }.joined(separator: ", ")
      text += "a\(level): &a\(level) [\(aliases)]\n"
    }
    #expect(parseError(text) == "a.yaml: too many aliases (*name); write the values out")
    for depth in [1001, 100_000] {
      let lists = parseError(String(repeating: "[", count: depth))
      #expect(lists.hasPrefix("a.yaml") && lists.utf8.count < 200, "\(lists)")
      let maps = parseError(String(repeating: "{a: ", count: depth))
      #expect(maps.hasPrefix("a.yaml") && maps.utf8.count < 200, "\(maps)")
      let items = parseError(String(repeating: "- ", count: depth))
      #expect(items.hasPrefix("a.yaml") && items.utf8.count < 200, "\(items)")
    }
  }

  @Test func fewAliasesAreFine() throws {
    let fields = try value("a: &x [1, 2]\nb: *x\n").fields("it", known: ["a", "b"])
    #expect(fields[1].value.items?.count == 2)
  }
}
