/// Scaler: features moved and multiplied.
struct Scaler: Operator {
  let name = "Scaler"
  /// One for all features or one for each.
  let offsets: [Float]
  let scales: [Float]
  var parameterCount: Int { offsets.count + scales.count }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    let matrix = try FeatureMatrix(input)
    for (name, numbers) in [("offset", offsets), ("scale", scales)] {
      guard numbers.count == 1 || numbers.count == matrix.columns else {
        throw GraphError("\(name) has \(numbers.count) numbers, and X \(matrix.columns) features")
      }
    }
    return [try TensorType(.float32, input.shape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    let view = inputs[required: 0]
    let input = try FeatureMatrix(view.type.shape)
    let target = outputs[0].pointer(Float.self)
    var row = [Double](repeating: 0, count: input.columns)
    for index in 0..<input.rows {
      input.read(index, of: view, into: &row)
      for feature in 0..<input.columns {
        let offset = offsets.count == 1 ? offsets[0] : offsets[feature]
        let scale = scales.count == 1 ? scales[0] : scales[feature]
        target[index * input.columns + feature] = Float((row[feature] - Double(offset)) * Double(scale))
      }
    }
  }

  static let entries = [
    OperatorEntry("Scaler", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try node.attributes.only("offset", "scale")
      return Scaler(
        offsets: try node.attributes.floats("offset") ?? [0],
        scales: try node.attributes.floats("scale") ?? [1])
    },
    OperatorEntry("Normalizer", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try node.attributes.only("norm")
      let norm = try node.attributes.string("norm") ?? "MAX"
      guard let norm = Normalizer.Norm(rawValue: norm) else {
        throw GraphError("the norm '\(norm)' is not known")
      }
      return Normalizer(norm: norm)
    },
    OperatorEntry("Binarizer", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try node.attributes.only("threshold")
      return Binarizer(threshold: try node.attributes.float("threshold") ?? 0)
    },
  ]
}

/// Normalizer: each row divided by its norm, or by its greatest number; a row of norm 0 stays as it is.
struct Normalizer: Operator {
  enum Norm: String {
    case greatest = "MAX"
    case absolute = "L1"
    case euclidean = "L2"
  }

  let name = "Normalizer"
  let norm: Norm

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    _ = try FeatureMatrix(input)
    return [try TensorType(.float32, input.shape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    let view = inputs[required: 0]
    let input = try FeatureMatrix(view.type.shape)
    let target = outputs[0].pointer(Float.self)
    var row = [Double](repeating: 0, count: input.columns)
    for index in 0..<input.rows {
      input.read(index, of: view, into: &row)
      let divisor = divisor(row)
      for feature in 0..<input.columns {
        target[index * input.columns + feature] = Float(divisor == 0 ? row[feature] : row[feature] / divisor)
      }
    }
  }

  private func divisor(_ row: [Double]) -> Double {
    switch norm {
    case .greatest: row.max() ?? 0
    case .absolute: row.reduce(0) { $0 + abs($1) }
    case .euclidean: row.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
  }
}

/// Binarizer: 1 for numbers above a threshold, and 0 for others.
struct Binarizer: MapOperator {
  let name = "Binarizer"
  let threshold: Float

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", [.float32, .float64])
    return [input.type]
  }

  func map(_ input: TensorView, to output: MutableTensorView) {
    if input.type.element == .float64 {
      input.replace(into: output) { (x: Double) -> Double in x > Double(threshold) ? 1 : 0 }
    } else {
      input.replace(into: output) { (x: Float) -> Float in x > threshold ? 1 : 0 }
    }
  }
}
