/// Finds Softmax along an axis in pieces, e^(x - max x) / Σ e^(x - max x), and its logarithm,
/// x - max x - ln Σ e^(x - max x).
func joinSoftmax(_ editor: inout GraphEditor) {
  for node in editor.nodes() where editor.isThere(node) {
    guard let function = (editor.graph.nodes[node].operation as? Arithmetic)?.function,
      let output = editor.onlyOutput(of: node)
    else { continue }
    let isLogarithm = function == .subtract
    guard let found = isLogarithm ? editor.logSoftmax(output) : editor.softmax(output) else { continue }
    let operation = SoftmaxOperator(isLogarithm: isLogarithm, axis: found.axis, isFlattened: false)
    editor.replace(found.pieces, operation, inputs: [found.input], output: output)
  }
}

extension Graph {
  /// The same with one Softmax at its end, where it ends in the pieces of one.
  ///
  /// - Throws: `GraphError` for a graph that has no types for batches of any size.
  func endingInWholeSoftmax() throws(GraphError) -> Graph {
    guard nodes.contains(where: { $0.outputs.contains(outputs[0]) && $0.operation is Arithmetic }) else {
      return self
    }
    var editor = GraphEditor(self, try BatchTyping(self))
    try simplifyShapes(&editor)
    joinSoftmax(&editor)
    return editor.producer(of: outputs[0], SoftmaxOperator.self) == nil ? self : editor.finished()
  }
}

private struct FoundSoftmax {
  let input: Graph.ValueID
  let axis: Int
  var pieces: Set<Int> = []
}

extension GraphEditor {
  fileprivate func softmax(_ value: Graph.ValueID) -> FoundSoftmax? {
    guard let (node, operation) = producer(of: value, Arithmetic.self) else { return nil }
    let operands = graph.nodes[node].inputs.compactMap { $0 }
    guard operands.count == 2, operation.function == .divide || operation.function == .multiply else {
      return nil
    }
    for (place, other) in [(0, 1), (1, 0)] where place == 0 || operation.function == .multiply {
      var matcher = Matcher(self)
      guard matcher.inputs(value, Arithmetic.self) != nil,
        let difference = matcher.function(operands[place], .exponential)
      else { continue }
      var divisor = operands[other]
      if operation.function == .multiply {
        guard let sum = matcher.function(matcher.reshaped(divisor), .reciprocal) else { continue }
        divisor = sum
      }
      guard var found = matcher.shifted(difference),
        matcher.isSum(divisor, of: operands[place], along: found.axis, usedAs: operands[other]),
        matcher.isClosed(giving: value)
      else { continue }
      found.pieces = matcher.nodes
      return found
    }
    return nil
  }

  fileprivate func logSoftmax(_ value: Graph.ValueID) -> FoundSoftmax? {
    var matcher = Matcher(self)
    guard let operands = matcher.inputs(value, Arithmetic.self, where: { $0.function == .subtract }),
      operands.count == 2, var found = matcher.shifted(operands[0]),
      let sum = matcher.function(matcher.reshaped(operands[1]), .logarithm),
      let powers = matcher.summand(of: sum, along: found.axis),
      hasShape(operands[1], of: powers, reduced: found.axis...found.axis),
      matcher.function(powers, .exponential) == operands[0], matcher.isClosed(giving: value)
    else { return nil }
    found.pieces = matcher.nodes
    return found
  }
}

extension Matcher {
  /// x and an axis, where a value is x less the greatest number along it.
  fileprivate mutating func shifted(_ value: Graph.ValueID) -> FoundSoftmax? {
    guard let operands = inputs(value, Arithmetic.self, where: { $0.function == .subtract }),
      operands.count == 2, let greatest = reduction(reshaped(operands[1]), .max),
      greatest.input == operands[0], greatest.axes.count == 1,
      editor.hasShape(operands[1], of: operands[0], reduced: greatest.axes),
      editor.type(of: operands[0])?.element == .float32
    else { return nil }
    return FoundSoftmax(input: operands[0], axis: greatest.axes.lowerBound)
  }

  /// What a value is the sum of along an axis.
  fileprivate mutating func summand(of value: Graph.ValueID, along axis: Int) -> Graph.ValueID? {
    guard let sum = reduction(reshaped(value), .sum), sum.axes == axis...axis else { return nil }
    return sum.input
  }

  fileprivate mutating func isSum(
    _ value: Graph.ValueID, of summand: Graph.ValueID, along axis: Int, usedAs used: Graph.ValueID
  ) -> Bool {
    self.summand(of: value, along: axis) == summand
      && editor.hasShape(used, of: summand, reduced: axis...axis)
  }
}
