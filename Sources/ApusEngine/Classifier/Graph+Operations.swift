extension Graph {
  /// Operations of floating point (or of whole numbers, where a model is quantised) that one row takes: two
  /// for each product that is added, one for each other number that is computed.
  ///
  /// - Throws: `GraphError` for a graph without types.
  package func operationsPerRow() throws(GraphError) -> Int {
    let typing = try BatchTyping(self)
    return nodes.reduce(0) { $0 + operations($1, typing) }
  }

  private func operations(_ node: Node, _ typing: BatchTyping) -> Int {
    guard let output = node.outputs.first.flatMap({ $0 }), typing.known[output] == nil,
      let type = typing.types[output]
    else { return 0 }
    let count = type.count.resolved(rows: 1)
    func shape(_ input: Int) -> [Int] {
      guard input < node.inputs.count, let value = node.inputs[input] else { return [] }
      return typing.types[value]?.shape.map { $0.resolved(rows: 1) } ?? []
    }
    switch node.operation {
    case is Reshaping, is Identity, is ZipMap: return 0
    case let gemm as Gemm: return 2 * count * (gemm.isLeftTransposed ? shape(0).first : shape(0).last).or1
    case is MatMul, is Linear, is MatMulInteger, is QLinearMatMul: return 2 * count * shape(0).last.or1
    case is Conv, is ActivatedConv, is ConvInteger: return 2 * count * shape(1).dropFirst().reduce(1, *)
    case is LinearClassifier, is LinearRegressor, is SVMClassifier, is SVMRegressor:
      return 2 * shape(0).first.or1 * node.operation.parameterCount
    case is QLinearConv: return 2 * count * shape(3).dropFirst().reduce(1, *)
    default: return count
    }
  }
}

extension Int? {
  fileprivate var or1: Int { self ?? 1 }
}
