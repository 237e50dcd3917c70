extension JSON {
  /// How much of a document is read before it is refused.
  package struct Bounds: Sendable {
    /// Objects and arrays in each other; the scanner's own bound, 64, stands above it.
    package var depth: Int
    /// Values of all kinds, members' values included: what a value takes in memory is a fixed multiple of
    /// them, besides the text's own length.
    package var values: Int

    package init(depth: Int = 16, values: Int = 1 << 16) {
      self.depth = depth
      self.values = values
    }
  }

  /// Reads a whole document.
  ///
  /// - Parameter bytes: UTF-8; nothing of them is kept.
  /// - Throws: `JSONError` for what is no JSON, for a key that stands twice in an object, and
  ///   beyond `bounds`.
  package init(parsing bytes: UnsafeRawBufferPointer, _ bounds: Bounds = Bounds()) throws(JSONError) {
    var scanner = JSONScanner(bytes)
    var reader = ValueReader(bounds: bounds)
    self = try reader.value(&scanner, depth: 0)
    try scanner.end()
  }

  package init(parsing text: String, _ bounds: Bounds = Bounds()) throws(JSONError) {
    try self.init(parsing: Array(text.utf8), bounds)
  }

  package init(parsing bytes: [UInt8], _ bounds: Bounds = Bounds()) throws(JSONError) {
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(JSONError) in try JSON(parsing: bytes, bounds) }
    }
    self = try result.get()
  }
}

private struct ValueReader {
  let bounds: JSON.Bounds
  private var values = 0

  init(bounds: JSON.Bounds) { self.bounds = bounds }

  mutating func value(_ scanner: inout JSONScanner, depth: Int) throws(JSONError) -> JSON {
    values += 1
    guard values <= bounds.values else {
      throw scanner.error("there are more than \(bounds.values) values")
    }
    switch try scanner.peek() {
    case .object: return try object(&scanner, depth: depth + 1)
    case .array: return try array(&scanner, depth: depth + 1)
    case .string: return .string(try scanner.string())
    case .number: return try number(&scanner)
    case .boolean: return .boolean(try scanner.boolean())
    case .null:
      try scanner.null()
      return .null
    }
  }

  private func check(_ depth: Int, _ scanner: JSONScanner) throws(JSONError) {
    guard depth <= bounds.depth else { throw scanner.error("the JSON is nested too deeply") }
  }

  private mutating func object(_ scanner: inout JSONScanner, depth: Int) throws(JSONError) -> JSON {
    try check(depth, scanner)
    var members: [JSON.Member] = []
    var keys: Set<String> = []
    try scanner.object { (scanner, key) throws(JSONError) in
      guard keys.insert(key).inserted else { throw scanner.error("an object has a key twice") }
      members.append(JSON.Member(key: key, value: try value(&scanner, depth: depth)))
    }
    return .object(members)
  }

  private mutating func array(_ scanner: inout JSONScanner, depth: Int) throws(JSONError) -> JSON {
    try check(depth, scanner)
    var elements: [JSON] = []
    try scanner.array { (scanner) throws(JSONError) in
      elements.append(try value(&scanner, depth: depth))
    }
    return .array(elements)
  }

  /// A whole number stays exact where 64 bits hold it.
  private func number(_ scanner: inout JSONScanner) throws(JSONError) -> JSON {
    let (value, text) = try scanner.numberAndText()
    let digits = String(decoding: text, as: UTF8.self)
    if let whole = UInt64(digits) { return .unsigned(whole) }
    if let whole = Int64(digits), whole < 0 { return .negative(whole) }
    guard value.isFinite else { throw scanner.error("a number is too large for a double") }
    return .real(value)
  }
}
