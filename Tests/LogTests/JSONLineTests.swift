import ApusLog
import Foundation
import Testing

/// The reader of lines against Foundation's.
@Suite struct JSONLineTests {
  private func members(_ line: String) -> [String: String]? {
    var members: [String: String] = [:]
    let isObject = Array(line.utf8).withUnsafeBytes { bytes in
      JSONLine.read(bytes) { key, value in
        let name = String(decoding: key, as: UTF8.self)
        switch value {
        case .string(let text, let hasEscapes):
          members[name] = "s:" + (JSONLine.text(text, hasEscapes: hasEscapes) ?? "(broken)")
        case .number(let digits): members[name] = "n:" + String(decoding: digits, as: UTF8.self)
        case .truth(let truth): members[name] = "\(truth)"
        case .null: members[name] = "null"
        case .nested(let text): members[name] = "o:" + String(decoding: text, as: UTF8.self)
        }
      }
    }
    return isObject ? members : nil
  }

  @Test func membersOfEveryKind() {
    let line =
      #" {"a":"x","b" : -1.5e3, "c":true,"d":false,"e":null,"f":{"a":[1,{}]},"g":[ ], "#
      + #""a\n":"\u00e9"} "#
    #expect(
      members(line) == [
        "a": "s:x", "b": "n:-1.5e3", "c": "true", "d": "false", "e": "null", "f": #"o:{"a":[1,{}]}"#,
        "g": "o:[ ]", #"a\n"#: "s:é",
      ])
    #expect(members("{}") == [:])
  }

  @Test func escapesAreUndone() {
    #expect(members(#"{"a":"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00é"}"#) == ["a": "s:\"\\/\u{8}\u{c}\n\r\tA😀é"])
    for half in [#"\ud83d"#, #"\ud83dx"#, #"\ude00"#, #"\ud83d\u0041"#] {
      #expect(members("{\"a\":\"\(half)\"}") == ["a": "s:(broken)"])
    }
  }

  @Test(arguments: [
    "", " ", "1", "[]", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}",
    "{\"a\":01}",
    "{\"a\":1.}", "{\"a\":.5}", "{\"a\":+1}", "{\"a\":1e}", "{\"a\":-}", "{\"a\":tru}", "{\"a\":nul}",
    "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\u12", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":\"\t\"}",
    "{\"a\":[1,]}", "{\"a\":[1 2]}", "{\"a\":{\"b\"}}", "{a:1}", "{\"a\":1}x", "{\"a\":1}{}", "{'a':1}",
    "{\"a\":NaN}",
  ])
  func anythingElseIsRefused(_ line: String) {
    #expect(members(line) == nil, "\(line)")
    let theirs = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    if line != "{\"a\":1,}" && line != "{\"a\":[1,]}" { #expect(theirs == nil, "\(line)") }
  }

  @Test func deepNestingIsRefused() {
    func nested(_ depth: Int) -> String {
      "{\"a\":" + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
    }
    #expect(members(nested(31)) != nil)
    #expect(members(nested(32)) == nil && members(nested(1_000_000)) == nil)
  }
}
