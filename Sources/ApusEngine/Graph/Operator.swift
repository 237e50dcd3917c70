/// What a node of a graph computes: one ONNX operator with its attributes, in the form of one opset.
///
/// An operator is total: for inputs of the types that `outputTypes` has accepted, `compute` reads and writes
/// nothing outside them, whatever the numbers are. It is the plain form that quicker kernels are compared
/// with, and what folds constants.
package protocol Operator: Sendable {
  /// The operator's name in ONNX.
  var name: String { get }

  /// The types of all outputs.
  ///
  /// - Parameter inputs: in the operator's order; nil for an optional one that is left out. Where an input's
  ///   numbers are known already (a constant, or the shape of something), they are there.
  /// - Throws: `GraphError` for types and shapes that the operator does not take, for values that it does not
  ///   allow, and where an output's shape hangs on numbers that are not known.
  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType]

  /// Computes the outputs.
  ///
  /// - Parameters:
  ///   - inputs: of the types that `outputTypes` was given.
  ///   - outputs: of the types that it gave; none overlaps an input.
  /// - Throws: `GraphError` for numbers that the operator does not allow, for example an index that leads
  ///   nowhere.
  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError)

  /// Whether the outputs hang on the inputs' types alone, as those of Shape do.
  var readsOnlyTypes: Bool { get }

  /// Numbers that training set and that its attributes hold.
  var parameterCount: Int { get }
}

extension Operator {
  package var readsOnlyTypes: Bool { false }
  package var parameterCount: Int { 0 }
}

/// What is known of a tensor before a graph runs.
package struct KnownTensor {
  package let type: TensorType
  /// nil: known only when the graph runs.
  package let value: TensorView?

  package init(type: TensorType, value: TensorView? = nil) {
    self.type = type
    self.value = value
  }

  package var shape: [Int] { type.shape }
  package var element: ElementType { type.element }
}

extension [KnownTensor?] {
  /// The input of this place.
  ///
  /// - Throws: `GraphError` where it is left out.
  package func required(_ index: Int, _ name: String) throws(GraphError) -> KnownTensor {
    guard let input = optional(index) else { throw GraphError("the input \(name) is missing") }
    return input
  }

  package func optional(_ index: Int) -> KnownTensor? { index < count ? self[index] : nil }

  /// The numbers of an input that must be known before the graph runs, as an output's shape hangs on them.
  package func knownIntegers(_ index: Int, _ name: String) throws(GraphError) -> [Int] {
    guard let value = try required(index, name).value else {
      throw GraphError("\(name) must be a constant: the shape of what is computed hangs on it")
    }
    return try value.integers()
  }
}
