import Testing

@testable import ApusStore

@Suite struct StoreNamesTests {
  @Test(arguments: ["digits", "a", "sentiment-en.v2_x", "A..b"])
  func takesNamesOfModels(_ name: String) { #expect(StoreNames.isModelName(name)) }

  @Test(arguments: ["", ".", "..", ".apus", "a/b", "a b", "é", "a\0", String(repeating: "a", count: 201)])
  func refusesOtherNamesOfModels(_ name: String) { #expect(!StoreNames.isModelName(name)) }

  @Test(arguments: ["", "0", "01", "-1", "+1", "1.0", " 1", "9007199254740992", "99999999999999999999"])
  func refusesOtherVersions(_ name: String) { #expect(StoreNames.version(name) == nil) }

  @Test func takesVersions() {
    #expect(StoreNames.version("1") == 1)
    #expect(StoreNames.version("9007199254740991") == 9_007_199_254_740_991)
  }

  @Test(arguments: ["model.pth", "model.yaml", "é ü.txt", "-", "a\\b", "a:b"])
  func takesNamesOfFiles(_ name: String) { #expect(StoreNames.isFileName(name)) }

  @Test(arguments: [
    "", ".", "..", ".hidden", "a/b", "../a", "a\nb", "a\0b", "a\u{7F}", "a\u{9B}", "a\u{2028}",
    "model.pth.part", String(repeating: "a", count: 241),
  ])
  func refusesOtherNamesOfFiles(_ name: String) { #expect(!StoreNames.isFileName(name)) }
}
