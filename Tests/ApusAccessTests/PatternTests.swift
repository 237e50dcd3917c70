import Testing

@testable import ApusAccess

@Suite("Patterns of models and identities")
struct PatternTests {
  private func matches(_ pattern: String, _ text: String) -> Bool {
    bytes(text) { Glob(pattern).matches($0) }
  }

  @Test(
    "A star is any run of bytes",
    arguments: [
      ("digits", "digits", true), ("digits", "digit", false), ("digits", "digitss", false),
      ("", "", true), ("", "a", false), ("*", "", true), ("*", "anything", true), ("**", "x", true),
      ("sentiment-*", "sentiment-", true), ("sentiment-*", "sentiment-en", true),
      ("sentiment-*", "sentiment", false), ("*-en", "sentiment-en", true), ("*-en", "sentiment-en-x", false),
      ("a*c", "abcabc", true), ("a*c", "abcab", false), ("a*b*c", "aXbYbZc", true), ("a*b*c", "acb", false),
      ("*a*", "bab", true), ("*a*", "bbb", false), ("a*a", "a", false), ("ü*", "über", true),
      (".*", "digits", false), ("?igits", "digits", false), ("[d]igits", "digits", false),
    ])
  func globs(pattern: String, text: String, expected: Bool) {
    #expect(matches(pattern, text) == expected)
  }

  /// The plain definition, to compare with.
  private func reference(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
    var reached = Set([0])
    for byte in text {
      var next: Set<Int> = []
      for place in closure(reached, pattern) where place < pattern.count {
        if pattern[place] == UInt8(ascii: "*") { next.insert(place) }
        if pattern[place] == byte, pattern[place] != UInt8(ascii: "*") { next.insert(place + 1) }
      }
      reached = next
    }
    return closure(reached, pattern).contains(pattern.count)
  }

  private func closure(_ places: Set<Int>, _ pattern: [UInt8]) -> Set<Int> {
    var result = places
    for place in places.sorted() {
      var end = place
      while end < pattern.count, pattern[end] == UInt8(ascii: "*") {
        end += 1
        result.insert(end)
      }
    }
    return result
  }

  @Test("Every pattern up to 5 and text up to 6 bytes of a small alphabet does what the definition says")
  func exhaustive() {
    func words(_ alphabet: [UInt8], upTo length: Int) -> [[UInt8]] {
      var all: [[UInt8]] = [[]]
      var last = all
      for _ in 0..<length {
        last = last.flatMap { word in alphabet.map { word + [$0] } }
        all += last
      }
      return all
    }
    let texts = words(Array("ab".utf8), upTo: 6)
    var (matching, wrong) = (0, 0)
    for pattern in words(Array("ab*".utf8), upTo: 5) {
      let glob = Glob(String(decoding: pattern, as: UTF8.self))
      for text in texts {
        let expected = reference(pattern, text)
        if text.withUnsafeBytes({ glob.matches($0) }) != expected { wrong += 1 }
        if expected { matching += 1 }
      }
    }
    #expect(wrong == 0 && matching == 10_134)
  }

  @Test("The worst patterns take no exponential time")
  func worstCase() {
    // A matcher that tries every star again would take more than 2^60 steps.
    let pattern = String(repeating: "a*", count: 200) + "b"
    #expect(!matches(pattern, String(repeating: "a", count: 5000)))
    #expect(matches(pattern, String(repeating: "a", count: 5000) + "b"))
    #expect(!matches(String(repeating: "*", count: 10_000) + "b", String(repeating: "a", count: 10_000)))
    #expect(Glob(String(repeating: "*", count: 10_000)) == Glob("*"))
  }

  private func names(_ pattern: String, _ identity: String) throws -> Bool {
    let yaml = "identities: {\"\(pattern)\": {models: [\"*\"], methods: [read]}}"
    return try !policy(yaml).entries(for: [identity]).isEmpty
  }

  @Test(
    "A pattern names identities of its own kind only",
    arguments: [
      ("token:check*", "token:checkout", true), ("token:*", "token:x", true), ("token:*", "uid:1", false),
      ("uid:1000", "uid:1000", true), ("uid:1000", "uid:10000", false), ("uid:1000", "gid:1000", false),
      ("uid:*", "uid:0", true), ("uid:10*", "uid:1042", true), ("gid:*", "uid:1", false),
      ("cert:*.internal", "cert:a.internal", true), ("cert:*.internal", "cert:dns:a.internal", false),
      ("cert:*.internal", "cert:uri:x://a.internal", false), ("cert:*", "cert:dns:a", false),
      ("cert:dns:*.internal", "cert:dns:a.internal", true), ("cert:dns:A.b", "cert:dns:a.B", true),
      ("cert:dns:*.internal", "cert:a.internal", false), ("cert:A", "cert:a", false),
      ("cert:uri:spiffe://x/*", "cert:uri:spiffe://x/y/z", true), ("anonymous", "anonymous", true),
      ("anonymous", "token:anonymous", false), ("*", "anonymous", true), ("*", "cert:uri:x", true),
      ("*", "something", false),
    ])
  func identities(pattern: String, identity: String, expected: Bool) throws {
    #expect(try names(pattern, identity) == expected)
  }

  @Test("A common name that reads like an alternative name is no identity")
  func commonNames() {
    #expect(Identity.certificate(commonName: "checkout.internal") == "cert:checkout.internal")
    #expect(Identity.certificate(commonName: "dnsmasq") == "cert:dnsmasq")
    #expect(Identity.certificate(commonName: "dns:a.b") == nil)
    #expect(Identity.certificate(commonName: "uri:spiffe://x") == nil)
    #expect(Identity.certificate(commonName: "") == nil)
  }

  @Test("What is no identity names nobody", arguments: ["", "uid:", "cert:", "anonymous:x", "Uid:1", "root"])
  func noIdentity(text: String) throws {
    #expect(Identity(text) == nil)
    #expect(try !names("*", text))
  }
}
