import Testing

@testable import ApusAccess

@Suite("Bad policies")
struct BadPolicyTests {
  @Test(
    "Each mistake is told with its line and what to do",
    arguments: [
      ("identites: {}", "policy.yaml line 1: unknown key identites in the policy; did you mean identities?"),
      ("identities: []", "policy.yaml line 1: identities must be a map"),
      ("- a", "policy.yaml line 1: the policy must be a map of identities, groups, tokens"),
      ("identities:\n  tokens:x: {models: [], methods: [read]}", "line 2: tokens:x is no identity; write"),
      ("identities:\n  root: {models: [], methods: [read]}", "line 2: root is no identity; write token:NAME"),
      ("identities:\n  uid:root: {models: [], methods: [read]}", "line 2: uid:root: write the number, for"),
      ("identities:\n  uid:01: {models: [], methods: [read]}", "line 2: uid:01: write the number, for"),
      ("identities:\n  uid:-1: {models: [], methods: [read]}", "line 2: uid:-1: write the number, for"),
      ("identities:\n  gid:4294967296: {models: [], methods: [read]}", "line 2: gid:4294967296: write the"),
      ("identities:\n  token:a b: {models: [], methods: [read]}", "line 2: token:a b: the name of a token"),
      ("identities:\n  1000: {models: [], methods: [read]}", "line 2: 1000 is no identity; write token:"),
      (
        "identities:\n  anonymous*: {models: [], methods: [read]}", "line 2: anonymous* is no identity; write"
      ),
      ("identities:\n  [a]: {models: [], methods: [read]}", "line 2: a key of identities must be a text"),
      ("identities:\n  uid:1:\n", "line 2: uid:1 must be a map of models, methods, calls_per_second"),
      ("identities:\n  <<: {models: [], methods: [read]}", "line 2: << is no identity"),
      (
        "identities:\n  uid:1: {methods: [read]}", "line 2: uid:1 needs models, for example `models: [\"*\"]`"
      ),
      ("identities:\n  uid:1: {models: [a]}", "line 2: uid:1 needs methods, for example `methods: [classify"),
      (
        "identities:\n  uid:1: {models: a, methods: [read]}",
        "line 2: uid:1.models must be a list in brackets"
      ),
      ("identities:\n  uid:1: {models: [a@1], methods: [read]}", "line 2: uid:1.models: a@1 names no model"),
      ("identities:\n  uid:1: {models: [\"\"], methods: [read]}", "line 2: uid:1.models:  names no model"),
      ("identities:\n  uid:1: {models: [[a]], methods: [read]}", "line 2: a model of uid:1.models must be a"),
      ("identities:\n  uid:1: {models: [a], methods: []}", "line 2: uid:1.methods is an empty list; who may"),
      (
        "identities:\n  uid:1: {models: [a], methods: [write]}",
        "line 2: a method of uid:1.methods is write; it must be one of classify, read, admin"
      ),
      (
        "identities:\n  uid:1: {model: [a], methods: [read]}",
        "unknown key model in uid:1; did you mean models?"
      ),
      ("identities:\n  uid:1: {members: [a], models: [a], methods: [read]}", "unknown key members in uid:1"),
      (
        "identities:\n  uid:1:\n    models: [a]\n    methods: [read]\n    calls_per_sec: 1",
        "line 5: unknown key calls_per_sec in uid:1; there are models, methods, calls_per_second"
      ),
      (
        "groups:\n  a: {models: [a], methods: [read]}",
        "line 2: a needs members, for example `members: [\"gid:"
      ),
      ("groups:\n  a: {members: [], models: [a], methods: [read]}", "line 2: a.members is an empty list"),
      (
        "groups:\n  a: {members: [x], models: [a], methods: [read]}", "line 2: x is no identity; write token:"
      ),
      ("groups:\n  a: {members: gid:1, models: [a], methods: [read]}", "line 2: a.members must be a list"),
      (
        "groups:\n  a b: {members: [], models: [a], methods: [read]}",
        "line 2: the group's name a b must hold"
      ),
      ("identities:\n  uid:1: {}\n  uid:1: {}", "line 2: uid:1 is there twice"),
      ("groups:\n  a: {}\n  a: {}", "line 2: a is there twice"),
      ("tokens:\n  a: {}\n  \"a\": {}", "line 2: a is there twice"),
      (
        "tokens:\n  1: {hash: \(hashText("1"))}\n  \"1\": {hash: \(hashText("2"))}",
        "policy.yaml line 2: 1 is there twice"
      ),
      ("tokens: {}\ntokens: {}", "line 1: tokens is there twice"),
      ("identities:\n  uid:1: {models: [*], methods: [read]}", "put quotation marks around a pattern that"),
      (
        "identities:\n  uid:1: {models: [*-en], methods: [read]}", "put quotation marks around a pattern that"
      ),
      ("identities:\n  *: {models: [], methods: [read]}", "put quotation marks around a pattern that begins"),
    ])
  func mistakes(yaml: String, expected: String) {
    let message = problem(yaml)
    #expect(message.contains(expected) && message.hasPrefix("policy.yaml") && !message.contains("\n"))
  }

  @Test(
    "A limit is a plain number in its range",
    arguments: [
      "0", "-1", "nan", "inf", "1e3", "0x10", "1_000", "", "1.2.3", ".", "0.0000001", "2000000000000", "ten",
      "[1]", "1 000", "٣",
    ])
  func numbers(text: String) {
    for key in ["calls_per_second", "rows_per_second", "max_in_flight", "max_body_bytes"] {
      let message = problem("identities:\n  uid:1: {models: [a], methods: [read], \(key): \(text)}")
      #expect(message.hasPrefix("policy.yaml line 2: uid:1.\(key) must be a "), "\(key): \(message)")
    }
  }

  @Test("A priority is one of two words", arguments: ["low", "", "BATCH", "1", "[batch]"])
  func priorities(text: String) {
    let message = problem("identities:\n  uid:1:\n    {models: [a], methods: [read],\n    priority: \(text)}")
    let expected =
      text == "[batch]"
      ? "uid:1.priority must be a text" : "uid:1.priority is \(text); it must be one of interactive, batch"
    #expect(message.hasPrefix("policy.yaml line 4: \(expected)"), "\(message)")
  }

  @Test("A burst is at least 1 and belongs to a rate")
  func bursts() {
    let entry = "identities:\n  uid:1: {models: [a], methods: [read], "
    #expect(
      problem(entry + "calls_per_second: 2, burst: 0.5}").contains("uid:1.burst must be a number from 1 to"))
    #expect(problem(entry + "burst: 5}").contains("line 2: uid:1 has a burst but no calls_per_second"))
    #expect(problem(entry + "calls_per_second: 2, burst: 1}") == "read")
    #expect(problem(entry + "max_in_flight: 1.5}").contains("uid:1.max_in_flight must be a number from 1 to"))
  }

  @Test("A token needs a whole hash, a time and a name")
  func tokens() {
    let good = hashText("x")
    #expect(problem("tokens:\n  a: {hash: \"\(good)\"}") == "read")
    #expect(problem("tokens:\n  a: {hash: \(good.uppercased().replacing("SHA", with: "sha"))}") == "read")
    for (text, expected) in [
      ("a: {}", "the token a needs a hash"),
      ("a: {expires: 2027-01-01T00:00:00Z}", "the token a needs a hash"),
      ("a:", "tokens.a must be a map of hash, expires"),
      ("a: \(good)", "tokens.a must be a map of hash, expires"),
      ("a: {hash: \"\"}", "tokens.a.hash must be sha256: and the 64 hexadecimal digits"),
      ("a: {hash: \(good.dropLast())}", "tokens.a.hash must be sha256:"),
      ("a: {hash: \(good)0}", "tokens.a.hash must be sha256:"),
      ("a: {hash: \(good.dropLast())g}", "tokens.a.hash must be sha256:"),
      ("a: {hash: \(good.dropLast(2))é}", "tokens.a.hash must be sha256:"),
      ("a: {hash: \(good.dropFirst(7))}", "tokens.a.hash must be sha256:"),
      ("a: {hash: \(good.replacing("256", with: "512"))}", "tokens.a.hash must be sha256:"),
      ("a: {hash: [\(good)]}", "tokens.a.hash must be a text"),
      (
        "a: {hash: \(good), expires: 2027-01-01}", "tokens.a.expires must be a time like 2027-01-01T00:00:00Z"
      ),
      ("a: {hash: \(good), expires: }", "tokens.a.expires must be a time like"),
      (
        "a: {hash: \(good), expire: 2027-01-01T00:00:00Z}",
        "unknown key expire in tokens.a; did you mean expires?"
      ),
      ("a b: {hash: \(good)}", "the token's name a b must hold letters"),
      ("-a: {hash: \(good)}", "the token's name -a must hold letters"),
      ("\(String(repeating: "a", count: 65)): {hash: \(good)}", "must hold letters"),
      ("a: {hash: \(hashText(""))}", "tokens.a.hash is the hash of an empty text, which is no token"),
    ] {
      let message = problem("tokens:\n  \(text)")
      #expect(message.hasPrefix("policy.yaml line 2: ") && message.contains(expected), "\(text): \(message)")
    }
    #expect(
      problem("tokens:\n  a: {hash: \"\(good)\"}\n  b: {hash: \"\(good)\"}")
        == "policy.yaml line 3: the tokens a and b have the same hash; remove one of them")
  }

  @Test("Texts that try to be expensive, or no YAML at all, are refused in one line")
  func hostile() {
    let bomb = "a: &a [x]\n" + (0..<20).map { "k\($0): [*a, *a]\n" }.joined()
    #expect(problem(bomb) == "policy.yaml: too many aliases (*name); write the values out")
    for yaml in [
      String(repeating: "[", count: 100_000), String(repeating: "{a: ", count: 5000), "identities: {",
      "\t- a",
      "identities: !!binary x", "a: b\n---\nc: d", "tokens: \"\u{0}\"", "identities: @x",
      "%YAML 9.9\n---\na: b",
      String(repeating: "a: ", count: 50_000),
    ] {
      let message = problem(yaml)
      #expect(message.hasPrefix("policy.yaml") && !message.contains("\n") && message.utf8.count < 400)
    }
  }
}
