import Foundation
import Testing

@testable import ApusModels

/// `state.json`: what was decided about a model's versions.
@Suite struct ModelRecordTests {
  private func parse(_ text: String) throws -> ModelRecord { try ModelRecord(parsing: Array(text.utf8)) }

  @Test func readsWhatItWrites() throws {
    var record = ModelRecord()
    record.highest = 3
    record.latest = ModelRecord.Latest(version: 2, seen: 3)
    record.aliases = ["stable": 2]
    record.canary = ModelRecord.Canary(version: 3, weight: 500)
    record.withdrawn = [1]
    record.deprecated = [
      1: .init(text: "\"old\"\n", nanoseconds: 1_795_537_417_123_456_789),
      2: .init(text: "x", nanoseconds: 0),
    ]
    let text = String(decoding: record.bytes, as: UTF8.self)
    #expect(try parse(text) == record)
    #expect(text.contains("1795537417123456789"))
  }

  @Test func aDeprecationWithoutATimeIsReadAndWrittenWithoutOne() throws {
    let record = try parse(
      #"{"apus_state": 1, "deprecated": {"1": "old", "2": "new"}, "deprecated_ns": {"2": 7}}"#)
    #expect(record.deprecated[1] == .init(text: "old", nanoseconds: 0))
    #expect(record.deprecated[2] == .init(text: "new", nanoseconds: 7))
    let old = try parse(#"{"apus_state": 1, "deprecated": {"1": "old"}}"#)
    #expect(old.deprecated[1]?.nanoseconds == 0)
    #expect(!String(decoding: old.bytes, as: UTF8.self).contains("deprecated_ns"))
  }

  @Test(arguments: [
    #"{"deprecated": {"x": "old"}}"#, #"{"deprecated": {"1": 7}}"#,
    #"{"deprecated": {"1": "old"}, "deprecated_ns": {"1": "yesterday"}}"#,
    #"{"deprecated": {"1": "old"}, "deprecated_ns": {"1": -1}}"#,
  ])
  func brokenDeprecationsAreRefused(_ text: String) {
    #expect(throws: ModelError.self) { try parse(#"{"apus_state": 1, "# + text.dropFirst()) }
  }
}
