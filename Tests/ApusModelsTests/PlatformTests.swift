import Foundation
import Testing

@testable import ApusModels

@Suite struct ManifestDocumentTests {
  private let manifest = VersionManifest(
    model: "digits", version: 3, digest: [UInt8](repeating: 0xAB, count: 32),
    files: [VersionFile(name: "a.pth", byteCount: 5, sha256: [UInt8](repeating: 1, count: 32))],
    format: "pytorch", inputs: [.init(name: "input", dataType: "float32", shape: [-1, 100])],
    outputs: [.init(name: "probabilities", dataType: "float32", shape: [-1, 2])], labels: ["no", "ja \"é\""],
    published: .init(
      by: "token:ci", nanoseconds: 1_795_537_417_123_456_789, from: "unix", source: "build 7"))

  private func parse(_ text: String) throws -> VersionManifest {
    try Array(text.utf8).withUnsafeBytes { try VersionManifest(parsing: $0) }
  }

  @Test func readsWhatItWrites() throws {
    let text = String(decoding: manifest.bytes, as: UTF8.self)
    #expect(try parse(text) == manifest)
    #expect(text.contains("\"at\": \"2026-11-24T"))
  }

  @Test(arguments: [
    ("\"a.pth\"", "\"../a.pth\""), ("\"a.pth\"", "\".a\""), ("\"a.pth\"", "\"manifest.json\""),
    ("\"a.pth\"", "\"manifest.sig\""), ("\"a.pth\"", "\"model.plan\""), ("\"a.pth\"", "\"a\\nb\""),
    ("\"size\": 5", "\"size\": -5"), ("\"size\": 5", "\"size\": 18446744073709551615"),
    ("sha256:ab", "sha256:AB"), ("sha256:ab", "md5:ab"), ("\"version\": 3", "\"version\": 0"),
    ("[-1, 100]", "[-2, 100]"), ("2026-", "2025-"), ("\"model\": \"digits\"", "\"model\": \"../x\""),
    ("\"labels\"", "\"model\""),
  ])
  func hostileDocumentsAreRefused(_ what: String, _ with: String) throws {
    let text = String(decoding: manifest.bytes, as: UTF8.self)
    let changed = text.replacing(what, with: with)
    #expect(changed != text)
    #expect(throws: ModelError.self) { try parse(changed) }
  }
}

@Suite struct SigningTests {
  private let files = [
    VersionFile(name: "b", byteCount: 2, sha256: [UInt8](repeating: 2, count: 32)),
    VersionFile(name: "a", byteCount: 1, sha256: [UInt8](repeating: 1, count: 32)),
    VersionFile(name: "manifest.sig", byteCount: 1, sha256: [UInt8](repeating: 3, count: 32)),
  ]

  @Test func theStatementIsWhatItsPageSays() throws {
    let ones = String(repeating: "01", count: 32)
    let twos = String(repeating: "02", count: 32)
    let text = try String(decoding: SignedStatement.bytes(model: "m", files: files), as: UTF8.self)
    #expect(text == "apus manifest 1\nmodel m\n\(ones) 1 a\n\(twos) 2 b\n")
    let forged = VersionFile(name: "x\n\(ones) 1 a", byteCount: 1, sha256: [UInt8](repeating: 1, count: 32))
    #expect(throws: ModelError.self) { try SignedStatement.bytes(model: "m", files: [forged]) }
    #expect(throws: ModelError.self) { try SignedStatement.bytes(model: "m\nx", files: files) }
  }

  @Test func aTrustedKeysSignatureCountsAndNoOther() throws {
    let first = try SigningKey.create()
    let second = try SigningKey(pem: try SigningKey.create().privatePEM())
    var trusted = TrustedKeys()
    try trusted.add(pem: second.publicPEM())
    let statement = try SignedStatement.bytes(model: "m", files: files)
    var signatures = ManifestSignatures()
    try signatures.add(first.sign(statement))
    #expect(trusted.signer(of: statement, signatures: signatures) == nil)
    try signatures.add(second.sign(statement))
    #expect(trusted.signer(of: statement, signatures: signatures) == second.id)
    let other = try SignedStatement.bytes(model: "n", files: files)
    #expect(trusted.signer(of: other, signatures: signatures) == nil)
    // The trusted key's name over another's signature.
    var forged = ManifestSignatures()
    try forged.add(.init(key: second.id, signature: first.sign(statement).signature))
    #expect(trusted.signer(of: statement, signatures: forged) == nil)
    let read = try signatures.bytes.withUnsafeBytes { try ManifestSignatures(parsing: $0) }
    #expect(read == signatures && read.entries.count == 2)
    try signatures.add(first.sign(other))
    #expect(signatures.entries.count == 2)
  }

  @Test(arguments: [
    "", "{}", #"{"signatures":[{"key":"ed25519:0123456789abcdef","signature":"AA=="}]}"#,
    #"{"signatures":[{"key":"rsa:0123456789abcdefxxxx","signature":""}]}"#, #"{"signatures":[1]}"#,
  ])
  func brokenSignatureFilesAreRefused(_ text: String) {
    #expect(throws: ModelError.self) {
      try Array(text.utf8).withUnsafeBytes { try ManifestSignatures(parsing: $0) }
    }
  }

  @Test func noKeyIsNoKey() {
    for text in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
      do {
        _ = try SigningKey(pem: Array(text.utf8))
        Issue.record("\(text) is no key")
      } catch {}
      var trusted = TrustedKeys()
      #expect(throws: ModelError.self) { try trusted.add(pem: Array(text.utf8)) }
    }
  }
}

@Suite struct AuditLogTests {
  private let repository: TemporaryRepository
  private var path: String { repository.folder.appending(path: "audit.log").path }

  init() throws { repository = try TemporaryRepository() }

  private func fill(_ count: Int) throws {
    let log = try AuditLog(path: path)
    for index in 1...count {
      let entry = try log.append(
        .init(who: "token:ci", from: "unix", act: "publish", model: "m\(index % 2)", detail: "a\"\n\(index)"))
      #expect(entry.sequence == UInt64(index))
    }
  }

  private func text() throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

  @Test func entriesComeBackNewestFirst() throws {
    try fill(500)
    let log = try AuditLog(path: path)
    #expect(try log.entries(newest: 3).map(\.sequence) == [500, 499, 498])
    #expect(try log.entries(newest: 2, model: "m1").map(\.sequence) == [499, 497])
    let all = try log.entries(newest: 1000)
    #expect(all.map(\.sequence) == (1...500).reversed().map { UInt64($0) })
    #expect(all.last?.event.detail == "a\"\n1" && all.last?.previous == [UInt8](repeating: 0, count: 32))
    #expect(try AuditLog.verify(path: path) == .sound(entries: 500, last: all[0].hash))
    #expect(throws: ModelError.self) { try AuditLog(path: path) }
  }

  @Test func aTornLineIsCutOffAndTheChainGoesOn() throws {
    try fill(3)
    let whole = try text()
    try (whole + #"{"sequence":4,"ti"#).write(toFile: path, atomically: false, encoding: .utf8)
    guard case .broken(line: 4, _) = try AuditLog.verify(path: path) else {
      Issue.record("torn")
      return
    }
    let log = try AuditLog(path: path)
    #expect(try text() == whole)
    let long = String(repeating: "é", count: 5000)
    let entry = try log.append(.init(who: "w", from: "f", act: "a", detail: long))
    #expect(entry.sequence == 4 && entry.event.detail.utf8.count <= 1024)
    #expect(try AuditLog.verify(path: path) == .sound(entries: 4, last: entry.hash))
  }

  @Test(arguments: [0, 1, 2]) func everyChangeIsFoundWhereItIs(_ change: Int) throws {
    try fill(4)
    var lines = try text().split(separator: "\n").map(String.init)
    switch change {
    case 0: lines[1] = lines[1].replacing("token:ci", with: "token:me")
    case 1: lines.remove(at: 1)
    default: lines.swapAt(1, 2)
    }
    try (lines.joined(separator: "\n") + "\n").write(toFile: path, atomically: false, encoding: .utf8)
    guard case .broken(line: 2, _) = try AuditLog.verify(path: path) else {
      Issue.record("change \(change) was not found")
      return
    }
  }
}
