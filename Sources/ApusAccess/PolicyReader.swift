import ApusBase
import ApusDigest
import ApusYAML

/// Reads a policy file: see docs/access.md for its form.
struct PolicyReader {
  private var rules: [Rule] = []
  private var groups: [Rule] = []
  private var tokens: [StoredToken] = []

  static func read(_ text: String, _ source: String) throws(YAMLError) -> ([Rule], [StoredToken]) {
    var reader = PolicyReader()
    if let root = try root(text, source), try !root.isNothing { try reader.read(root) }
    return (reader.rules + reader.groups, reader.tokens)
  }

  /// The whole text as a value; an error about an alias names what was meant instead, as a star without
  /// quotation marks is one.
  private static func root(_ text: String, _ source: String) throws(YAMLError) -> YAMLValue? {
    do { return try YAMLValue(text: text, source: source) } catch {
      let signs = ["undefined alias", "expected alphabetic or numeric character"]
      guard signs.contains(where: { error.description.contains($0) }) else { throw error }
      throw YAMLError("\(error); put quotation marks around a pattern that begins with *, as in \"*\"")
    }
  }

  private mutating func read(_ root: YAMLValue) throws(YAMLError) {
    let known = ["identities", "groups", "tokens"]
    for (key, value) in try root.fields("the policy", known: known) where try !value.isNothing {
      var names: Set<String> = []
      for (name, entry) in try value.entries(key) {
        let text = try name.text("a key of \(key)")
        // YAML takes 1 and "1" for different keys.
        guard names.insert(text).inserted else { throw name.failure("\(text) is there twice") }
        switch key {
        case "identities":
          var rule = Rule(line: name.line, subjects: [try Self.pattern(text, name)])
          try Self.read(entry, text, into: &rule, isGroup: false)
          rules.append(rule)
        case "groups":
          guard Token.isName(text) else {
            throw name.failure("the group's name \(text) must hold \(Token.nameCharacters)")
          }
          var rule = Rule(line: name.line, group: text, subjects: [])
          try Self.read(entry, text, into: &rule, isGroup: true)
          groups.append(rule)
        default: tokens.append(try token(text, name, entry))
        }
      }
    }
  }

  // MARK: Entries

  private static let entryKeys = [
    "models", "methods", "calls_per_second", "rows_per_second", "burst", "max_in_flight", "max_body_bytes",
    "priority",
  ]

  private static func read(
    _ entry: YAMLValue, _ name: String, into rule: inout Rule, isGroup: Bool
  ) throws(YAMLError) {
    let fields = try entry.fields(name, known: (isGroup ? ["members"] : []) + entryKeys)
    for (key, value) in fields {
      let path = "\(name).\(key)"
      switch key {
      case "members": rule.subjects = try patterns(value, path)
      case "models": rule.grant.models = try models(value, path)
      case "methods": rule.grant.permissions = try methods(value, path)
      default: try readLimit(key, value, path, into: &rule.limits)
      }
    }
    for key in (isGroup ? ["members"] : []) + ["models", "methods"]
    where !fields.contains(where: { $0.key == key }) {
      throw entry.failure("\(name) needs \(key), for example `\(key): \(examples[key] ?? "")`")
    }
    if rule.limits.burst != nil, rule.limits.callsPerSecond == nil {
      throw entry.failure("\(name) has a burst but no calls_per_second, of which it is a part")
    }
  }

  private static let examples = [
    "members": "[\"gid:100\"]", "models": "[\"*\"]", "methods": "[classify, read]",
  ]

  private static func pattern(_ text: String, _ value: YAMLValue) throws(YAMLError) -> IdentityPattern {
    do { return try IdentityPattern(text) } catch { throw value.failure(error.description) }
  }

  private static func patterns(_ value: YAMLValue, _ path: String) throws(YAMLError) -> [IdentityPattern] {
    var patterns: [IdentityPattern] = []
    for item in try list(value, path) { patterns.append(try pattern(item.text("a member of \(path)"), item)) }
    guard !patterns.isEmpty else { throw value.failure("\(path) is an empty list") }
    return patterns
  }

  private static func models(_ value: YAMLValue, _ path: String) throws(YAMLError) -> [Glob] {
    var models: [Glob] = []
    for item in try list(value, path) {
      let text = try item.text("a model of \(path)")
      guard !text.isEmpty, text.utf8.allSatisfy({ Token.isNameByte($0) || $0 == UInt8(ascii: "*") }) else {
        throw item.failure(
          "\(path): \(text) names no model; a name holds letters, digits, dots, hyphens and underscores, "
            + "and * stands for any of them")
      }
      models.append(Glob(text))
    }
    return models
  }

  private static func methods(_ value: YAMLValue, _ path: String) throws(YAMLError) -> PermissionSet {
    var methods: PermissionSet = []
    for item in try list(value, path) {
      methods.insert(PermissionSet(try item.choice("a method of \(path)", of: Permission.self)))
    }
    guard !methods.isEmpty else {
      throw value.failure("\(path) is an empty list; who may do nothing is left out of the policy")
    }
    return methods
  }

  private static func list(_ value: YAMLValue, _ path: String) throws(YAMLError) -> [YAMLValue] {
    guard let items = value.items else { throw value.failure("\(path) must be a list in brackets: [a, b]") }
    return items
  }

  // MARK: Limits

  private static func readLimit(
    _ key: String, _ value: YAMLValue, _ path: String, into limits: inout CallLimits
  ) throws(YAMLError) {
    switch key {
    case "calls_per_second": limits.callsPerSecond = try number(value, path, atLeast: 1e-6)
    case "rows_per_second": limits.rowsPerSecond = try number(value, path, atLeast: 1e-6)
    case "burst": limits.burst = try number(value, path, atLeast: 1)
    case "max_in_flight": limits.maximumInFlight = try value.integer(path, in: 1...1_000_000_000)
    case "priority": limits.priority = try priority(value, path)
    default: limits.maximumBodyBytes = try value.integer(path, in: 1...(1 << 40))
    }
  }

  private static func priority(_ value: YAMLValue, _ path: String) throws(YAMLError) -> CallPriority {
    let text = try value.text(path)
    guard let priority = CallPriority(name: text) else {
      throw value.failure("\(path) is \(shortened(text)); it must be one of \(CallPriority.names)")
    }
    return priority
  }

  /// Digits, with a decimal point if need be: no sign, exponent, infinity or hexadecimal.
  private static func number(
    _ value: YAMLValue, _ path: String, atLeast minimum: Double
  ) throws(YAMLError) -> Double {
    let text = try value.text(path)
    let isPlain = text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
    guard isPlain, let number = Double(text), number >= minimum, number <= 1e12 else {
      let least = minimum == 1 ? "1" : "0.000001"
      throw value.failure("\(path) must be a number from \(least) to 1000000000000, not \(text)")
    }
    return number
  }

  // MARK: Tokens

  private func token(
    _ name: String, _ key: YAMLValue, _ entry: YAMLValue
  ) throws(YAMLError) -> StoredToken {
    guard Token.isName(name) else {
      throw key.failure("the token's name \(name) must hold \(Token.nameCharacters)")
    }
    var hash: [UInt8]?
    var expires = Int64.max
    for (field, value) in try entry.fields("tokens.\(name)", known: ["hash", "expires"]) {
      switch field {
      case "hash": hash = try Self.hash(value, "tokens.\(name).hash")
      default: expires = try Self.time(value, "tokens.\(name).expires")
      }
    }
    guard let hash else {
      throw entry.failure("the token \(name) needs a hash; `apus auth token create` makes both")
    }
    if let other = tokens.first(where: { isSameHash($0.hash, hash) }) {
      throw entry.failure("the tokens \(other.name) and \(name) have the same hash; remove one of them")
    }
    return StoredToken(name: name, hash: hash, expires: expires)
  }

  private static func hash(_ value: YAMLValue, _ path: String) throws(YAMLError) -> [UInt8] {
    let text = try value.text(path)
    let prefix = "sha256:"
    let digits = text.utf8.dropFirst(prefix.utf8.count).map { byte in
      Character(Unicode.Scalar(byte)).hexDigitValue.map(UInt8.init)
    }
    guard text.hasPrefix(prefix), digits.count == 64, !digits.contains(nil) else {
      throw value.failure("\(path) must be sha256: and the 64 hexadecimal digits of the token's SHA-256")
    }
    let halves = digits.compactMap { $0 }
    let bytes = (0..<32).map { halves[2 * $0] << 4 | halves[2 * $0 + 1] }
    guard !isSameHash(bytes, sha256(UnsafeRawBufferPointer(start: nil, count: 0))) else {
      throw value.failure("\(path) is the hash of an empty text, which is no token")
    }
    return bytes
  }

  private static func time(_ value: YAMLValue, _ path: String) throws(YAMLError) -> Int64 {
    let text = try value.text(path)
    guard let time = Timestamp.parse(text) else {
      throw value.failure("\(path) must be a time like 2027-01-01T00:00:00Z (RFC 3339), not \(text)")
    }
    return time
  }
}

extension YAMLValue {
  /// Whether nothing stands behind a key.
  fileprivate var isNothing: Bool {
    get throws(YAMLError) {
      if isMapping || items != nil { return false }
      return try text("").isEmpty
    }
  }
}
