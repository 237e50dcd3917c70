import ApusBase
import ApusYAML
import Foundation
import Testing

@testable import ApusAccess

@Suite("Policies")
struct PolicyTests {
  @Test("An entry gives its methods on its models")
  func grants() throws {
    let grants = try policy(examplePolicy).entries(for: ["token:checkout"])
    #expect(!grants.isEmpty)
    #expect(grants.allows(.classify, "digits") && grants.allows(.read, "sentiment-en"))
    #expect(
      !grants.allows(.classify, "digit") && !grants.allows(.classify, "") && !grants.allows(.admin, "digits"))
    #expect(grants.allows(.read) && grants.allows(.classify) && !grants.allows(.admin))
    #expect(grants.limits == CallLimits(callsPerSecond: 1000) && grants.limitKey == "token:checkout")
  }

  @Test("Who is not named may do nothing")
  func strangers() throws {
    let policy = try policy(examplePolicy)
    for identities in [["token:other"], ["anonymous"], ["uid:1001", "gid:1001"], [], ["nonsense"]] {
      let grants = policy.entries(for: identities)
      #expect(grants.isEmpty && grants.limits == .none && grants.limitKey == "")
      for permission in Permission.allCases {
        #expect(!grants.allows(permission) && !grants.allows(permission, "digits"))
      }
    }
  }

  @Test("Limits are the first entry's, entries of identities before groups, wherever they stand in the file")
  func order() throws {
    let policy = try policy(
      """
      groups:
        all: {members: ["uid:*", "gid:7"], models: ["*"], methods: [read], max_in_flight: 1}
      identities:
        gid:7: {models: [a], methods: [classify], max_in_flight: 2}
        uid:5: {models: [b], methods: [classify], max_in_flight: 3}
      """)
    let both = policy.entries(for: ["uid:5", "gid:7"])
    #expect(both.limits.maximumInFlight == 2 && both.limitKey == "gid:7")
    #expect(both.allows(.classify, "a") && both.allows(.classify, "b") && both.allows(.read, "c"))
    #expect(!both.allows(.classify, "c"))
    let user = policy.entries(for: ["uid:5", "gid:8"])
    #expect(user.limits.maximumInFlight == 3 && user.limitKey == "uid:5" && !user.allows(.classify, "a"))
    let member = policy.entries(for: ["uid:6", "gid:6"])
    #expect(member.limits.maximumInFlight == 1 && member.limitKey == "uid:6")
    #expect(policy.entries(for: ["uid:66"]).limitKey == "uid:66")
  }

  @Test("Permissions of several entries are not mixed: one entry must have both the method and the model")
  func noMixing() throws {
    let grants = try policy(
      """
      identities:
        uid:1: {models: [a], methods: [classify]}
        uid:*: {models: [b], methods: [admin]}
      """
    ).entries(for: ["uid:1"])
    #expect(grants.allows(.classify, "a") && grants.allows(.admin, "b"))
    #expect(!grants.allows(.classify, "b") && !grants.allows(.admin, "a"))
  }

  @Test("All limits are read")
  func limits() throws {
    let limits = try policy(
      """
      identities:
        uid:1:
          {models: ["*"], methods: [read], calls_per_second: 0.5, rows_per_second: 1000000000000, burst: 20,
           max_in_flight: 7, max_body_bytes: 1099511627776, priority: batch}
      """
    ).entries(for: ["uid:1"]).limits
    #expect(
      limits
        == CallLimits(
          callsPerSecond: 0.5, rowsPerSecond: 1e12, burst: 20, maximumInFlight: 7, maximumBodyBytes: 1 << 40,
          priority: .batch))
    let group = try policy(examplePolicy).entries(for: ["cert:a.analytics.internal"]).limits
    #expect(group == CallLimits(rowsPerSecond: 50000.5, maximumInFlight: 32, maximumBodyBytes: 1 << 20))
  }

  @Test("A call has the priority that it says, unless its caller's policy says batch")
  func priority() throws {
    let policy = try policy(
      """
      identities:
        uid:1: {models: [a], methods: [classify], priority: batch}
        uid:2: {models: [a], methods: [classify], priority: interactive}
        uid:3: {models: [a], methods: [classify]}
      groups:
        all: {members: ["uid:*"], models: [b], methods: [classify], priority: batch}
      """)
    let asked: [CallPriority?] = [nil, .interactive, .batch]
    for (identity, expected) in [
      ("uid:1", [.batch, .batch, .batch]), ("uid:2", [.interactive, .interactive, .batch]),
      ("uid:3", [.interactive, .interactive, .batch]), ("uid:4", [.batch, .batch, .batch]),
      ("gid:4", [.interactive, .interactive, .batch]),
    ] as [(String, [CallPriority])] {
      let limits = policy.entries(for: [identity]).limits
      #expect(asked.map { limits.priority(asked: $0) } == expected, "\(identity)")
    }
    for (identity, model, line, text) in [
      ("uid:1", "a", 2, "line 2: uid:1 may classify a, with priority batch"),
      ("uid:2", "a", 3, "line 3: uid:2 may classify a, with priority interactive"),
      ("uid:3", "b", 6, "line 6 (group all): uid:3 may classify b"),
      ("uid:1", "b", 6, "line 6 (group all): uid:1 may classify b, with priority batch by line 2"),
    ] {
      let decision = policy.decide([identity], .classify, model: model)
      #expect(decision.line == line && decision.explanation == text, "\(decision)")
    }
  }

  @Test("A name with non-UTF-8 bytes is compared as bytes")
  func rawModelNames() throws {
    let grants = try policy(
      "identities: {uid:1: {models: [\"a*\", b], methods: [read]}}"
    ).entries(for: ["uid:1"])
    #expect([UInt8](arrayLiteral: 0x61, 0xFF, 0x00).withUnsafeBytes { grants.allows(.read, model: $0) })
    #expect(![UInt8](arrayLiteral: 0x62, 0x00).withUnsafeBytes { grants.allows(.read, model: $0) })
    #expect(!grants.allows(.read, model: UnsafeRawBufferPointer(start: nil, count: 0)))
  }

  @Test(
    "A policy with nothing in it allows nothing",
    arguments: [
      "", "# nothing\n", "---\n", "{}", "identities:\ngroups:\ntokens:\n", "tokens: {}", "\u{FEFF}tokens:\n",
    ])
  func empty(yaml: String) throws {
    let policy = try policy(yaml)
    #expect(policy.entries(for: ["anonymous", "uid:0"]).isEmpty && policy.listing(at: 0).isEmpty)
  }

  @Test("An entry that may use no model may still ask about the server")
  func noModels() throws {
    let grants = try policy("identities: {anonymous: {models: [], methods: [read]}}").entries(for: [
      "anonymous"
    ])
    #expect(grants.allows(.read) && !grants.allows(.read, "digits"))
  }
}

@Suite("Decisions")
struct DecisionTests {
  @Test(
    "A decision says which line decided",
    arguments: [
      (
        ["token:checkout"], Permission.classify, "digits", true, 2,
        "line 2: token:checkout may classify digits"
      ),
      (["token:checkout"], .read, nil, true, 2, "line 2: token:checkout may read"),
      (
        ["token:checkout"], .classify, "other", false, 2,
        "line 2 names token:checkout but allows only models digits and sentiment-*"
      ),
      (
        ["token:checkout"], .admin, nil, false, 2,
        "line 2 names token:checkout but allows only methods classify and read"
      ),
      (["token:x"], .read, "digits", false, nil, "no entry names token:x"),
      (
        ["uid:1", "gid:1", "gid:2"], .read, "digits", false, nil,
        "no entry names uid:1, gid:1 or gid:2"
      ),
      ([], .read, nil, false, nil, "no entry names a caller without any identity"),
      (
        ["uid:7", "gid:100"], .read, "digits", true, 5, "line 5 (group analysts): gid:100 may read digits"
      ),
      (
        ["cert:x.analytics.internal"], .classify, "digits", false, 5,
        "line 5 (group analysts) names cert:x.analytics.internal but allows only method read"
      ),
      // The first entry that names the caller has not the method; the second decides.
      (["uid:1000", "gid:100"], .admin, "x", true, 3, "line 3: uid:1000 may admin x"),
    ] as [([String], Permission, String?, Bool, Int?, String)])
  func explanations(
    identities: [String], permission: Permission, model: String?, isAllowed: Bool, line: Int?, text: String
  ) throws {
    let decision = try policy(examplePolicy).decide(identities, permission, model: model)
    #expect(decision == Decision(isAllowed: isAllowed, line: line, explanation: text))
  }

  @Test("A refusal names the entry that came nearest")
  func nearest() throws {
    let policy = try policy(
      """
      identities:
        uid:1: {models: ["*"], methods: [read]}
        uid:*: {models: [a], methods: [classify]}
        gid:1: {models: [], methods: [admin]}
      """)
    #expect(
      policy.decide(["uid:1"], .classify, model: "b").explanation
        == "line 3 names uid:1 but allows only model a")
    #expect(
      policy.decide(["uid:1", "gid:1"], .admin, model: "b").explanation
        == "line 4 names gid:1 but allows no model")
    #expect(policy.decide(["gid:1"], .admin, model: nil).isAllowed)
  }

  @Test("Decisions and grants agree for every caller, method and model")
  func agreement() throws {
    let policy = try policy(examplePolicy)
    let callers = [
      ["token:checkout"], ["uid:1000"], ["uid:1000", "gid:100"], ["gid:100"], ["anonymous"],
      ["cert:a.analytics.internal", "cert:dns:a"], ["token:checkout", "gid:100"],
    ]
    var allowed = 0
    for caller in callers {
      let grants = policy.entries(for: caller)
      for permission in Permission.allCases {
        #expect(policy.decide(caller, permission, model: nil).isAllowed == grants.allows(permission))
        for model in ["digits", "sentiment-en", "other", ""] {
          let decision = policy.decide(caller, permission, model: model)
          #expect(decision.isAllowed == grants.allows(permission, model))
          allowed += decision.isAllowed ? 1 : 0
        }
      }
    }
    #expect(allowed == 42)
  }
}

@Suite("docs/access.md")
struct DocumentationTests {
  @Test("The example is a policy that decides as the page says")
  func example() throws {
    let page = try String(
      contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("docs/access.md"), encoding: .utf8)
    let start = try #require(page.range(of: "```yaml\n"))
    let end = try #require(page.range(of: "```", range: start.upperBound..<page.endIndex))
    let policy = try policy(String(page[start.upperBound..<end.lowerBound]))
    var decisions = 0
    for line in page.split(separator: "\n") where line.hasPrefix("$ apus auth explain ") {
      let words = line.split(separator: " ").map(String.init)
      let method = try #require(Permission(rawValue: words[5]))
      let decision = policy.decide(words[4].split(separator: ",").map(String.init), method, model: words[6])
      #expect(
        page.contains("\(line)\n\(decision.isAllowed ? "allowed" : "refused"): \(decision.explanation)\n"))
      decisions += 1
    }
    #expect(decisions == 2)
    #expect(
      bytes("secret") { policy.check(token: $0, at: 0) } == .valid(name: "checkout", expires: 4_070_908_800))
  }
}
