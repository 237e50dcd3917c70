import ApusYAML
import Foundation
import Testing

@testable import ApusAccess

@Suite("Tokens")
struct TokenTests {
  /// 2027-01-01T00:00:00Z.
  private let end: Int64 = 1_798_761_600

  private func check(_ token: String, at time: Int64) throws -> Policy.TokenCheck {
    let policy = try policy(examplePolicy)
    return bytes(token) { policy.check(token: $0, at: time) }
  }

  @Test("A token is valid until the second before it expires")
  func expiry() throws {
    #expect(try check("secret-checkout", at: 0) == .valid(name: "checkout", expires: end))
    #expect(try check("secret-checkout", at: end - 1) == .valid(name: "checkout", expires: end))
    #expect(try check("secret-checkout", at: end) == .expired(name: "checkout"))
    #expect(try check("secret-checkout", at: end + 1) == .expired(name: "checkout"))
    #expect(try check("secret-old", at: .max - 1) == .valid(name: "old", expires: .max))
  }

  @Test("What is not a token is unknown", arguments: ["", "secret-checkou", "secret-checkout ", "checkout"])
  func unknown(token: String) throws {
    #expect(try check(token, at: 0) == .unknown)
  }

  @Test("The stored hash itself is no token")
  func hashIsNoToken() throws {
    #expect(try check(hashText("secret-checkout"), at: 0) == .unknown)
    let raw = hash("secret-checkout")
    #expect(try raw.withUnsafeBytes { try policy(examplePolicy).check(token: $0, at: 0) } == .unknown)
  }

  @Test("A connection's token stays current until it expires, is revoked or replaced")
  func current() throws {
    let policy = try policy(examplePolicy)
    #expect(policy.isCurrent(token: "checkout", hash: hash("secret-checkout"), at: end - 1))
    #expect(!policy.isCurrent(token: "checkout", hash: hash("secret-checkout"), at: end))
    #expect(!policy.isCurrent(token: "checkout", hash: hash("secret-old"), at: 0))
    #expect(!policy.isCurrent(token: "gone", hash: hash("secret-checkout"), at: 0))
    #expect(!policy.isCurrent(token: "checkout", hash: [], at: 0))
    #expect(!policy.isCurrent(token: "checkout", hash: Array(hash("secret-checkout").dropLast()), at: 0))
  }

  @Test("SHA-256 is that of FIPS 180-2's example")
  func knownHash() {
    #expect(hashText("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test("A token whose name has no entry, and an entry whose token is gone, do no harm")
  func revoked() throws {
    let policy = try policy("identities: {token:gone: {models: [a], methods: [read]}}")
    #expect(bytes("x") { policy.check(token: $0, at: 0) } == .unknown)
    #expect(!policy.entries(for: ["token:gone"]).isEmpty)
  }

  /// Whether hashes are compared in constant time cannot be seen from outside; the sources can be read.
  @Test("Hashes are compared by CRYPTO_memcmp, every one of them, whatever the others gave")
  func constantTime() throws {
    let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources/ApusAccess")
    let policy = try String(contentsOf: sources.appendingPathComponent("Policy.swift"), encoding: .utf8)
    let start = try #require(policy.range(of: "func check(token"))
    let body = policy[start.upperBound...].prefix(
      upTo: try #require(policy.range(of: "guard let found")).lowerBound)
    #expect(body.contains("for stored in tokens where isSameHash(stored.hash, hash) { found = stored }"))
    #expect(!body.contains("return") && !body.contains("break") && !body.contains("first"))
    let token = try String(contentsOf: sources.appendingPathComponent("Token.swift"), encoding: .utf8)
    #expect(token.contains("CRYPTO_memcmp(left, right, 32) == 0"))
    for file in try FileManager.default.contentsOfDirectory(atPath: sources.path) {
      let text = try String(contentsOf: sources.appendingPathComponent(file), encoding: .utf8)
      #expect(!text.contains("hash =="), "\(file)")
    }
  }

  @Test("A new token is apus_ and 256 random bits in base64url")
  func create() {
    let tokens = (0..<200).map { _ in Token.create() }
    #expect(Set(tokens).count == 200)
    let alphabet = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    for token in tokens {
      #expect(token.hasPrefix("apus_") && token.count == 48)
      #expect(token.dropFirst(5).allSatisfy { alphabet.contains($0) })
    }
    #expect(Set(tokens.joined()).count == 64)
  }

  @Test("base64url is that of Foundation, for every length up to 40")
  func base64() {
    for count in 0...40 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 97 &+ 251) }
      let expected = Data(bytes).base64EncodedString().replacingOccurrences(of: "=", with: "")
        .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
      #expect(Token.base64URL(bytes) == expected)
    }
  }

  @Test("The listing tells what an operator may know, and no hash")
  func listing() throws {
    let policy = try policy(examplePolicy)
    typealias Listing = Policy.TokenListing
    #expect(
      policy.listing(at: end - 1) == [
        Listing(name: "checkout", expires: end, isExpired: false, isNamed: true),
        Listing(name: "old", expires: nil, isExpired: false, isNamed: false),
      ])
    #expect(policy.listing(at: end).map(\.isExpired) == [true, false])
  }
}

@Suite("Times of RFC 3339")
struct TimestampTests {
  @Test(
    "Times that are times",
    arguments: [
      ("1970-01-01T00:00:00Z", 0), ("1969-12-31T23:59:59Z", -1), ("2027-01-01T00:00:00Z", 1_798_761_600),
      ("2027-01-01t00:00:00z", 1_798_761_600), ("2027-01-01T01:00:00+01:00", 1_798_761_600),
      ("2026-12-31T18:30:00-05:30", 1_798_761_600), ("2027-01-01T00:00:00.999999Z", 1_798_761_600),
      ("2000-02-29T12:34:56Z", 951_827_696), ("2024-02-29T00:00:00Z", 1_709_164_800),
      ("2016-12-31T23:59:60Z", 1_483_228_800), ("0001-01-01T00:00:00Z", -62_135_596_800),
      ("9999-12-31T23:59:59Z", 253_402_300_799), ("1900-03-01T00:00:00Z", -2_203_891_200),
    ] as [(String, Int64)])
  func good(text: String, expected: Int64) {
    #expect(Timestamp.parse(text) == expected)
  }

  @Test(
    "Times that are none",
    arguments: [
      "", "2027", "2027-01-01", "2027-01-01T00:00:00", "2027-01-01 00:00:00Z", "2027-1-1T00:00:00Z",
      "2027-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z",
      "2027-01-00T00:00:00Z", "2027-04-31T00:00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T00:60:00Z",
      "2027-01-01T00:00:61Z", "2027-01-01T00:00:00.Z", "2027-01-01T00:00:00+1:00",
      "2027-01-01T00:00:00+24:00",
      "2027-01-01T00:00:00+0100", "2027-01-01T00:00:00Zx", " 2027-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
      "+027-01-01T00:00:00Z", "２０２７-01-01T00:00:00Z", "12027-01-01T00:00:00Z",
    ])
  func bad(text: String) {
    #expect(Timestamp.parse(text) == nil)
  }

  @Test("Every day of two centuries is written and read as the calendar has it")
  func everyDay() {
    var (year, month, day) = (1899, 1, 1)
    var wrong = 0
    // 1899-01-01T00:00:00Z.
    var second: Int64 = -2_240_524_800
    while year <= 2101 {
      let date = "\(year)-\(month < 10 ? "0" : "")\(month)-\(day < 10 ? "0" : "")\(day)"
      if Timestamp.text(second + 86_399) != date + "T23:59:59Z" || Timestamp.parse(date: date) != second {
        wrong += 1
      }
      second += 86_400
      day += 1
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
      if day > lengths[month - 1] { (month, day) = (month + 1, 1) }
      if month > 12 { (year, month) = (year + 1, 1) }
    }
    // 2102-01-01T00:00:00Z.
    #expect(wrong == 0 && second == 4_165_516_800)
  }

  @Test("An expiry is a duration, a date or a time")
  func expiries() {
    #expect(Timestamp.expiry("90d", from: 1000) == 7_777_000)
    #expect(Timestamp.expiry("12h", from: 1000) == 44_200)
    #expect(Timestamp.expiry("2027-01-01", from: 0) == 1_798_761_600)
    #expect(Timestamp.expiry("2027-01-01T01:00:00+01:00", from: 0) == 1_798_761_600)
    #expect(Timestamp.expiry("2932896d", from: 0) == 253_402_214_400)
    for text in [
      "", "d", "0d", "-1d", "+1d", "1.5d", "1m", "90", "2932897d", "99999999999999999999d", "1dd", "2027-01",
    ] {
      #expect(Timestamp.expiry(text, from: 0) == nil, "\(text)")
    }
  }
}
