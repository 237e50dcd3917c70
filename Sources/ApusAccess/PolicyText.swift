package import ApusYAML

/// The text of a policy file, in which one token can be changed while every other byte stays as it is.
package struct PolicyText {
  private let source: String
  private let policy: Policy
  private let lines: TextLines
  private let layout: Layout

  /// - Throws: `YAMLError` where the text is no policy.
  package init(_ text: String, source: String) throws(YAMLError) {
    policy = try Policy(yaml: text, source: source)
    self.source = source
    lines = TextLines(text)
    layout = try Layout(YAMLValue(text: text, source: source), lines)
  }

  /// The text with a token more, or with a new hash for one that is there.
  ///
  /// - Parameters:
  ///   - hash: SHA-256 of the token, 32 bytes.
  ///   - expires: seconds since 1970; nil: never.
  ///   - replacing: whether a token of this name may be there already.
  package func adding(
    token name: String, hash: [UInt8], expires: Int64?, replacing: Bool
  ) throws(YAMLError) -> String {
    guard Token.isName(name) else {
      throw YAMLError("a token cannot be called \(name): its name must hold \(Token.nameCharacters)")
    }
    guard !layout.isFlow else { throw notInLines() }
    let entry = Self.entry(name, hash, expires)
    var edited = lines
    if let old = layout.entries[name] {
      guard replacing else {
        throw YAMLError(
          "\(source) line \(old.lowerBound + 1): there is a token \(name) already; "
            + "choose another name, or put a new one in its place with --replace")
      }
      edited.replace(old, with: lines.replacement(of: old, by: entry))
    } else if let section = layout.section {
      if section.isEmptyFlow { edited.removeEmptyBraces(section.line) }
      edited.insert([TextLines.spaces(layout.indentation) + entry], at: section.end)
    } else {
      let key = TextLines.spaces(layout.rootIndentation) + "tokens:"
      edited.insert([key, TextLines.spaces(layout.indentation) + entry], at: lines.count)
    }
    let token = StoredToken(name: name, hash: hash, expires: expires ?? .max)
    return try verified(edited.text, name, token)
  }

  /// The text without a token.
  package func removing(token name: String) throws(YAMLError) -> String {
    guard policy.tokens.contains(where: { $0.name == name }) else {
      throw YAMLError("\(source) has no token \(name)")
    }
    guard !layout.isFlow, let old = layout.entries[name] else { throw notInLines() }
    var edited = lines
    edited.replace(old, with: [])
    return try verified(edited.text, name, nil)
  }

  private static func entry(_ name: String, _ hash: [UInt8], _ expires: Int64?) -> String {
    let digits = hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    let time = expires.map { ", expires: \(Timestamp.text($0))" } ?? ""
    return "\(name): {hash: \"sha256:\(digits)\"\(time)}"
  }

  private func notInLines() -> YAMLError {
    YAMLError(
      "\(source)\(layout.section.map { " line \($0.line + 1)" } ?? ""): tokens in braces or with an anchor "
        + "cannot be edited; write `tokens:` alone on a line, and below it each one indented on its own: "
        + "`NAME: {hash: …}`")
  }

  /// The new text, if it says the same as the old one but for that token.
  private func verified(_ text: String, _ name: String, _ token: StoredToken?) throws(YAMLError) -> String {
    let edited: Policy
    do { edited = try Policy(yaml: text, source: source) } catch {
      throw YAMLError(
        "\(source) is written in a way that cannot be edited safely, nothing was changed; "
          + "the edited text would be wrong: \(error)")
    }
    let others = policy.tokens.filter { $0.name != name }
    guard edited.rules.elementsEqual(policy.rules, by: { $0.isSame(as: $1) }),
      edited.tokens.filter({ $0.name != name }) == others,
      edited.tokens.filter({ $0.name == name }) == (token.map { [$0] } ?? [])
    else {
      throw YAMLError("\(source) is written in a way that cannot be edited safely, nothing was changed")
    }
    return text
  }
}

/// Where the tokens stand in a policy's text; lines are counted from 0.
private struct Layout {
  struct Section {
    /// Of the key `tokens`.
    let line: Int
    /// Behind the last entry.
    var end: Int
    var isEmptyFlow = false
  }

  /// Whether the tokens, or the whole policy, are written in braces or with an anchor.
  private(set) var isFlow = false
  private(set) var section: Section?
  /// The lines of each token.
  private(set) var entries: [String: Range<Int>] = [:]
  private(set) var rootIndentation = 0
  /// Of an entry of `tokens`.
  private(set) var indentation = 2

  init(_ root: YAMLValue?, _ lines: TextLines) throws(YAMLError) {
    guard let root, root.isMapping else { return }
    isFlow = lines.startsInBraces(root.line - 1)
    let keys = try root.entries("the policy")
    guard !isFlow, let first = keys.first else { return }
    rootIndentation = lines.indentation(first.key.line - 1)
    indentation = rootIndentation + Self.step(keys, lines, rootIndentation)
    guard let tokens = keys.first(where: { (try? $0.key.text("")) == "tokens" }) else { return }
    let line = tokens.key.line - 1
    let end = keys.map { $0.key.line - 1 }.filter { $0 > line }.min() ?? lines.count
    section = Section(line: line, end: line + 1)
    guard tokens.value.isMapping else { return }
    let names = try tokens.value.entries("tokens")
    if tokens.value.line - 1 == line || lines.startsInBraces(tokens.value.line - 1) {
      section?.isEmptyFlow = names.isEmpty && tokens.value.line - 1 == line
      isFlow = section?.isEmptyFlow == false
      return
    }
    let starts = names.map { $0.key.line - 1 }
    for (index, name) in names.enumerated() {
      let limit = index + 1 < starts.count ? starts[index + 1] : end
      let range = lines.entry(from: starts[index], limit: limit)
      entries[try name.key.text("")] = range
      section?.end = range.upperBound
    }
    if let start = starts.first { indentation = lines.indentation(start) }
  }

  /// How much deeper than the section's key the entries of another section stand.
  private static func step(
    _ keys: [(key: YAMLValue, value: YAMLValue)], _ lines: TextLines, _ rootIndentation: Int
  ) -> Int {
    for (key, value) in keys where value.isMapping && value.line > key.line {
      return max(1, lines.indentation(value.line - 1) - rootIndentation)
    }
    return 2
  }
}
