/// Linear functions of features, one for each class or target.
struct LinearFunctions {
  let count: Int
  /// A row of features for each.
  let coefficients: [Float]
  /// One for each, or none.
  let intercepts: [Float]

  /// - Parameter count: how many there are.
  /// - Throws: `GraphError` where coefficients or intercepts are not as many.
  init(_ attributes: Attributes, count: Int) throws(GraphError) {
    self.count = count
    coefficients = try attributes.floats("coefficients") ?? []
    intercepts = try attributes.floats("intercepts") ?? []
    guard count > 0, !coefficients.isEmpty, coefficients.count % count == 0,
      intercepts.isEmpty || intercepts.count == count
    else {
      throw GraphError(
        "\(coefficients.count) coefficients and \(intercepts.count) intercepts "
          + "are not those of \(count) scores")
    }
  }

  var features: Int { coefficients.count / count }
  var parameterCount: Int { coefficients.count + intercepts.count }

  /// - Throws: `GraphError` where an input has other features.
  func check(_ input: FeatureMatrix) throws(GraphError) {
    guard input.columns == features else {
      throw GraphError("X has \(input.columns) features, not \(features)")
    }
  }

  func apply(_ row: [Float], to scores: UnsafeMutableBufferPointer<Float>) {
    for index in 0..<count {
      var sum: Float = 0
      for feature in 0..<features { sum += row[feature] * coefficients[index * features + feature] }
      scores[index] = sum + (intercepts.isEmpty ? 0 : intercepts[index])
    }
  }
}

/// LinearClassifier: the class of the greatest linear function, and the scores of all.
struct LinearClassifier: LabelledOperator {
  let name = "LinearClassifier"
  package let classLabels: ClassLabels
  let functions: LinearFunctions
  var parameterCount: Int { functions.parameterCount }
  let transform: PostTransform

  /// Whether the only function is that of the second of two classes.
  var addsSecondClass: Bool { functions.count == 1 && classLabels.count == 2 }
  var scores: Int { addsSecondClass ? 2 : functions.count }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try FeatureMatrix(inputs.required(0, "X"))
    try functions.check(input)
    return [try TensorType(.int64, [input.rows]), try TensorType(.float32, [input.rows, scores])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    let view = inputs[required: 0]
    let input = try FeatureMatrix(view.type.shape)
    let labels = outputs[0].elements(Int64.self)
    let results = outputs[1].elements(Float.self)
    var row = [Float](repeating: 0, count: input.columns)
    for index in 0..<input.rows {
      input.read(index, of: view, into: &row)
      let scores = UnsafeMutableBufferPointer(rebasing: results[index * scores..<(index + 1) * scores])
      functions.apply(row, to: scores)
      labels[index] = label(scores)
      if addsSecondClass { transform.expand(scores, .complement) } else { transform.apply(scores) }
    }
  }

  private func label(_ scores: UnsafeMutableBufferPointer<Float>) -> Int64 {
    guard functions.count > 1 else { return label(ofSingle: scores[0]) }
    var best = 0
    for index in 1..<functions.count where scores[index] > scores[best] { best = index }
    return classLabels.output(best)
  }

  /// The label where there is one function alone.
  func label(ofSingle score: Float) -> Int64 {
    addsSecondClass
      ? classLabels.output(score > 0 ? 1 : 0) : classLabels.output(isPositive: score > 0)
  }

  static let entries = [
    OperatorEntry("LinearClassifier", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      let attributes = node.attributes
      try attributes.only(
        "classlabels_ints", "classlabels_strings", "coefficients", "intercepts", "multi_class",
        "post_transform")
      let labels = try ClassLabels(attributes, integers: "classlabels_ints", texts: "classlabels_strings")
      let count = try attributes.floats("intercepts")?.count ?? labels.count
      guard count == labels.count || count == 1 && labels.count == 2 else {
        throw GraphError("\(count) intercepts are not those of \(labels.count) classes")
      }
      return LinearClassifier(
        classLabels: labels, functions: try LinearFunctions(attributes, count: count),
        transform: try PostTransform(attributes))
    },
    OperatorEntry("LinearRegressor", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      let attributes = node.attributes
      try attributes.only("coefficients", "intercepts", "post_transform", "targets")
      return LinearRegressor(
        functions: try LinearFunctions(attributes, count: try attributes.int("targets") ?? 1),
        transform: try PostTransform(attributes))
    },
  ]
}

/// LinearRegressor: linear functions of the features.
struct LinearRegressor: Operator {
  let name = "LinearRegressor"
  let functions: LinearFunctions
  var parameterCount: Int { functions.parameterCount }
  let transform: PostTransform

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try FeatureMatrix(inputs.required(0, "X"))
    try functions.check(input)
    return [try TensorType(.float32, [input.rows, functions.count])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    let view = inputs[required: 0]
    let input = try FeatureMatrix(view.type.shape)
    let results = outputs[0].elements(Float.self)
    let count = functions.count
    var row = [Float](repeating: 0, count: input.columns)
    for index in 0..<input.rows {
      input.read(index, of: view, into: &row)
      let scores = UnsafeMutableBufferPointer(rebasing: results[index * count..<(index + 1) * count])
      functions.apply(row, to: scores)
      transform.apply(scores)
    }
  }
}
