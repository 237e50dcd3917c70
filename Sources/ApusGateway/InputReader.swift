import ApusServer
import ApusWire

/// What a body holds for a model.
enum Input: Equatable {
  /// Numbers in row-major order, and their shape: none for a single number.
  case numbers([Float], shape: [Int])
  case texts([String])
}

extension Input {
  /// Reads numbers or texts, nested in arrays as their shape is.
  ///
  /// - Throws: `JSONError` where it is neither, or rows differ in length.
  init(_ scanner: inout JSONScanner) throws(JSONError) {
    var reader = NestedReader()
    try reader.read(&scanner, level: 0)
    if reader.hasTexts {
      guard reader.shape.count <= 1 else { throw scanner.error("texts stand alone or in one array") }
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
      numbers.append(Float(try scanner.number()))
    case .string:
      try place(&scanner, level, isText: true)
      texts.append(try scanner.string())
    default: throw scanner.error("numbers, or texts, must stand here")
    }
  }

  private mutating func place(_ scanner: inout JSONScanner, _ level: Int, isText: Bool) throws(JSONError) {
    guard scalarLevel ?? level == level, isText ? numbers.isEmpty : texts.isEmpty else {
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

extension Input {
  /// The rows that a model takes: a single input, or a batch of them.
  ///
  /// - Throws: INVALID_ARGUMENT that says what would fit.
  func rows(for model: LocalModel, _ lane: Lane) throws(Status) -> (values: [Float], rows: Int) {
    switch self {
    case .numbers(let values, let shape):
      let wanted = model.served.inputShape
      if shape == wanted || (shape.count == 1 && shape[0] == model.inputs) { return (values, 1) }
      let row = Array(shape.dropFirst())
      guard shape.count > 1, shape[0] > 0, row == wanted || row == [model.inputs] else {
        throw Self.misfit(model, "numbers of shape \(Self.text(shape))")
      }
      return (values, shape[0])
    case .texts(let texts): return (try lane.rows(of: texts, for: model), texts.count)
    }
  }

  private static func misfit(_ model: LocalModel, _ given: String) -> Status {
    let shape = model.served.inputShape.map { String($0) }.joined(separator: ", ")
    return Status(
      .invalidArgument, "SHAPE_MISMATCH",
      "model '\(model.served.name)' takes numbers of shape (\(shape)), or a list of such; "
        + "the call holds \(given)")
  }

  private static func text(_ shape: [Int]) -> String {
    "(" + shape.map { String($0) }.joined(separator: ", ") + ")"
  }
}
