import Testing

@testable import ApusJSON

@Suite struct JSONTests {
  @Test func writesInOrderWithNineDigits() {
    let value: JSON = [
      "b": .integer(3), "a": [.number(Float(0.1)), .number(1.0), .number(1e-9), .null, .boolean(true)],
      "none": [:],
    ]
    #expect(value.description == #"{"b": 3, "a": [0.100000001, 1, 1e-09, null, true], "none": {}}"#)
  }

  @Test func nineDigitsTellFloatsApart() {
    for bits in stride(from: UInt32(0x3F00_0000), to: 0x3F00_1000, by: 1) {
      let value = Float(bitPattern: bits)
      #expect(Float(JSON.number(value).description) == value)
    }
  }

  @Test func escapesAndRefusesNoText() {
    #expect(JSON.string("a\"\\\n\u{1}\u{7F}é").description == "\"a\\\"\\\\\\n\\u0001\\u007fé\"")
    #expect(JSON.number(Double.nan).description == "null")
    #expect(JSON.number(-Float.infinity).description == "null")
  }
}

@Suite struct JSONParsingTests {
  @Test func readsEveryKindAndKeepsTheOrder() throws {
    let text = #"""
      {"b": [1, -2, 2.5, -0.25, 1e3], "a": {"é\n": "\u0041"}, "t": true, "f": false, "n": null}
      """#
    let value: JSON = [
      "b": [.unsigned(1), .negative(-2), .real(2.5), .real(-0.25), .real(1000)],
      "a": ["é\n": .string("A")], "t": .boolean(true), "f": .boolean(false), "n": .null,
    ]
    #expect(try JSON(parsing: text) == value)
    #expect(try JSON(parsing: value.description)["b"]?.array?.count == 5)
    #expect(value["a"]?["é\n"]?.string == "A")
    #expect(value["t"]?.boolean == true)
    #expect(value["none"] == nil && value["b"]?["x"] == nil)
    #expect(value["b"]?.array?.map(\.number) == [1, -2, 2.5, -0.25, 1000])
    #expect(value["b"]?.array?.map(\.unsigned) == [1, nil, nil, nil, nil])
    #expect(value["b"]?.array?.map(\.signed) == [1, -2, nil, nil, nil])
  }

  @Test func wholeNumbersAreExactWhereSixtyFourBitsHoldThem() throws {
    #expect(try JSON(parsing: "18446744073709551615") == .unsigned(.max))
    #expect(try JSON(parsing: "18446744073709551616") == .real(0x1p64))
    #expect(try JSON(parsing: "-9223372036854775808") == .negative(.min))
    #expect(try JSON(parsing: "-9223372036854775809") == .real(-0x1p63))
    #expect(try JSON(parsing: "9007199254740993").unsigned == 9_007_199_254_740_993)
    #expect(JSON.signed(-7) == .negative(-7) && JSON.signed(7) == .unsigned(7))
    let ends: JSON = [.signed(.min), .unsigned(.max)]
    #expect(ends.compact == "[-9223372036854775808,18446744073709551615]")
    #expect(try JSON(parsing: "-0").number == 0)
  }

  @Test func compactHasNoSpace() {
    let value: JSON = ["a": [.unsigned(1), .string("x, y: z")], "b": [:]]
    #expect(value.compact == #"{"a":[1,"x, y: z"],"b":{}}"#)
  }

  @Test(arguments: [
    "", " ", "{", "[1,]", "{\"a\":1,}", "01", "1 2", "\"\u{1}\"", "nul", "1e999", #"{"a":1,"a":2}"#,
    #"{"a":{"b":1,"\u0062":2}}"#,
  ])
  func whatIsNoJSONOrAmbiguousIsRefused(_ text: String) {
    #expect(throws: JSONError.self) { try JSON(parsing: text) }
  }

  @Test func depthIsBounded() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(try JSON(parsing: nested(16)).array?.count == 1)
    #expect(throws: JSONError.self) { try JSON(parsing: nested(17)) }
    #expect(throws: JSONError.self) { try JSON(parsing: nested(1000), JSON.Bounds(depth: 10_000)) }
    #expect(throws: JSONError.self) { try JSON(parsing: String(repeating: #"{"a":"#, count: 17)) }
  }

  @Test func valuesAreCounted() throws {
    let list = "[" + Array(repeating: "0", count: 9).joined(separator: ",") + "]"
    #expect(try JSON(parsing: list, JSON.Bounds(values: 10)).array?.count == 9)
    #expect(throws: JSONError.self) { try JSON(parsing: list, JSON.Bounds(values: 9)) }
    #expect(throws: JSONError.self) { try JSON(parsing: #"{"a":{},"b":{}}"#, JSON.Bounds(values: 2)) }
  }
}
