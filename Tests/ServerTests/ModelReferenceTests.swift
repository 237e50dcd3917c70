import Testing

@testable import ApusCommand

@Suite struct ModelReferenceTests {
  @Test func readsNameVersionAndAlias() throws {
    let plain = try ModelReference("digits")
    #expect((plain.name, plain.version, plain.alias) == ("digits", 0, ""))
    let version = try ModelReference("digits@12")
    #expect((version.name, version.version, version.alias) == ("digits", 12, ""))
    let alias = try ModelReference("digits:stable")
    #expect((alias.name, alias.version, alias.alias) == ("digits", 0, "stable"))
  }

  @Test(arguments: ["", "@1", ":a", "a@", "a@0", "a@-1", "a@x", "a:", "a@1:b", "a:b@1"])
  func refusesOthers(_ text: String) {
    #expect(throws: (any Error).self) { try ModelReference(text) }
  }
}
