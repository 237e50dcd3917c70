import ApusEngine

extension TensorFlowOperators {
  // MARK: Products of matrices

  static let products =
    [
      TensorFlowOperator("MatMul") { (scope) throws(GraphError) in
        try scope.expect(inputs: 2)
        try scope.attributes.only([
          "transpose_a", "transpose_b", "grad_a", "grad_b", "a_is_sparse", "b_is_sparse",
        ])
        let (a, b) = (try scope.plain(0), try scope.plain(1))
        guard scope.builder.rank(a) == 2, scope.builder.rank(b) == 2 else {
          throw GraphError("it multiplies matrices of 2 dimensions")
        }
        let left = try scope.attributes.flag("transpose_a") ?? false
        let right = try scope.attributes.flag("transpose_b") ?? false
        guard left || right else { return scope.give(try scope.emit("MatMul", [a, b])) }
        scope.give(
          try scope.emit("Gemm", [a, b], ["transA": .int(left ? 1 : 0), "transB": .int(right ? 1 : 0)]))
      },
      TensorFlowOperator("BiasAdd") { (scope) throws(GraphError) in
        try scope.expect(inputs: 2)
        try scope.attributes.only(["data_format"])
        let format = try scope.attributes.imageFormat()
        let bias = try scope.plain(1)
        guard scope.builder.rank(bias) == 1 else { throw GraphError("a bias has one dimension") }
        guard format == .channelsFirst else {
          let pair = try scope.aligned([0, 1])
          return scope.give(try scope.emit("Add", pair.values), isMoved: pair.areMoved)
        }
        let input = try scope.plain(0)
        let behind = max(0, scope.builder.rank(input) - 2)
        let column =
          behind == 0 ? bias : try scope.emit("Unsqueeze", [bias, scope.constant(Array(1...behind))])
        scope.give(try scope.emit("Add", [input, column]))
      },
    ]
    + ["BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"].map { name in
      TensorFlowOperator(name) { (scope) throws(GraphError) in
        try scope.expect(inputs: 2)
        try scope.attributes.only(["adj_x", "adj_y", "grad_x", "grad_y"])
        var (x, y) = (try scope.plain(0), try scope.plain(1))
        if try scope.attributes.flag("adj_x") ?? false { x = try scope.transposed(x) }
        if try scope.attributes.flag("adj_y") ?? false { y = try scope.transposed(y) }
        scope.give(try scope.emit("MatMul", [x, y]))
      }
    }

  // MARK: Norms

  static let norms =
    ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"].map { name in
      TensorFlowOperator(name) { (scope) throws(GraphError) in
        try scope.expect(inputs: 5)
        try scope.attributes.only(["epsilon", "exponential_avg_factor", "data_format", "is_training"])
        guard try scope.attributes.flag("is_training") == false else {
          throw GraphError("it is one that trains; freeze the model as it answers (training=False)")
        }
        let epsilon = try scope.attributes.float("epsilon") ?? 1e-4
        let format = try scope.attributes.imageFormat()
        var inputs = [try scope.image(0, format)]
        for place in 1..<5 { inputs.append(try scope.plain(place)) }
        // Its other outputs are for training; who reads them is refused.
        scope.give(try scope.emit("BatchNormalization", inputs, ["epsilon": .float(epsilon)]), format)
      }
    }
    + ["Softmax", "LogSoftmax"].map { name in
      TensorFlowOperator(name) { (scope) throws(GraphError) in
        try scope.expect(inputs: 1)
        try scope.attributes.only([])
        scope.give(try scope.emit(name, [scope.plain(0)], ["axis": .int(-1)]))
      }
    }
}

extension TensorFlowScope {
  /// With the last two dimensions exchanged.
  fileprivate mutating func transposed(_ value: Graph.ValueID) throws(GraphError) -> Graph.ValueID {
    let rank = builder.rank(value)
    guard rank >= 2 else { throw GraphError("it multiplies matrices") }
    return try emit("Transpose", [value], ["perm": .ints(Array(0..<rank - 2) + [rank - 1, rank - 2])])
  }
}
