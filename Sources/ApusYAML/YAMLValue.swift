import Yams

/// What is wrong with a YAML text, and where: `FILE line N: PROBLEM`.
package struct YAMLError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// A value of a YAML text, with its line for messages.
package struct YAMLValue {
  private let node: Node
  /// Of the file, for messages.
  private let source: String

  private init(_ node: Node, _ source: String) {
    self.node = node
    self.source = source
  }

  /// Parses the text of the file `source`; nil for one without content.
  ///
  /// The parser bounds nesting itself (1000 levels). Aliases of aliases multiply what a few lines say, so
  /// only few are let in.
  package init?(text: String, source: String) throws(YAMLError) {
    let bytes = Array(text.utf8)
    guard Self.count(bytes, sigil: "&") == 0 || Self.count(bytes, sigil: "*") <= 16 else {
      throw YAMLError("\(source): too many aliases (*name); write the values out")
    }
    do {
      // Without rules for the types of scalars, which nothing here asks for: they are regular expressions,
      // whose compilation is slow at every start.
      guard let node = try Yams.compose(yaml: text, .basic, .default, .utf8) else { return nil }
      self.init(node, source)
    } catch let error as YamlError {
      throw Self.failure(error, source)
    } catch {
      throw YAMLError("\(source): \(error)")
    }
  }

  /// Upper bound of the anchors (`&name`) or aliases (`*name`) in a text.
  private static func count(_ bytes: [UInt8], sigil: Unicode.Scalar) -> Int {
    let before = Array(" \t\r\n[{,:".utf8)
    return bytes.indices.count { position in
      bytes[position] == UInt8(ascii: sigil) && (position == 0 || before.contains(bytes[position - 1]))
        && position + 1 < bytes.count && !before.contains(bytes[position + 1])
    }
  }

  private static func failure(_ error: YamlError, _ source: String) -> YAMLError {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      YAMLError("\(source) line \(mark.line): \(problem)")
    case .duplicatedKeysInMapping(let keys, let context):
      YAMLError(
        "\(source) line \(context.mark.line): \(shortened(keys.joined(separator: ", "))) is there twice")
    case .reader(let problem, _, _, _): YAMLError("\(source): \(problem)")
    default: YAMLError("\(source) is not valid YAML")
    }
  }

  /// An error that names this value's line.
  package func failure(_ problem: String) -> YAMLError {
    guard let mark = node.mark else { return YAMLError("\(source): \(problem)") }
    return YAMLError("\(source) line \(mark.line): \(problem)")
  }

  package var isMapping: Bool { node.mapping != nil }

  /// Whether nothing stands there, or `~` or `null` without quotes.
  package var isNull: Bool {
    guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }

  /// The values of a list, or nil.
  package var items: [YAMLValue]? { node.sequence.map { $0.map { YAMLValue($0, source) } } }

  /// The keys and values of a map in the order of the text, or nil.
  package var entries: [(key: YAMLValue, value: YAMLValue)]? {
    node.mapping.map { $0.map { (YAMLValue($0.key, source), YAMLValue($0.value, source)) } }
  }

  /// The keys and values of a map whose keys are free; the text of each key is `key.text`.
  package func entries(_ name: String) throws(YAMLError) -> [(key: YAMLValue, value: YAMLValue)] {
    guard let entries else { throw failure("\(name) must be a map") }
    return entries
  }

  /// Where it begins in the text, counted from 1.
  package var line: Int { node.mark?.line ?? 0 }

  /// The keys and values of a map that may hold only these keys.
  package func fields(
    _ name: String, known: [String]
  ) throws(YAMLError) -> [(key: String, value: YAMLValue)] {
    guard let entries else { throw failure("\(name) must be a map of \(known.joined(separator: ", "))") }
    var result: [(key: String, value: YAMLValue)] = []
    for (key, value) in entries { result.append((try key.key(in: name, known: known), value)) }
    return result
  }

  /// The text of this key of the map `name`, which may hold only the known ones.
  private func key(in name: String, known: [String]) throws(YAMLError) -> String {
    let key = node.scalar?.string ?? "(not a text)"
    if known.contains(key), node.scalar != nil { return key }
    if let near = nearName(to: key, in: known) {
      throw failure("unknown key \(shortened(key)) in \(name); did you mean \(near)?")
    }
    throw failure("unknown key \(shortened(key)) in \(name); there are \(known.joined(separator: ", "))")
  }

  /// The characters of a scalar, whatever type YAML would give it: a label `no` is a text.
  package func text(_ name: String) throws(YAMLError) -> String {
    guard let scalar = node.scalar else { throw failure("\(name) must be a text") }
    return scalar.string
  }

  package func integer(_ name: String, in range: ClosedRange<Int>) throws(YAMLError) -> Int {
    let text = try text(name)
    guard let value = Int(text), range.contains(value) else {
      throw failure(
        "\(name) must be a number from \(range.lowerBound) to \(range.upperBound), not \(shortened(text))")
    }
    return value
  }

  /// One of an enumeration's names.
  package func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ name: String, of type: Choice.Type
  ) throws(YAMLError) -> Choice {
    let text = try text(name)
    guard let choice = Choice(rawValue: text) else {
      let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw failure("\(name) is \(shortened(text)); it must be one of \(names)")
    }
    return choice
  }
}

/// The beginning of a text that came from a file, short enough for a message.
package func shortened(_ text: String) -> String {
  let beginning = text.unicodeScalars.prefix(64)
  return beginning.endIndex == text.unicodeScalars.endIndex ? text : String(beginning) + "…"
}

/// The first of the names that are most alike a text, with its distance in edits; nil without names.
package func nearestName(to text: String, in names: [String]) -> (name: String, distance: Int)? {
  names.map { (name: $0, distance: editDistance($0, text)) }.min { $0.distance < $1.distance }
}

/// The name that somebody meant who wrote this text; nil where none is near. Two letters away is near, but
/// for a short name everything would be.
package func nearName(to text: String, in names: [String]) -> String? {
  nearestName(to: text, in: names).flatMap { nearest in
    nearest.distance <= min(2, nearest.name.utf8.count / 2) ? nearest.name : nil
  }
}

/// Levenshtein's distance: insertions, deletions and replacements between two short texts; at most 32
/// characters of each count.
private func editDistance(_ left: String, _ right: String) -> Int {
  let (a, b) = (Array(left.prefix(32)), Array(right.prefix(32)))
  var row = Array(0...b.count)
  for i in a.indices {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let replaced = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
    }
  }
  return row[b.count]
}
