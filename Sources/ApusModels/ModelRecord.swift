import ApusJSON

/// What was decided about a model's versions: the file `state.json` in the model's folder. Without one, calls
/// without version and alias go to the highest version that is ready.
package struct ModelRecord: Equatable, Sendable {
  /// Where calls without version and alias go, until a version above `seen` is there.
  package struct Latest: Equatable, Sendable {
    package var version: UInt64
    /// The highest version when that was decided.
    package var seen: UInt64

    package init(version: UInt64, seen: UInt64) {
      self.version = version
      self.seen = seen
    }
  }

  /// The version that gets a share of these calls, and when it is over.
  package struct Canary: Equatable, Sendable {
    package var version: UInt64
    /// In 1/10,000.
    package var weight: UInt32
    /// In 1/10,000 of the calls, above the other version's; 0: no bound.
    package var maximumErrors: UInt32 = 0
    /// Of the 99th percentile to the other version's; 0: no bound.
    package var maximumLatencyRatio = 0.0
    package var windowNanoseconds: UInt64 = 60_000_000_000
    package var minimumCalls: UInt32 = 100

    package init(version: UInt64, weight: UInt32) {
      self.version = version
      self.weight = weight
    }
  }

  /// That callers should leave a version.
  package struct Deprecation: Equatable, Sendable {
    /// Why, and for which.
    package var text: String
    /// Since when, since 1970; 0: nobody has written it down.
    package var nanoseconds: UInt64

    package init(text: String, nanoseconds: UInt64) {
      self.text = text
      self.nanoseconds = nanoseconds
    }
  }

  /// The highest version that there has been, so that no number is given twice.
  package var highest: UInt64 = 0
  package var latest: Latest?
  /// The version that was latest before; 0: none.
  package var previous: UInt64 = 0
  package var aliases: [String: UInt64] = [:]
  package var canary: Canary?
  /// 0: none.
  package var shadow: UInt64 = 0
  package var withdrawn: Set<UInt64> = []
  package var unloaded: Set<UInt64> = []
  package var deprecated: [UInt64: Deprecation] = [:]

  package init() {}

  /// Forgets all that would send calls to a version.
  package mutating func release(_ version: UInt64) {
    aliases = aliases.filter { $0.value != version }
    if canary?.version == version { canary = nil }
    if shadow == version { shadow = 0 }
    if previous == version { previous = 0 }
    if latest?.version == version { latest = nil }
  }

  /// Whether something sends calls to a version, or is about to bring it back.
  package func needs(_ version: UInt64) -> Bool {
    aliases.values.contains(version) || canary?.version == version || shadow == version
      || previous == version
  }
}

// MARK: - The file

extension ModelRecord {
  package static let fileName = "state.json"
  package static let maximumBytes = 1 << 20
  private static let maximumAliases = 1024

  /// An alias is a name as a model's, and none that reads like a version.
  package static func isAlias(_ name: String) -> Bool {
    ModelRepository.isModelName(name) && name.utf8.count <= 64 && UInt64(name) == nil
  }

  package var bytes: [UInt8] { Array((document.description + "\n").utf8) }

  private var document: JSON {
    var members: [JSON.Member] = []
    func add(_ key: String, _ value: JSON) { members.append(JSON.Member(key: key, value: value)) }
    add("apus_state", .unsigned(1))
    add("highest", .unsigned(highest))
    if let latest {
      add("latest", ["version": .unsigned(latest.version), "seen": .unsigned(latest.seen)])
    }
    if previous > 0 { add("previous", .unsigned(previous)) }
    let sorted = aliases.sorted { $0.key < $1.key }
    add("aliases", .object(sorted.map { JSON.Member(key: $0.key, value: .unsigned($0.value)) }))
    if let canary {
      add(
        "canary",
        [
          "version": .unsigned(canary.version), "weight": .integer(canary.weight),
          "max_errors": .integer(canary.maximumErrors),
          "max_latency_ratio": .number(canary.maximumLatencyRatio),
          "window_ns": .unsigned(canary.windowNanoseconds), "min_calls": .integer(canary.minimumCalls),
        ])
    }
    if shadow > 0 { add("shadow", .unsigned(shadow)) }
    add("withdrawn", .array(withdrawn.sorted().map { .unsigned($0) }))
    add("unloaded", .array(unloaded.sorted().map { .unsigned($0) }))
    let told = deprecated.sorted { $0.key < $1.key }
    add("deprecated", .object(told.map { JSON.Member(key: "\($0.key)", value: .string($0.value.text)) }))
    let dated = told.filter { $0.value.nanoseconds > 0 }
    if !dated.isEmpty {
      add(
        "deprecated_ns",
        .object(dated.map { JSON.Member(key: "\($0.key)", value: .unsigned($0.value.nanoseconds)) }))
    }
    return .object(members)
  }

  /// - Throws: `ModelError` for what is no such file; keys that are not known are left alone.
  package init(parsing bytes: [UInt8]) throws(ModelError) {
    let document: JSON
    do { document = try JSON(parsing: bytes) } catch {
      throw ModelError("\(Self.fileName): \(error.description)")
    }
    guard document["apus_state"]?.unsigned == 1 else {
      throw ModelError("\(Self.fileName) has no \"apus_state\": 1")
    }
    highest = try Self.number(document, "highest") ?? 0
    if let latest = document["latest"], let version = try Self.number(latest, "version") {
      self.latest = Latest(version: version, seen: try Self.number(latest, "seen") ?? version)
    }
    previous = try Self.number(document, "previous") ?? 0
    shadow = try Self.number(document, "shadow") ?? 0
    withdrawn = try Self.versions(document, "withdrawn")
    unloaded = try Self.versions(document, "unloaded")
    try readAliases(document)
    try readCanary(document)
    try readDeprecated(document)
  }

  private mutating func readDeprecated(_ document: JSON) throws(ModelError) {
    let times = document["deprecated_ns"] ?? .object([])
    for member in document["deprecated"]?.object ?? [] {
      guard let version = UInt64(member.key), let text = member.value.string else {
        throw ModelError("\(Self.fileName): deprecated holds a text for each version")
      }
      deprecated[version] = Deprecation(text: text, nanoseconds: try Self.number(times, member.key) ?? 0)
    }
  }

  private mutating func readAliases(_ document: JSON) throws(ModelError) {
    let members = document["aliases"]?.object ?? []
    guard members.count <= Self.maximumAliases else {
      throw ModelError("\(Self.fileName) has more than \(Self.maximumAliases) aliases")
    }
    for member in members {
      guard Self.isAlias(member.key), let version = member.value.unsigned, version > 0 else {
        throw ModelError("\(Self.fileName): the alias \(member.key) is none, or has no version")
      }
      aliases[member.key] = version
    }
  }

  private mutating func readCanary(_ document: JSON) throws(ModelError) {
    guard let value = document["canary"] else { return }
    guard let version = try Self.number(value, "version"), let weight = try Self.number(value, "weight"),
      weight <= 10_000
    else { throw ModelError("\(Self.fileName): the canary has no version, or a weight over 10000") }
    var canary = Canary(version: version, weight: UInt32(weight))
    canary.maximumErrors = UInt32(clamping: try Self.number(value, "max_errors") ?? 0)
    canary.maximumLatencyRatio = value["max_latency_ratio"]?.number ?? 0
    canary.windowNanoseconds = try Self.number(value, "window_ns") ?? canary.windowNanoseconds
    canary.minimumCalls = UInt32(clamping: try Self.number(value, "min_calls") ?? 100)
    self.canary = canary
  }

  private static func number(_ document: JSON, _ key: String) throws(ModelError) -> UInt64? {
    guard let value = document[key] else { return nil }
    guard let number = value.unsigned else {
      throw ModelError("\(fileName): \(key) must be a whole number")
    }
    return number
  }

  private static func versions(_ document: JSON, _ key: String) throws(ModelError) -> Set<UInt64> {
    var result: Set<UInt64> = []
    for value in document[key]?.array ?? [] {
      guard let version = value.unsigned else {
        throw ModelError("\(fileName): \(key) must be a list of versions")
      }
      result.insert(version)
    }
    return result
  }
}
