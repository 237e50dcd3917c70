/// Finds normalization along axes in the pieces that JAX, TensorFlow and others write. With m the mean of x
/// along the axes, v its variance and g = 1 / √(v + ε), or that times a scale:
///
///     (x - m) g,    (x - m) / √(v + ε),    x g + (bias - m g)
///
/// where v is the mean of (x - m)², or the mean of x² less m², which may be kept from falling below 0.
///
/// - Throws: `GraphError` for constants that are too large.
func joinAxisNormalization(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() where editor.isThere(node) {
    guard let output = editor.onlyOutput(of: node), let found = editor.axisNormalization(output),
      let places = editor.placeCount(found)
    else { continue }
    var inputs: [Graph.ValueID?] = [found.input, nil, nil]
    if let scale = found.scale { inputs[1] = try editor.along(found, scale, places) }
    if let bias = found.bias { inputs[2] = try editor.along(found, bias, places) }
    let operation = AxisNormalization(axes: found.axes, epsilon: found.epsilon)
    editor.replace(found.pieces, operation, inputs: inputs, output: output)
  }
  for isScale in [true, false] { try takeIn(&editor, isScale: isScale) }
  nameLayerNormalization(&editor)
}

/// What goes along the last axis is layer normalization (Ba et al., arXiv:1607.06450).
private func nameLayerNormalization(_ editor: inout GraphEditor) {
  for node in editor.nodes() {
    guard let norm = editor.graph.nodes[node].operation as? AxisNormalization,
      let output = editor.onlyOutput(of: node), let rank = editor.type(of: output)?.shape.count,
      norm.axes == rank - 1...rank - 1, editor.graph.nodes[node].inputs.count == 3,
      editor.graph.nodes[node].inputs[1] != nil
    else { continue }
    let operation = LayerNormalization(
      name: "LayerNormalization", axis: -1, epsilon: norm.epsilon, isCentered: true, outputs: 1)
    editor.replace(node, operation, inputs: editor.graph.nodes[node].inputs, output: output)
  }
}

/// Takes in the scale that a normalization is multiplied by, or the bias that is added to it.
private func takeIn(_ editor: inout GraphEditor, isScale: Bool) throws(GraphError) {
  for node in editor.nodes() {
    guard let function = (editor.graph.nodes[node].operation as? Arithmetic)?.function,
      function == (isScale ? .multiply : .add), let output = editor.onlyOutput(of: node)
    else { continue }
    let operands = editor.graph.nodes[node].inputs
    for (place, other) in [(0, 1), (1, 0)] {
      guard let norm = editor.producer(of: operands[place], AxisNormalization.self),
        editor.hasOneReader(operands[place]), let parameter = operands[other],
        editor.type(of: output) == editor.type(of: operands[place])
      else { continue }
      var inputs = editor.graph.nodes[norm.node].inputs
      guard inputs.count == 3, let input = inputs[0], inputs[isScale ? 1 : 2] == nil,
        !isScale || inputs[2] == nil
      else { continue }
      let found = FoundNormalization(input: input, axes: norm.operation.axes, epsilon: norm.operation.epsilon)
      guard editor.isAlong(found, parameter), let places = editor.placeCount(found) else { continue }
      inputs[isScale ? 1 : 2] = try editor.along(found, parameter, places)
      editor.remove(norm.node)
      editor.replace(node, norm.operation, inputs: inputs, output: output)
      break
    }
  }
}

private struct FoundNormalization {
  let input: Graph.ValueID
  let axes: ClosedRange<Int>
  let epsilon: Float
  var scale: Graph.ValueID?
  var bias: Graph.ValueID?
  var pieces: Set<Int> = []
}

extension GraphEditor {
  /// The normalization that a value is, in pieces that nobody else reads.
  fileprivate func axisNormalization(_ value: Graph.ValueID) -> FoundNormalization? {
    guard type(of: value)?.element == .float32,
      let function = producer(of: value, Arithmetic.self)?.operation.function
    else { return nil }
    var matcher = Matcher(self)
    let found: FoundNormalization? =
      switch function {
      case .divide: matcher.quotient(value)
      case .multiply: matcher.product(value)
      case .add: matcher.sum(value)
      default: nil
      }
    guard var found, type(of: found.input) == type(of: value), placeCount(found) != nil,
      found.scale.map({ isAlong(found, $0) }) ?? true, found.bias.map({ isAlong(found, $0) }) ?? true,
      matcher.isClosed(giving: value)
    else { return nil }
    found.pieces = matcher.nodes
    return found
  }

  /// Elements along the axes; nil where that hangs on the batch.
  fileprivate func placeCount(_ found: FoundNormalization) -> Int? {
    guard let shape = type(of: found.input)?.shape, !shape[found.axes].contains(where: \.isPerRow) else {
      return nil
    }
    let count = shape[found.axes].reduce(1) { $0 * $1.count }
    return count > 0 ? count : nil
  }

  /// Whether a constant has one number, or one for each place along the axes and no other.
  fileprivate func isAlong(_ found: FoundNormalization, _ value: Graph.ValueID) -> Bool {
    guard let tensor = constant(value), tensor.type.element == .float32,
      let shape = type(of: found.input)?.shape, tensor.type.rank <= shape.count
    else { return false }
    if tensor.type.count == 1 { return true }
    let sizes = [Int](repeating: 1, count: shape.count - tensor.type.rank) + tensor.type.shape
    return sizes.indices.allSatisfy { sizes[$0] == (found.axes.contains($0) ? shape[$0].count : 1) }
  }

  /// That constant as a row.
  fileprivate mutating func along(
    _ found: FoundNormalization, _ value: Graph.ValueID, _ places: Int
  ) throws(GraphError) -> Graph.ValueID? {
    guard let numbers = constant(value)?.view.elements(Float.self) else { return nil }
    let row = (0..<places).map { numbers[numbers.count == 1 ? 0 : $0] }
    return add(try Tensor(row, [places]), named: graph.values[value].name)
  }
}

extension Matcher {
  /// (x - m) / √(v + ε)
  fileprivate mutating func quotient(_ value: Graph.ValueID) -> FoundNormalization? {
    guard let operands = inputs(value, Arithmetic.self), operands.count == 2,
      let centered = difference(operands[0]), let epsilon = deviation(operands[1], of: centered),
      editor.hasShape(operands[1], of: centered.input, reduced: centered.axes)
    else { return nil }
    return FoundNormalization(input: centered.input, axes: centered.axes, epsilon: epsilon)
  }

  /// (x - m) g
  fileprivate mutating func product(_ value: Graph.ValueID) -> FoundNormalization? {
    guard let operands = inputs(value, Arithmetic.self), operands.count == 2 else { return nil }
    for (place, other) in [(0, 1), (1, 0)] {
      let found = attempt { matcher -> FoundNormalization? in
        guard let centered = matcher.difference(operands[place]) else { return nil }
        return matcher.factor(operands[other], of: centered)
      }
      if let found { return found }
    }
    return nil
  }

  /// x g + (bias - m g)
  fileprivate mutating func sum(_ value: Graph.ValueID) -> FoundNormalization? {
    guard let addends = inputs(value, Arithmetic.self), addends.count == 2 else { return nil }
    for (place, other) in [(0, 1), (1, 0)] {
      let found = attempt { matcher -> FoundNormalization? in
        guard
          let scaled = matcher.inputs(addends[place], Arithmetic.self, where: { $0.function == .multiply }),
          let moved = matcher.inputs(addends[other], Arithmetic.self, where: { $0.function == .subtract }),
          scaled.count == 2, moved.count == 2, matcher.editor.constant(moved[0]) != nil,
          let shift = matcher.inputs(moved[1], Arithmetic.self, where: { $0.function == .multiply }),
          shift.count == 2
        else { return nil }
        return matcher.moved(scaled, shift, bias: moved[0])
      }
      if let found { return found }
    }
    return nil
  }

  /// Of x g and m g, in any order of their factors.
  private mutating func moved(
    _ scaled: [Graph.ValueID], _ shift: [Graph.ValueID], bias: Graph.ValueID
  ) -> FoundNormalization? {
    for (x, factor) in [(0, 1), (1, 0)] {
      let found = attempt { matcher -> FoundNormalization? in
        guard let center = shift.first(where: { $0 != scaled[factor] }), shift.contains(scaled[factor]),
          let mean = matcher.mean(center), mean.input == scaled[x],
          matcher.editor.hasShape(center, of: mean.input, reduced: mean.axes),
          var found = matcher.factor(scaled[factor], of: mean)
        else { return nil }
        found.bias = bias
        return found
      }
      if let found { return found }
    }
    return nil
  }

  private typealias Reduced = (input: Graph.ValueID, axes: ClosedRange<Int>)

  /// g: 1 / √(v + ε), or that times a constant.
  private mutating func factor(_ value: Graph.ValueID, of centered: Reduced) -> FoundNormalization? {
    let plain = attempt { matcher -> FoundNormalization? in
      guard matcher.editor.hasShape(value, of: centered.input, reduced: centered.axes),
        let epsilon = matcher.inverse(value, of: centered)
      else { return nil }
      return FoundNormalization(input: centered.input, axes: centered.axes, epsilon: epsilon)
    }
    if let plain { return plain }
    guard let operands = inputs(value, Arithmetic.self, where: { $0.function == .multiply }),
      operands.count == 2
    else { return nil }
    for (place, other) in [(0, 1), (1, 0)] where editor.constant(operands[other]) != nil {
      guard editor.hasShape(operands[place], of: centered.input, reduced: centered.axes),
        let epsilon = inverse(operands[place], of: centered)
      else { continue }
      return FoundNormalization(
        input: centered.input, axes: centered.axes, epsilon: epsilon, scale: operands[other])
    }
    return nil
  }

  /// x and the axes, where a value is x - m.
  private mutating func difference(_ value: Graph.ValueID) -> Reduced? {
    attempt { matcher in
      guard let operands = matcher.inputs(value, Arithmetic.self, where: { $0.function == .subtract }),
        operands.count == 2, let mean = matcher.mean(operands[1]), mean.input == operands[0],
        matcher.editor.hasShape(operands[1], of: operands[0], reduced: mean.axes)
      else { return nil }
      return mean
    }
  }

  /// x and the axes, where a value is the mean of x along them, in whatever shape.
  private mutating func mean(_ value: Graph.ValueID) -> Reduced? {
    attempt { matcher in
      let value = matcher.reshaped(value)
      if let mean = matcher.reduction(value, .mean) { return mean }
      let (share, scalar): (Graph.ValueID, Float)
      if let product = matcher.pairWithScalar(value, .multiply) {
        (share, scalar) = (product.other, product.scalar)
      } else if let quotient = matcher.pairWithScalar(value, .divide) {
        (share, scalar) = (quotient.other, 1 / quotient.scalar)
      } else {
        return nil
      }
      guard let sum = matcher.reduction(matcher.reshaped(share), .sum),
        let shape = matcher.editor.type(of: sum.input)?.shape, !shape[sum.axes].contains(where: \.isPerRow)
      else { return nil }
      let count = shape[sum.axes].reduce(1) { $0 * $1.count }
      return scalar.isAbout(1 / Double(count)) ? sum : nil
    }
  }

  /// ε, where a value is √(v + ε).
  private mutating func deviation(_ value: Graph.ValueID, of centered: Reduced) -> Float? {
    attempt { matcher in
      guard let sum = matcher.function(matcher.reshaped(value), .squareRoot) else { return nil }
      return matcher.epsilon(sum, of: centered)
    }
  }

  /// ε, where a value is 1 / √(v + ε).
  private mutating func inverse(_ value: Graph.ValueID, of centered: Reduced) -> Float? {
    attempt { matcher in
      let value = matcher.reshaped(value)
      if let root = matcher.attempt({ $0.function(value, .reciprocal) }) {
        return matcher.deviation(root, of: centered)
      }
      if let (base, exponent) = matcher.power(value) {
        return exponent == -0.5 ? matcher.epsilon(base, of: centered) : nil
      }
      guard let (one, root) = matcher.pair(value, .divide), matcher.editor.scalar(one) == 1 else {
        return nil
      }
      return matcher.deviation(root, of: centered)
    }
  }

  /// ε, where a value is v + ε.
  private mutating func epsilon(_ value: Graph.ValueID, of centered: Reduced) -> Float? {
    guard let (variance, epsilon) = pairWithScalar(reshaped(value), .add), epsilon >= 0,
      isVariance(variance, of: centered)
    else { return nil }
    return epsilon
  }

  private mutating func isVariance(_ value: Graph.ValueID, of centered: Reduced) -> Bool {
    var value = reshaped(value)
    if let inner = notBelowZero(value) { value = reshaped(inner) }
    let isOfDifferences = attempt { matcher -> Bool? in
      guard let mean = matcher.mean(value), mean.axes == centered.axes,
        let root = matcher.squareRoot(of: mean.input), let found = matcher.difference(root),
        found == centered
      else { return nil }
      return true
    }
    if isOfDifferences != nil { return true }
    guard let (squares, square) = pair(value, .subtract), let mean = mean(squares),
      mean.axes == centered.axes,
      squareRoot(of: mean.input) == centered.input, let root = squareRoot(of: reshaped(square)),
      let center = self.mean(root)
    else { return false }
    return center == centered
  }

  /// What a value is, if that is not below 0.
  private mutating func notBelowZero(_ value: Graph.ValueID) -> Graph.ValueID? {
    if let positive = attempt({ $0.function(value, .relu) }) { return positive }
    return attempt { matcher in
      guard let operands = matcher.inputs(value, Variadic.self, where: { $0.function == .max }),
        operands.count == 2, let place = operands.firstIndex(where: { matcher.editor.scalar($0) == 0 })
      else { return nil }
      let other = operands[1 - place]
      return matcher.editor.type(of: other)?.count == matcher.editor.type(of: value)?.count ? other : nil
    }
  }
}
