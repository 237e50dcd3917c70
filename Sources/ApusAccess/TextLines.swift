/// A YAML text in lines, as the parser counts them: YAML 1.1 also ends a line at a lone carriage return, at
/// NEL and at the Unicode separators of lines and paragraphs.
struct TextLines {
  /// Each with what ends it.
  private var lines: [[UInt8]] = []

  init(_ text: String) {
    var line: [UInt8] = []
    let bytes = Array(text.utf8)
    for (index, byte) in bytes.enumerated() {
      line.append(byte)
      let next = index + 1 < bytes.count ? bytes[index + 1] : 0
      if Self.endsLine(line), !(byte == UInt8(ascii: "\r") && next == UInt8(ascii: "\n")) {
        lines.append(line)
        line = []
      }
    }
    if !line.isEmpty { lines.append(line) }
  }

  private static let breaks = ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].map { Array($0.utf8) }

  private static func endsLine(_ line: [UInt8]) -> Bool {
    breaks.contains { line.suffix($0.count).elementsEqual($0) }
  }

  var count: Int { lines.count }

  var text: String { String(decoding: lines.joined(), as: UTF8.self) }

  /// What ends the first line; a newline where nothing does.
  private var lineEnd: [UInt8] {
    guard let first = lines.first, Self.endsLine(first) else { return [UInt8(ascii: "\n")] }
    if first.suffix(2).elementsEqual("\r\n".utf8) { return Array("\r\n".utf8) }
    return Self.breaks.first { first.suffix($0.count).elementsEqual($0) } ?? []
  }

  static func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }

  /// Spaces at the beginning of a line.
  func indentation(_ line: Int) -> Int { lines[line].prefix { $0 == UInt8(ascii: " ") }.count }

  /// Whether what begins on a line is a map in braces.
  func startsInBraces(_ line: Int) -> Bool { content(line).first == UInt8(ascii: "{") }

  // MARK: Entries of a map

  /// The lines of the entry whose key is on line `start`, before line `limit`. What stands between it and the
  /// next key belongs to neither, unless it is a comment that is indented deeper than the key.
  func entry(from start: Int, limit: Int) -> Range<Int> {
    var end = max(limit, start + 1)
    while end > start + 1, isBetweenEntries(end - 1, keyIndentation: indentation(start)) { end -= 1 }
    return start..<end
  }

  private func isBetweenEntries(_ line: Int, keyIndentation: Int) -> Bool {
    let content = content(line)
    if content.isEmpty || content.elementsEqual("...".utf8) { return true }
    return content.first == UInt8(ascii: "#") && indentation(line) <= keyIndentation
  }

  /// A line without the white space around it.
  private func content(_ line: Int) -> ArraySlice<UInt8> {
    var content = withoutEnd(line).drop(while: Self.isSpace)
    while let last = content.last, Self.isSpace(last) { content.removeLast() }
    return content
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
  }

  private func withoutEnd(_ line: Int) -> ArraySlice<UInt8> {
    var bytes = lines[line][...]
    while let end = Self.breaks.first(where: { bytes.suffix($0.count).elementsEqual($0) }) {
      bytes.removeLast(end.count)
    }
    return bytes
  }

  /// The comment of a line of a token, with the white space before it. Neither a hash, a time nor a token's
  /// name holds a `#`, so that one behind white space begins a comment.
  private func comment(_ line: Int) -> ArraySlice<UInt8>? {
    let bytes = withoutEnd(line)
    let sign = bytes.indices.first { index in
      bytes[index] == UInt8(ascii: "#") && (index == bytes.startIndex || Self.isSpace(bytes[index - 1]))
    }
    guard let sign else { return nil }
    let content = bytes[..<sign].lastIndex { !Self.isSpace($0) }
    return bytes[(content.map { $0 + 1 } ?? bytes.startIndex)...]
  }

  /// An entry in place of another one, whose comments stay: the first line's behind the new entry, every
  /// other one as a line of its own.
  func replacement(of old: Range<Int>, by entry: String) -> [String] {
    let indentation = indentation(old.lowerBound)
    let first =
      Self.spaces(indentation) + entry
      + (comment(old.lowerBound).map { String(decoding: $0, as: UTF8.self) } ?? "")
    let others = old.dropFirst().compactMap { line -> String? in
      guard let comment = comment(line) else { return nil }
      let isWhole = comment.startIndex == lines[line].startIndex
      let text = String(decoding: isWhole ? comment : comment.drop { $0 != UInt8(ascii: "#") }, as: UTF8.self)
      return isWhole ? text : Self.spaces(self.indentation(line)) + text
    }
    return [first] + others
  }

  // MARK: Changes

  /// Inserts lines, given without what ends them, before line `index`.
  mutating func insert(_ texts: [String], at index: Int) { replace(index..<index, with: texts) }

  /// Puts lines, given without what ends them, in the place of others.
  mutating func replace(_ range: Range<Int>, with texts: [String]) {
    let end = lineEnd
    if !texts.isEmpty, range.lowerBound > 0, !Self.endsLine(lines[range.lowerBound - 1]) {
      lines[range.lowerBound - 1] += end
    }
    lines.replaceSubrange(range, with: texts.map { Array($0.utf8) + end })
  }

  /// Takes the first `{}` of a line away, with the white space before it.
  mutating func removeEmptyBraces(_ line: Int) {
    guard let open = lines[line].firstIndex(of: UInt8(ascii: "{")),
      let close = lines[line][open...].firstIndex(of: UInt8(ascii: "}"))
    else { return }
    let start = lines[line][..<open].lastIndex { !Self.isSpace($0) } ?? 0
    lines[line].removeSubrange((start + 1)...close)
  }
}
