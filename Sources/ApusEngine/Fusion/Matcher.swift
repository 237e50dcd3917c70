/// Looks for the pieces of an operator in a graph, and keeps account of the nodes that are among them.
///  Values that were reduced along axes may be reshaped on the way to where they are used, as no number
/// changes; all other pieces go together number by number.
struct Matcher {
  let editor: GraphEditor
  private(set) var nodes: Set<Int> = []

  init(_ editor: GraphEditor) { self.editor = editor }

  /// Whether nobody else reads anything of the pieces but what they give.
  func isClosed(giving output: Graph.ValueID) -> Bool { editor.isClosed(nodes, giving: output) }

  /// Tries a part of a pattern: the nodes of one that does not fit do not count.
  mutating func attempt<Result>(_ part: (inout Matcher) -> Result?) -> Result? {
    var copy = self
    guard let result = part(&copy) else { return nil }
    self = copy
    return result
  }

  /// The inputs of a value's node, if it is an operator of this kind.
  mutating func inputs<Kind: Operator>(
    _ value: Graph.ValueID, _: Kind.Type, where isWanted: (Kind) -> Bool = { _ in true }
  ) -> [Graph.ValueID]? {
    guard let found = editor.producer(of: value, Kind.self), isWanted(found.operation) else { return nil }
    nodes.insert(found.node)
    return editor.graph.nodes[found.node].inputs.compactMap { $0 }
  }

  mutating func function(_ value: Graph.ValueID, _ function: Elementwise.Function) -> Graph.ValueID? {
    inputs(value, Elementwise.self) { $0.function == function }?.first
  }

  /// Both inputs of a sum, difference, product or quotient, of which none is repeated.
  mutating func pair(
    _ value: Graph.ValueID, _ function: Arithmetic.Function
  ) -> (Graph.ValueID, Graph.ValueID)? {
    attempt { matcher in
      guard let inputs = matcher.inputs(value, Arithmetic.self, where: { $0.function == function }),
        inputs.count == 2, let count = matcher.editor.type(of: value)?.count
      else { return nil }
      let isWhole = inputs.allSatisfy {
        matcher.editor.scalar($0) != nil || matcher.editor.type(of: $0)?.count == count
      }
      return isWhole ? (inputs[0], inputs[1]) : nil
    }
  }

  /// What goes with a number in a sum or product.
  mutating func pairWithScalar(
    _ value: Graph.ValueID, _ function: Arithmetic.Function
  ) -> (other: Graph.ValueID, scalar: Float)? {
    attempt { matcher in
      guard let (left, right) = matcher.pair(value, function) else { return nil }
      if let number = matcher.editor.scalar(right) { return (left, number) }
      guard function != .subtract, function != .divide, let number = matcher.editor.scalar(left) else {
        return nil
      }
      return (right, number)
    }
  }

  /// What a value is a Reshape of.
  mutating func reshaped(_ value: Graph.ValueID) -> Graph.ValueID {
    var value = value
    while let source = inputs(value, Reshaping.self)?.first { value = source }
    return value
  }

  /// The tensor and the axes that a value is a reduction of.
  mutating func reduction(
    _ value: Graph.ValueID, _ function: Reduction.Function
  ) -> (input: Graph.ValueID, axes: ClosedRange<Int>)? {
    guard let found = editor.producer(of: value, Reduction.self), found.operation.function == function,
      let axes = found.operation.neighbouringAxes(editor.types(of: found.node)),
      let input = editor.graph.nodes[found.node].inputs[0]
    else { return nil }
    nodes.insert(found.node)
    return (input, axes)
  }

  /// The base of a power of a number, which has the power's shape.
  mutating func power(_ value: Graph.ValueID) -> (base: Graph.ValueID, exponent: Float)? {
    attempt { matcher in
      guard let power = matcher.inputs(value, Power.self), power.count == 2,
        let exponent = matcher.editor.scalar(power[1]),
        matcher.editor.type(of: power[0])?.count == matcher.editor.type(of: value)?.count
      else { return nil }
      return (power[0], exponent)
    }
  }

  /// What a value is the square of.
  mutating func squareRoot(of value: Graph.ValueID) -> Graph.ValueID? {
    attempt { matcher in
      if let (root, exponent) = matcher.power(value) { return exponent == 2 ? root : nil }
      guard let (left, right) = matcher.pair(value, .multiply), left == right else { return nil }
      return left
    }
  }
}

extension GraphEditor {
  /// The number of a constant of float32 that has one.
  func scalar(_ value: Graph.ValueID?) -> Float? {
    guard let tensor = constant(value), tensor.type.element == .float32, tensor.type.count == 1 else {
      return nil
    }
    return tensor.view.elements(Float.self)[0]
  }

  /// Whether a value has the shape of a tensor whose axes were reduced to 1.
  func hasShape(_ value: Graph.ValueID, of tensor: Graph.ValueID, reduced axes: ClosedRange<Int>) -> Bool {
    guard let whole = type(of: tensor)?.shape, let shape = type(of: value)?.shape else { return false }
    return shape == whole.indices.map { axes.contains($0) ? Extent(1) : whole[$0] }
  }
}

extension Float {
  /// Whether it is a constant of a formula, as exporters round it.
  func isAbout(_ number: Double) -> Bool { abs(Double(self) - number) <= 1e-5 * abs(number) }
}
