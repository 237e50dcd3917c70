import ApusYAML
import Testing

@testable import ApusAccess

@Suite("Editing the text of a policy")
struct PolicyTextTests {
  private let new = hash("new")
  private let line = "new: {hash: \"\(hashText("new"))\"}"

  private func add(
    _ text: String, _ name: String = "new", expires: Int64? = nil, replacing: Bool = false
  ) throws -> String {
    try PolicyText(text, source: "policy.yaml").adding(
      token: name, hash: new, expires: expires, replacing: replacing)
  }

  private func remove(_ text: String, _ name: String) throws -> String {
    try PolicyText(text, source: "policy.yaml").removing(token: name)
  }

  private func message(_ edit: () throws -> String) -> String {
    do { return "edited: \(try edit())" } catch { return "\(error)" }
  }

  @Test("Into an empty policy, one of comments, one without tokens")
  func appended() throws {
    #expect(try add("") == "tokens:\n  \(line)\n")
    #expect(try add("# mine") == "# mine\ntokens:\n  \(line)\n")
    #expect(try add("---\n") == "---\ntokens:\n  \(line)\n")
    #expect(try add("identities:\n# end\n\n") == "identities:\n# end\n\ntokens:\n  \(line)\n")
    let identities = "identities:\n    uid:1: {models: [a], methods: [read]}"
    #expect(try add(identities) == "\(identities)\ntokens:\n    \(line)\n")
    #expect(try add("  identities:\n   # deep") == "  identities:\n   # deep\n  tokens:\n    \(line)\n")
  }

  @Test("Under a key without tokens, or with empty braces, wherever it stands")
  func emptySection() throws {
    #expect(try add("tokens:\nidentities:\n") == "tokens:\n  \(line)\nidentities:\n")
    #expect(try add("tokens: # all of them") == "tokens: # all of them\n  \(line)\n")
    #expect(try add("tokens: {}\n") == "tokens:\n  \(line)\n")
    #expect(try add("tokens:   { }   # {} none\n# x\n") == "tokens:   # {} none\n  \(line)\n# x\n")
    #expect(try add("\"tokens\": {}\nidentities: {}") == "\"tokens\":\n  \(line)\nidentities: {}")
  }

  @Test("Behind the last token, in the file's own indentation and line ends, every other byte as it was")
  func behindTheLast() throws {
    let a = "a: {hash: \(hashText("a"))}"
    #expect(try add("tokens:\n  \(a)") == "tokens:\n  \(a)\n  \(line)\n")
    #expect(
      try add("tokens:\n    \(a)  # first\n\n# end\n") == "tokens:\n    \(a)  # first\n    \(line)\n\n# end\n"
    )
    #expect(try add("tokens:\r\n \(a)\r\n") == "tokens:\r\n \(a)\r\n \(line)\r\n")
    #expect(try add("tokens:\r\n  \(a)") == "tokens:\r\n  \(a)\r\n  \(line)\r\n")
    #expect(try add("tokens:\r  \(a)\r") == "tokens:\r  \(a)\r  \(line)\r")
    #expect(try add("tokens:\n  \(a)\n...\n") == "tokens:\n  \(a)\n  \(line)\n...\n")
    #expect(try add("\u{FEFF}tokens:\n  \(a)\n") == "\u{FEFF}tokens:\n  \(a)\n  \(line)\n")
    let block = "  a:   # the shop\n     hash: \(hashText("a"))\n     # until further notice\n  # the next\n"
    #expect(
      try add("tokens:\n\(block)groups: {}\n")
        == "tokens:\n  a:   # the shop\n     hash: \(hashText("a"))\n     # until further notice\n"
        + "  \(line)\n  # the next\ngroups: {}\n")
    let braces = "tokens:\n  a: {\n    hash: \(hashText("a"))\n  }\n\nidentities:\n"
    #expect(try add(braces).replacing("  \(line)\n", with: "") == braces)
  }

  @Test("Lines that YAML ends in its own way are counted as it does")
  func unicodeLines() throws {
    let text = "# one\u{2028}# two\u{85}tokens:\n  a: {hash: \(hashText("a"))}\n# end\n"
    #expect(try add(text).replacing("  \(line)\u{2028}", with: "") == text)
    #expect(try add(text).hasSuffix("}\n  \(line)\u{2028}# end\n"))
  }

  @Test("An expiry is written in UTC")
  func expiry() throws {
    #expect(
      try add("", expires: 1_798_761_600)
        == "tokens:\n  new: {hash: \"\(hashText("new"))\", expires: 2027-01-01T00:00:00Z}\n")
  }

  @Test("A token that is there is replaced only when that is wanted, at its place, its comments kept")
  func replaced() throws {
    let other = "  b: {hash: \(hashText("b"))}\n"
    let text =
      "tokens:\n  new: {hash: \(hashText("a")), expires: 2027-01-01T00:00:00Z}   # the shop\n\(other)"
    #expect(
      message { try add(text) }
        == "policy.yaml line 2: there is a token new already; "
        + "choose another name, or put a new one in its place with --replace")
    #expect(try add(text, replacing: true) == "tokens:\n  \(line)   # the shop\n\(other)")
    #expect(try add("tokens:\n\(other)", replacing: true) == "tokens:\n\(other)  \(line)\n")
    let block = "tokens:\n\(other)  new:  # one\n    # two\n    hash: \(hashText("a"))  # three\n# four\n"
    #expect(
      try add(block, replacing: true) == "tokens:\n\(other)  \(line)  # one\n    # two\n    # three\n# four\n"
    )
  }

  @Test("A removed token takes its own lines along, and no others")
  func removed() throws {
    let last = "  old: {hash: \"\(hashText("secret-old"))\"}"
    #expect(try remove(examplePolicy, "old") == examplePolicy.replacing(last, with: ""))
    let a = "  a: {hash: \(hashText("a"))}  # first\n"
    let b = "  b:\n    hash: \(hashText("b"))\n    # of b\n"
    let c = "  \"c\": {hash: \(hashText("c")),\nexpires: 2027-01-01T00:00:00Z\n}\n"
    let text = "# top\ntokens: # all\n\(a)  # before b\n\(b)\n  # before c\n\(c)# behind\n\ngroups: {}\n"
    #expect(try remove(text, "a") == text.replacing(a, with: ""))
    #expect(try remove(text, "b") == text.replacing(b, with: ""))
    #expect(try remove(text, "c") == text.replacing(c, with: ""))
    let none = try remove(remove(remove(text, "a"), "b"), "c")
    #expect(none == "# top\ntokens: # all\n  # before b\n\n  # before c\n# behind\n\ngroups: {}\n")
    #expect(try add(none) == none.replacing("all\n", with: "all\n  \(line)\n"))
    #expect(message { try remove(text, "d") } == "policy.yaml has no token d")
  }

  @Test("Adding and removing again gives the very text, for every place, indentation and line end")
  func thereAndBack() throws {
    for end in ["\n", "\r\n"] {
      for indentation in 1...5 {
        let space = String(repeating: " ", count: indentation)
        let tokens = ["tokens:", "\(space)a: {hash: \(hashText("a"))}  # a", "", "# between"]
        let identities = ["identities:", "\(space)\"uid:*\": {models: [\"*\"], methods: [read]}  # all", ""]
        for lines in [tokens, tokens + identities, identities + tokens, ["# top", ""] + tokens] {
          let text = lines.joined(separator: end) + end
          let added = try add(text)
          #expect(
            added != text
              && added.utf8.count == text.utf8.count + space.utf8.count + line.utf8.count + end.utf8.count)
          #expect(try Array(remove(added, "new").utf8) == Array(text.utf8))
        }
      }
    }
  }

  @Test("What cannot be edited safely is left alone, with what to do")
  func refused() {
    let a = "a: {hash: \(hashText("a"))}"
    let braces =
      "tokens in braces or with an anchor cannot be edited; write `tokens:` alone on a line, "
      + "and below it each one indented on its own: `NAME: {hash: …}`"
    #expect(message { try add("tokens: &t\n  \(a)\n") } == "policy.yaml line 1: \(braces)")
    #expect(message { try add("tokens:\n  {\(a)}\n") } == "policy.yaml line 1: \(braces)")
    #expect(message { try add("tokens:\n  {}\n") } == "policy.yaml line 1: \(braces)")
    #expect(message { try add("tokens: {\(a)}") } == "policy.yaml line 1: \(braces)")
    #expect(message { try remove("identities:\ntokens: {\(a)}", "a") } == "policy.yaml line 2: \(braces)")
    #expect(message { try add("{tokens: {\(a)}}") } == "policy.yaml: \(braces)")
    #expect(message { try add("{}") } == "policy.yaml: \(braces)")
    for text in [
      "tokens:\n  \(a)\n...\n", "identities:\n...\n", "tokens: {\n}\n", "? tokens\n: \(a)\n", "tokens: ~",
      "tokens: !!map\n", "identities:\n", "? tokens\n:\n",
    ] {
      let result = message { try add(text) }
      if result.hasPrefix("edited: ") {
        // Whatever was written means the old policy and the new token.
        let edited = try? Policy(yaml: String(result.dropFirst(8)), source: "policy.yaml")
        #expect(edited?.listing(at: 0).last?.name == "new", "\(text): \(result)")
      } else {
        #expect(result.hasPrefix("policy.yaml"), "\(text): \(result)")
        #expect(!result.contains("\n"))
      }
    }
    #expect(
      message { try add("identities:\n...\n") }.contains("cannot be edited safely, nothing was changed"))
    #expect(
      message { try add("", "a b") }.hasPrefix("a token cannot be called a b: its name must hold letters"))
    #expect(message { try add("identities: []") } == "policy.yaml line 1: identities must be a map")
    #expect(
      message {
        try PolicyText("tokens:\n  \(a)\n", source: "p").adding(
          token: "b", hash: hash("a"), expires: nil, replacing: false)
      }
      .contains("the tokens a and b have the same hash"))
  }

  @Test("A token's value that other entries point to is not taken away")
  func anchors() {
    let text =
      "tokens:\n  a: &t {hash: \(hashText("a"))}\nidentities:\n  uid:1: {models: &m [x], methods: [read]}\n"
      + "  uid:2: {models: *m, methods: [read]}\n"
    #expect(
      message { try remove(text, "a") } == "edited: "
        + text.replacing(
          "  a: &t {hash: \(hashText("a"))}\n", with: ""))
    let hidden = "tokens:\n  a: {hash: &h \(hashText("a"))}\ngroups: {}\n"
    #expect(message { try remove(hidden, "a") } == "edited: tokens:\ngroups: {}\n")
  }
}
