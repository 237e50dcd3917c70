/// The labels of a classifier's classes.
///
/// A graph has no tensors of texts: where ONNX gives a text for a label, the operator gives an int64, the
/// text's index in this list, and whoever reads the model finds the texts here.
package enum ClassLabels: Equatable, Sendable {
  case integers([Int])
  case texts([String])

  /// Reads the one of two attributes that is there.
  ///
  /// - Throws: `GraphError` where none of them is there, or both.
  init(_ attributes: Attributes, integers: String, texts: String) throws(GraphError) {
    let numbers = try attributes.ints(integers) ?? []
    let names = try attributes.strings(texts) ?? []
    switch (numbers.isEmpty, names.isEmpty) {
    case (false, true): self = .integers(numbers)
    case (true, false): self = .texts(names)
    case (true, true): throw GraphError("\(integers) or \(texts) is missing")
    case (false, false): throw GraphError("\(integers) and \(texts) are both there")
    }
  }

  package var count: Int {
    switch self {
    case .integers(let numbers): numbers.count
    case .texts(let texts): texts.count
    }
  }

  /// What a label's output says where ONNX Runtime says 1 or 0, whatever the labels are; an index of a text
  /// is always one of theirs.
  func output(isPositive: Bool) -> Int64 {
    switch self {
    case .integers: isPositive ? 1 : 0
    case .texts: isPositive && count > 1 ? 1 : 0
    }
  }

  /// What a label's output says for a class.
  func output(_ index: Int) -> Int64 {
    switch self {
    case .integers(let numbers): Int64(numbers[index])
    case .texts: Int64(index)
    }
  }
}

/// An operator whose scores, or what it makes of them, are those of classes with labels.
package protocol LabelledOperator: Operator {
  var classLabels: ClassLabels { get }
}

/// A matrix of features, a row for each example; a vector is one row.
struct FeatureMatrix {
  static let elements: [ElementType] = [.float32, .float64, .int64, .int32]

  let rows: Int
  let columns: Int

  /// - Throws: `GraphError` for tensors of other ranks.
  init(_ shape: [Int]) throws(GraphError) {
    guard 1...2 ~= shape.count else {
      throw GraphError("features are of shape [N, F] or [F], not \(shape)")
    }
    rows = shape.count == 1 ? 1 : shape[0]
    columns = shape.last.unsafelyUnwrapped
  }

  /// - Throws: `GraphError` for other types, too.
  init(_ input: KnownTensor) throws(GraphError) {
    try input.require("X", Self.elements)
    try self.init(input.shape)
  }

  /// Copies a row as numbers of another type.
  func read<Number: BinaryFloatingPoint>(
    _ row: Int, of view: TensorView, into target: inout [Number]
  ) {
    let range = row * columns..<(row + 1) * columns
    switch view.type.element {
    case .float64: copy(view.elements(Double.self)[range], &target) { Number($0) }
    case .int64: copy(view.elements(Int64.self)[range], &target) { Number($0) }
    case .int32: copy(view.elements(Int32.self)[range], &target) { Number($0) }
    default: copy(view.elements(Float.self)[range], &target) { Number($0) }
    }
  }

  @inline(__always) private func copy<Source, Number>(
    _ source: Slice<UnsafeBufferPointer<Source>>, _ target: inout [Number], _ convert: (Source) -> Number
  ) {
    for (index, value) in source.enumerated() { target[index] = convert(value) }
  }
}
