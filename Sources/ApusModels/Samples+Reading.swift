import ApusBase
import ApusFormats
import ApusJSON

/// The two forms of a file of samples: `samples.json`, and `samples.npz` as numpy.savez writes it, with
/// arrays of the same names.
extension Samples {
  private static let names: Set<String> = [
    "inputs", "texts", "probabilities", "scores", "classes", "tolerance",
  ]
  /// Above it, a float does not tell two whole numbers apart.
  private static let mostClass: Float = 0x1p24

  /// A matrix as a file gives it.
  private struct Rows {
    var values: [Float]
    var rows: Int
    var width: Int
  }

  /// - Parameter isNPZ: which of the forms it is.
  /// - Throws: `ModelError` for what is no such file, or goes beyond the limits.
  package init(parsing bytes: UnsafeRawBufferPointer, isNPZ: Bool) throws(ModelError) {
    let source = isNPZ ? "samples.npz" : "samples.json"
    guard bytes.count <= Self.maximumBytes else {
      throw ModelError("\(source) has \(bytes.count) bytes, at most \(Self.maximumBytes) are read")
    }
    if isNPZ { try self.init(npz: bytes) } else { try self.init(json: bytes) }
    guard (1...Self.maximumRows).contains(rows) else {
      throw ModelError("\(source) has \(rows) rows; 1 to \(Self.maximumRows) are read")
    }
    guard tolerance.isFinite, tolerance >= 0 else {
      throw ModelError("\(source): tolerance must be a number of 0 or more")
    }
    guard expectedWidth > 0 || !classes.isEmpty else {
      throw ModelError("\(source) expects nothing; add probabilities, scores or classes")
    }
    guard probabilities.allSatisfy(\.isFinite), scores.allSatisfy(\.isFinite) else {
      throw ModelError("\(source) expects what is no number")
    }
    if case .inputs(let values, _) = questions, !values.allSatisfy(\.isFinite) {
      throw ModelError("\(source) has inputs that are no numbers")
    }
  }

  private mutating func expect(
    _ probabilities: Rows?, _ scores: Rows?, _ classes: [Float]?
  ) throws(ModelError) {
    for (name, part) in [("probabilities", probabilities), ("scores", scores)] {
      guard let part else { continue }
      guard part.rows == rows, part.width > 0 else {
        throw ModelError("samples: \(name) has \(part.rows) rows of \(part.width); there are \(rows) samples")
      }
      guard expectedWidth == 0 || expectedWidth == part.width else {
        throw ModelError("samples: probabilities and scores have different numbers of classes")
      }
      expectedWidth = part.width
    }
    self.probabilities = probabilities?.values ?? []
    self.scores = scores?.values ?? []
    guard let classes else { return }
    guard classes.count == rows else {
      throw ModelError("samples: there are \(classes.count) classes and \(rows) samples")
    }
    for (row, number) in classes.enumerated() {
      guard number >= 0, number < Self.mostClass, number == number.rounded() else {
        throw ModelError("samples, row \(row): \(number) is no class")
      }
      self.classes.append(Int(number))
    }
  }

  // MARK: samples.npz

  private init(npz bytes: UnsafeRawBufferPointer) throws(ModelError) {
    let arrays: [String: NumPyFile]
    do throws(NumPyError) {
      arrays = try NumPyArchive.read(bytes) { (name) throws(NumPyError) in
        guard name != "texts" else { throw .unsupported("it cannot hold texts; put them into samples.json") }
        guard Self.names.contains(name) else { throw .unsupported("an array \(name) is not known") }
      }
    } catch { throw ModelError("samples.npz: \(error)") }
    guard let inputs = Self.matrix(arrays["inputs"]), inputs.width > 0 else {
      throw ModelError("samples.npz has no array inputs of rows")
    }
    self.init(rows: inputs.rows, questions: .inputs(inputs.values, width: inputs.width))
    for name in ["probabilities", "scores"] where arrays[name] != nil {
      guard arrays[name]?.shape.count == 2 else {
        throw ModelError("samples.npz: \(name) must have two dimensions, rows and classes")
      }
    }
    if let classes = arrays["classes"], classes.shape.count != 1 {
      throw ModelError("samples.npz: classes must have one dimension")
    }
    try expect(
      Self.matrix(arrays["probabilities"]), Self.matrix(arrays["scores"]), arrays["classes"]?.values)
    guard let tolerance = arrays["tolerance"] else { return }
    guard tolerance.values.count == 1 else { throw ModelError("samples.npz: tolerance must be one number") }
    self.tolerance = tolerance.values[0]
  }

  /// The first dimension counts rows, the others are one row.
  private static func matrix(_ array: NumPyFile?) -> Rows? {
    guard let array, let rows = array.shape.first, array.shape.count > 1, rows > 0 else { return nil }
    return Rows(values: array.values, rows: rows, width: array.values.count / rows)
  }

  // MARK: samples.json

  private init(json bytes: UnsafeRawBufferPointer) throws(ModelError) {
    let document: JSON
    do throws(JSONError) {
      document = try JSON(parsing: bytes, JSON.Bounds(depth: 4, values: 1 << 21))
    } catch { throw ModelError("samples.json: \(error.description)") }
    guard let members = document.object else { throw ModelError("samples.json is no JSON object") }
    if let member = members.first(where: { !Self.names.contains($0.key) }) {
      throw ModelError("samples.json: \(member.key) is not known")
    }
    switch (document["inputs"], document["texts"]) {
    case (let inputs?, nil):
      let rows = try Self.matrix(inputs, "inputs")
      self.init(rows: rows.rows, questions: .inputs(rows.values, width: rows.width))
    case (nil, let texts?):
      let list = texts.array ?? []
      let strings = list.compactMap(\.string)
      guard !strings.isEmpty, strings.count == list.count else {
        throw ModelError("samples.json: texts must be a list of texts")
      }
      self.init(rows: strings.count, questions: .texts(strings))
    default: throw ModelError("samples.json must have either inputs or texts")
    }
    var classes: [Float]?
    if let value = document["classes"] { classes = try Self.numbers(value, "classes") }
    try expect(
      try document["probabilities"].map { (value) throws(ModelError) in
        try Self.matrix(value, "probabilities")
      },
      try document["scores"].map { (value) throws(ModelError) in try Self.matrix(value, "scores") }, classes)
    guard let value = document["tolerance"] else { return }
    guard let number = value.number else { throw ModelError("samples.json: tolerance must be a number") }
    tolerance = Float(number)
  }

  private static func matrix(_ value: JSON, _ name: String) throws(ModelError) -> Rows {
    guard let list = value.array, let first = list.first?.array, !first.isEmpty,
      list.count <= maximumRows
    else { throw ModelError("samples.json: \(name) must be a list of 1 to \(maximumRows) lists of numbers") }
    var values: [Float] = []
    values.reserveCapacity(first.count)
    for (row, element) in list.enumerated() {
      let numbers = try numbers(element, "\(name)[\(row)]")
      guard numbers.count == first.count else {
        throw ModelError("samples.json: \(name)[\(row)] has \(numbers.count) numbers, not \(first.count)")
      }
      values.append(contentsOf: numbers)
    }
    return Rows(values: values, rows: list.count, width: first.count)
  }

  private static func numbers(_ value: JSON, _ name: String) throws(ModelError) -> [Float] {
    guard let list = value.array else { throw ModelError("samples.json: \(name) must be a list of numbers") }
    var numbers: [Float] = []
    for element in list {
      guard let number = element.number else {
        throw ModelError("samples.json: \(name) must hold numbers alone")
      }
      numbers.append(Float(number))
    }
    return numbers
  }
}
