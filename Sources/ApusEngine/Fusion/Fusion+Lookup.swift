/// Makes a lookup in a table of a product with a one-hot matrix that is made by comparing indices with 0, 1,
/// 2 and so on: a row of the weights, with bias and activation computed once.
///
/// - Throws: `GraphError` for a table that is too large.
func joinLookups(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() where editor.isThere(node) {
    guard let linear = editor.graph.nodes[node].operation as? Linear,
      let output = editor.onlyOutput(of: node),
      let value = editor.graph.nodes[node].inputs[0], let oneHot = editor.oneHot(value),
      let table = try editor.table(linear, editor.graph.nodes[node].inputs, rows: oneHot.classes)
    else { continue }
    let constant = editor.add(table, named: "table")
    editor.replace(
      oneHot.pieces.union([node]), RowLookup(droppedDimensions: oneHot.droppedDimensions),
      inputs: [oneHot.indices, constant], output: output)
  }
}

private struct OneHot {
  let indices: Graph.ValueID
  let droppedDimensions: Int
  let classes: Int
  let pieces: Set<Int>
}

extension GraphEditor {
  /// Where a value is 1 at an index of its last dimension and 0 elsewhere, and nobody else reads its pieces.
  fileprivate func oneHot(_ value: Graph.ValueID) -> OneHot? {
    guard hasOneReader(value), let cast = producer(of: value, Casting.self),
      cast.operation.target == .float32,
      let truths = graph.nodes[cast.node].inputs[0], hasOneReader(truths),
      let equal = producer(of: truths, Comparison.self), equal.operation.function == .equal
    else { return nil }
    let operands = graph.nodes[equal.node].inputs
    for (place, other) in [(0, 1), (1, 0)] {
      guard let indices = operands[place], let type = type(of: indices), type.shape.last == Extent(1),
        let whole = self.type(of: truths), whole.shape.dropLast() == type.shape.dropLast(),
        let classes = classCount(operands[other]), whole.shape.last == Extent(classes)
      else { continue }
      // That the last dimension was added does not matter.
      if let reshape = producer(of: indices, Reshaping.self),
        let source = graph.nodes[reshape.node].inputs[0],
        self.type(of: source)?.shape == Array(type.shape.dropLast())
      {
        return OneHot(
          indices: source, droppedDimensions: 0, classes: classes, pieces: [cast.node, equal.node])
      }
      return OneHot(
        indices: indices, droppedDimensions: 1, classes: classes, pieces: [cast.node, equal.node])
    }
    return nil
  }

  /// How many numbers a constant has that are 0, 1, 2 and so on along its last dimension.
  private func classCount(_ value: Graph.ValueID?) -> Int? {
    guard let tensor = constant(value), tensor.type.shape.last == tensor.type.count,
      tensor.type.element == .int32 || tensor.type.element == .int64,
      let numbers = try? tensor.view.integers(),
      numbers.elementsEqual(0..<numbers.count)
    else { return nil }
    return numbers.count
  }

  /// What a product gives for each class, and for none; nil where that is not so simple.
  fileprivate func table(
    _ linear: Linear, _ inputs: [Graph.ValueID?], rows: Int
  ) throws(GraphError) -> Tensor? {
    guard let weights = constant(inputs[1]), weights.type.element == .float32 else { return nil }
    let numbers = weights.view.elements(Float.self)
    // Times zero, what is not finite would be a NaN in every row.
    guard numbers.allSatisfy(\.isFinite) else { return nil }
    let columns = weights.type.shape[linear.isTransposed ? 1 : 0]
    let bias = inputs.count > 2 ? inputs[2] : nil
    let shifts = constant(bias)?.view.elements(Float.self)
    guard bias == nil || shifts?.count == columns, weights.type.count == rows * columns else { return nil }
    let table = Tensor(try TensorType(.float32, [rows + 1, columns]))
    let target = table.mutableView.elements(Float.self)
    for row in 0...rows {
      for column in 0..<columns {
        let place = linear.isTransposed ? row * columns + column : column * rows + row
        target[row * columns + column] = (row < rows ? numbers[place] : 0) + (shifts?[column] ?? 0)
      }
    }
    linear.activation.apply(target)
    return table
  }
}
