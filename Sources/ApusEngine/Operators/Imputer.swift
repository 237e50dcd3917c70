/// Imputer: another number for those that say that a feature is missing.
struct Imputer: Operator {
  let name = "Imputer"
  let replaced: Numbers

  /// The number that is replaced, and what with: one for all features or one for each.
  enum Numbers: Sendable {
    case real(Float, [Float])
    case whole(Int, [Int])

    var count: Int {
      switch self {
      case .real(_, let numbers): numbers.count
      case .whole(_, let numbers): numbers.count
      }
    }
  }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    let matrix = try FeatureMatrix(input)
    switch replaced {
    case .real: try input.require("X", [.float32, .float64])
    case .whole: try input.require("X", [.int64, .int32])
    }
    guard replaced.count == 1 || replaced.count == matrix.columns else {
      throw GraphError("there are \(replaced.count) numbers for \(matrix.columns) features")
    }
    return [input.type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let view = inputs[required: 0]
    let columns = try FeatureMatrix(view.type.shape).columns
    switch (replaced, view.type.element) {
    case (.real(let old, let new), .float32):
      replace(view, outputs[0], columns, new) { $0 == old || $0.isNaN && old.isNaN }
    case (.real(let old, let new), .float64):
      let old = Double(old)
      replace(view, outputs[0], columns, new.map { Double($0) }) { $0 == old || $0.isNaN && old.isNaN }
    case (.whole(let old, let new), .int64):
      replace(view, outputs[0], columns, new.map { Int64($0) }) { $0 == old }
    case (.whole(let old, let new), .int32):
      replace(view, outputs[0], columns, new.map { Int32(truncatingIfNeeded: $0) }) { $0 == old }
    case (_, let other): throw unexpected(other)
    }
  }

  @inline(__always) private func replace<Number: TensorElement>(
    _ input: TensorView, _ output: MutableTensorView, _ columns: Int, _ numbers: [Number],
    _ isReplaced: (Number) -> Bool
  ) {
    let target = output.pointer(Number.self)
    for (index, value) in input.elements(Number.self).enumerated() {
      target[index] = isReplaced(value) ? numbers[numbers.count == 1 ? 0 : index % columns] : value
    }
  }

  static let entries = [
    OperatorEntry("Imputer", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      let attributes = node.attributes
      try attributes.only(
        "imputed_value_floats", "imputed_value_int64s", "replaced_value_float", "replaced_value_int64")
      let floats = try attributes.floats("imputed_value_floats") ?? []
      let integers = try attributes.ints("imputed_value_int64s") ?? []
      guard floats.isEmpty != integers.isEmpty else {
        throw GraphError("one of imputed_value_floats and imputed_value_int64s is there")
      }
      return Imputer(
        replaced: integers.isEmpty
          ? .real(try attributes.float("replaced_value_float") ?? 0, floats)
          : .whole(try attributes.int("replaced_value_int64") ?? 0, integers))
    }
  ]
}
