package import ApusJSON

/// What a body holds for a model.
package enum Input: Equatable {
  /// Numbers in row-major order, and their shape: none for a single number.
  case numbers([Float], shape: [Int])
  case texts([String])
}

extension Input {
  /// Reads numbers or texts, nested in arrays as their shape is.
  ///
  /// - Parameter nestsTexts: whether texts may stand deeper than in one array; their shape is not kept.
  /// - Throws: `JSONError` where it is neither, or rows differ in length.
  package init(_ scanner: inout JSONScanner, nestsTexts: Bool = false) throws(JSONError) {
    var reader = NestedReader()
    try reader.read(&scanner, level: 0)
    if reader.hasTexts {
      guard nestsTexts || reader.shape.count <= 1 else {
        throw scanner.error("texts stand alone or in one array")
      }
      self = .texts(reader.texts)
    } else {
      self = .numbers(reader.numbers, shape: reader.shape)
    }
  }
}

/// Reads nested arrays and finds their shape.
private struct NestedReader {
  var numbers: [Float] = []
  var texts: [String] = []
  var shape: [Int] = []
  var hasTexts: Bool { !texts.isEmpty }
  /// The level at which scalars stand; nil: none has come.
  private var scalarLevel: Int?
  private static let deepest = 8

  mutating func read(_ scanner: inout JSONScanner, level: Int) throws(JSONError) {
    switch try scanner.peek() {
    case .array: try readArray(&scanner, level)
    case .number:
      try place(&scanner, level, isText: false)
      let number = Float(try scanner.number())
      guard number.isFinite else { throw scanner.error("a number is too large for a 32-bit float") }
      numbers.append(number)
    case .string:
      try place(&scanner, level, isText: true)
      texts.append(try scanner.string())
    default: throw scanner.error("numbers, or texts, must stand here")
    }
  }

  private mutating func place(_ scanner: inout JSONScanner, _ level: Int, isText: Bool) throws(JSONError) {
    guard shape.count == level, isText ? numbers.isEmpty : texts.isEmpty else {
      throw scanner.error("the arrays are not nested alike")
    }
    scalarLevel = level
  }

  private mutating func readArray(_ scanner: inout JSONScanner, _ level: Int) throws(JSONError) {
    guard level < Self.deepest, level < scalarLevel ?? .max else {
      throw scanner.error("the arrays are not nested alike")
    }
    if shape.count == level { shape.append(-1) }
    var count = 0
    try scanner.array { (scanner) throws(JSONError) in
      try read(&scanner, level: level + 1)
      count += 1
    }
    guard shape[level] == -1 || shape[level] == count else {
      throw scanner.error("the rows differ in length: \(shape[level]) and \(count)")
    }
    shape[level] = count
  }
}
