/// TreeEnsembleClassifier: the scores that the leaves of decision trees give classes, as ONNX Runtime sums
/// them and takes those of two classes.
///
/// Features and sums are single precision, and double precision where the features are.
struct TreeEnsembleClassifier: LabelledOperator {
  let name = "TreeEnsembleClassifier"
  package let classLabels: ClassLabels
  let ensemble: TreeEnsemble
  var parameterCount: Int { ensemble.parameterCount }
  private let transform: PostTransform
  /// None, or one for each class; one for two classes is that of the first.
  private let baseValues: [Double]
  private let hasOnlyPositiveWeights: Bool
  /// Whether there are two classes and all weights are those of one.
  private let hasSingleScore: Bool

  init(_ attributes: Attributes) throws(GraphError) {
    classLabels = try ClassLabels(attributes, integers: "classlabels_int64s", texts: "classlabels_strings")
    transform = try PostTransform(attributes)
    ensemble = try TreeEnsemble(attributes, kind: "class", targets: classLabels.count)
    baseValues = try TreeEnsemble.numbers("base_values", attributes)
    guard [0, classLabels.count].contains(baseValues.count) || baseValues.count == 1 && classLabels.count == 2
    else {
      throw GraphError("\(baseValues.count) base_values are not those of \(classLabels.count) classes")
    }
    let weights = try TreeEnsemble.numbers("class_weights", attributes)
    hasOnlyPositiveWeights = weights.allSatisfy { !($0 < 0) }
    let scored = Set(try attributes.ints("class_ids") ?? [])
    hasSingleScore = classLabels.count == 2 && scored.count == 1
  }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try FeatureMatrix(inputs.required(0, "X"))
    guard input.columns >= ensemble.features else {
      throw GraphError("X has \(input.columns) features, and the trees ask for \(ensemble.features)")
    }
    return [
      try TensorType(.int64, [input.rows]), try TensorType(.float32, [input.rows, classLabels.count]),
    ]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    if inputs[required: 0].type.element == .float64 {
      try classify(inputs[required: 0], outputs, Double.self)
    } else {
      try classify(inputs[required: 0], outputs, Float.self)
    }
  }

  private func classify<Number: BinaryFloatingPoint>(
    _ view: TensorView, _ outputs: [MutableTensorView], _: Number.Type
  ) throws(GraphError) {
    let input = try FeatureMatrix(view.type.shape)
    let labels = outputs[0].pointer(Int64.self)
    let results = outputs[1].pointer(Float.self)
    var reader = FeatureRow(columns: input.columns, isNarrow: Number.self == Float.self)
    TreeScores<Number>.with(count: classLabels.count) { scores in
      for index in 0..<input.rows {
        reader.read(index, of: view, input)
        scores.sum(reader.numbers, ensemble)
        labels[index] = finish(scores)
        for place in 0..<classLabels.count {
          results[index * classLabels.count + place] = Float(scores.values[place])
        }
      }
    }
  }

  /// Adds base values, transforms the scores and gives the label.
  func finish<Number: BinaryFloatingPoint>(_ scores: TreeScores<Number>) -> Int64 {
    guard classLabels.count <= 2 else {
      for (index, value) in baseValues.enumerated() { scores.values[index] += Number(value) }
      let best = scores.best(ofAll: !baseValues.isEmpty)
      transform.apply(scores.values)
      return classLabels.output(best)
    }
    return classLabels.count == 2 ? finishTwo(scores) : finishOne(scores)
  }

  private func finishOne<Number: BinaryFloatingPoint>(_ scores: TreeScores<Number>) -> Int64 {
    scores.values[0] += Number(baseValues.first ?? 0)
    let isPositive = scores.values[0] > 0
    transform.apply(scores.values)
    return classLabels.output(isPositive: isPositive)
  }

  private func finishTwo<Number: BinaryFloatingPoint>(_ scores: TreeScores<Number>) -> Int64 {
    let values = scores.values
    let hasSecond = scores.isThere(1)
    if baseValues.count == 1 { values[0] += Number(baseValues[0]) }
    if baseValues.count == 2 {
      if hasSecond {
        // ONNX Runtime takes the first class's sum, and leaves out the second's and the first base value.
        values[1] = Number(baseValues[1]) + values[0]
        values[0] = -values[1]
      } else {
        values[0] += Number(baseValues[0])
        values[1] += Number(baseValues[1])
      }
    }
    let decisive = hasSecond ? values[1] : scores.isThere(0) ? values[0] : 0
    let isPositive = hasSingleScore && hasOnlyPositiveWeights ? decisive > 0.5 : decisive > 0
    if hasSecond || baseValues.count == 2 {
      // A sum to which no leaf has added is 0, whatever its base value.
      for index in values.indices where !scores.isThere(index) { values[index] = 0 }
      transform.apply(values)
    } else if hasSingleScore {
      transform.expand(values, hasOnlyPositiveWeights ? .complement : .opposite)
    } else if baseValues.isEmpty {
      transform.expand(values, .opposite)
    }
    // Where both classes have weights the label is 1 or 0, whatever the labels are.
    return hasSingleScore
      ? classLabels.output(isPositive ? 1 : 0) : classLabels.output(isPositive: isPositive)
  }

  static let entries = [
    OperatorEntry("TreeEnsembleClassifier", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try checkAttributes(node)
      return try TreeEnsembleClassifier(node.attributes)
    }
  ]

  private static func checkAttributes(_ node: NodeDescription) throws(GraphError) {
    if node.opset >= 3 {
      try node.attributes.only(
        "base_values", "base_values_as_tensor", "class_ids", "class_nodeids", "class_treeids",
        "class_weights", "class_weights_as_tensor", "classlabels_int64s", "classlabels_strings",
        "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates", "nodes_hitrates_as_tensor",
        "nodes_missing_value_tracks_true", "nodes_modes", "nodes_nodeids", "nodes_treeids",
        "nodes_truenodeids", "nodes_values", "nodes_values_as_tensor", "post_transform")
    } else {
      try node.attributes.only(
        "base_values", "class_ids", "class_nodeids", "class_treeids", "class_weights", "classlabels_int64s",
        "classlabels_strings", "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates",
        "nodes_missing_value_tracks_true", "nodes_modes", "nodes_nodeids", "nodes_treeids",
        "nodes_truenodeids", "nodes_values", "post_transform")
    }
  }
}
