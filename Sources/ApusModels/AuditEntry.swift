import ApusBase
import ApusDigest
import ApusJSON

/// A line of the audit log: who did what to which version, and how it went.
package struct AuditEntry: Sendable, Equatable {
  /// What happened. Texts are cut to their bounds when they are written.
  package struct Event: Sendable, Equatable {
    package var who: String
    /// The transport or address.
    package var from: String
    package var act: String
    package var model: String
    /// 0: none.
    package var version: UInt64
    package var detail: String
    package var result: String

    package init(
      who: String, from: String, act: String, model: String = "", version: UInt64 = 0, detail: String = "",
      result: String = "ok"
    ) {
      self.who = who
      self.from = from
      self.act = act
      self.model = model
      self.version = version
      self.detail = detail
      self.result = result
    }
  }

  /// From 1 on, without a gap.
  package let sequence: UInt64
  /// Since 1970.
  package let nanoseconds: UInt64
  package let event: Event
  /// The hash of the line before, 32 bytes; zeros for the first.
  package let previous: [UInt8]
  /// SHA-256 of the line's bytes before `,"hash"`, 32 bytes.
  package let hash: [UInt8]

  /// Longest line, in bytes; longer than every text's bound with each byte escaped.
  static let maximumLineBytes = 32 << 10
  static let noHash = [UInt8](repeating: 0, count: 32)
  /// `,"hash":"`, 64 digits, `"}`.
  private static let hashBytes = 75

  /// The entry that follows another, and its line without the line feed.
  static func make(
    _ event: Event, after last: (sequence: UInt64, hash: [UInt8]), at nanoseconds: UInt64
  ) -> (entry: AuditEntry, line: [UInt8]) {
    var kept = event
    kept.who = cut(event.who, 256)
    kept.from = cut(event.from, 256)
    kept.act = cut(event.act, 64)
    kept.model = cut(event.model, 256)
    kept.detail = cut(event.detail, 1024)
    kept.result = cut(event.result, 512)
    let json: JSON = [
      "sequence": .unsigned(last.sequence + 1), "time": .string(UTCTime.text(nanoseconds)),
      "time_ns": .unsigned(nanoseconds), "who": .string(kept.who), "from": .string(kept.from),
      "act": .string(kept.act), "model": .string(kept.model), "version": .unsigned(kept.version),
      "detail": .string(kept.detail), "result": .string(kept.result),
      "previous": .string(hexadecimal(last.hash)),
    ]
    var line = Array(json.compact.utf8.dropLast())
    let hash = line.withUnsafeBytes { sha256($0) }
    line += Array(",\"hash\":\"\(hexadecimal(hash))\"}".utf8)
    let entry = AuditEntry(
      sequence: last.sequence + 1, nanoseconds: nanoseconds, event: kept, previous: last.hash, hash: hash)
    return (entry, line)
  }

  /// At most so many bytes of a text, whole characters.
  private static func cut(_ text: String, _ most: Int) -> String {
    guard text.utf8.count > most else { return text }
    var result = String.UnicodeScalarView()
    var count = 0
    for scalar in text.unicodeScalars {
      count += UTF8.width(scalar)
      if count > most - 3 { break }
      result.append(scalar)
    }
    return String(result) + "…"
  }

  private init(sequence: UInt64, nanoseconds: UInt64, event: Event, previous: [UInt8], hash: [UInt8]) {
    self.sequence = sequence
    self.nanoseconds = nanoseconds
    self.event = event
    self.previous = previous
    self.hash = hash
  }

  /// Reads a line without its line feed.
  ///
  /// - Throws: for what no log of this form holds, and for a line whose hash is not that of its bytes.
  package init(line: [UInt8]) throws(ModelError) {
    let source = "the line"
    guard line.count > Self.hashBytes, line.count <= Self.maximumLineBytes else {
      throw ModelError("\(source) is no line of an audit log")
    }
    let json: JSON
    do { json = try JSON(parsing: line, JSON.Bounds(depth: 2, values: 32)) } catch {
      throw ModelError("\(source) is no line of an audit log: \(error)")
    }
    let fields = try JSONFields(json, source)
    sequence = try fields.unsigned("sequence")
    nanoseconds = try fields.unsigned("time_ns")
    func text(_ key: String) throws(ModelError) -> String {
      guard let text = json[key]?.string else { throw fields.failure("\(key) must be a text") }
      return text
    }
    event = Event(
      who: try text("who"), from: try text("from"), act: try text("act"), model: try text("model"),
      version: try fields.unsigned("version"), detail: try text("detail"), result: try text("result"))
    previous = try fields.hash("previous")
    hash = try fields.hash("hash")
    let signed = line.dropLast(Self.hashBytes)
    let end = Array(",\"hash\":\"\(hexadecimal(hash))\"}".utf8)
    guard line.suffix(Self.hashBytes).elementsEqual(end),
      Array(signed).withUnsafeBytes({ sha256($0) }) == hash
    else { throw ModelError("\(source) was changed: its hash is not that of its bytes") }
  }
}
