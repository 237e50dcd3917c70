/// TreeEnsembleRegressor: what the leaves of decision trees give targets, aggregated as ONNX Runtime does.
///
/// Features and aggregates are single precision, and double precision where the features are.
struct TreeEnsembleRegressor: Operator {
  enum Aggregate: String {
    case sum = "SUM"
    case average = "AVERAGE"
    case least = "MIN"
    case greatest = "MAX"
  }

  let name = "TreeEnsembleRegressor"
  let targets: Int
  let aggregate: Aggregate
  let ensemble: TreeEnsemble
  var parameterCount: Int { ensemble.parameterCount }
  private let transform: PostTransform
  /// One for each target, or none.
  private let baseValues: [Double]

  /// Most targets: each takes memory for every row.
  private static let maximumTargets = 1 << 20

  init(_ attributes: Attributes) throws(GraphError) {
    targets = try attributes.int("n_targets") ?? 1
    guard 1...Self.maximumTargets ~= targets else { throw GraphError("n_targets is \(targets)") }
    let name = try attributes.string("aggregate_function") ?? "SUM"
    guard let aggregate = Aggregate(rawValue: name) else {
      throw GraphError("the aggregate_function '\(name)' is not known")
    }
    self.aggregate = aggregate
    transform = try PostTransform(attributes)
    ensemble = try TreeEnsemble(attributes, kind: "target", targets: targets)
    baseValues = try TreeEnsemble.numbers("base_values", attributes)
    guard [0, targets].contains(baseValues.count) else {
      throw GraphError("\(baseValues.count) base_values are not those of \(targets) targets")
    }
  }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try FeatureMatrix(inputs.required(0, "X"))
    guard input.columns >= ensemble.features else {
      throw GraphError("X has \(input.columns) features, and the trees ask for \(ensemble.features)")
    }
    return [try TensorType(.float32, [input.rows, targets])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    if inputs[required: 0].type.element == .float64 {
      try aggregate(inputs[required: 0], outputs[0], Double.self)
    } else {
      try aggregate(inputs[required: 0], outputs[0], Float.self)
    }
  }

  private func aggregate<Number: BinaryFloatingPoint>(
    _ view: TensorView, _ output: MutableTensorView, _: Number.Type
  ) throws(GraphError) {
    let input = try FeatureMatrix(view.type.shape)
    let results = output.pointer(Float.self)
    var reader = FeatureRow(columns: input.columns, isNarrow: Number.self == Float.self)
    TreeScores<Number>.with(count: targets) { scores in
      for index in 0..<input.rows {
        reader.read(index, of: view, input)
        switch aggregate {
        case .sum, .average: scores.sum(reader.numbers, ensemble)
        case .least: scores.combine(reader.numbers, ensemble) { $1 < $0 ? $1 : $0 }
        case .greatest: scores.combine(reader.numbers, ensemble) { $1 > $0 ? $1 : $0 }
        }
        finish(scores)
        for place in 0..<targets { results[index * targets + place] = Float(scores.values[place]) }
      }
    }
  }

  /// Makes means of sums if they are asked for, adds base values and transforms the numbers. Where nothing
  /// was there to choose from, ONNX Runtime leaves 0.
  func finish<Number: BinaryFloatingPoint>(_ scores: TreeScores<Number>) {
    let values = scores.values
    let isSum = aggregate == .sum || aggregate == .average
    if aggregate == .average {
      for index in values.indices { values[index] /= Number(ensemble.trees) }
    }
    for (index, value) in baseValues.enumerated() where isSum || scores.isThere(index) {
      values[index] += Number(value)
    }
    transform.apply(values)
  }

  static let entries = [
    OperatorEntry("TreeEnsembleRegressor", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try checkAttributes(node)
      return try TreeEnsembleRegressor(node.attributes)
    }
  ]

  private static func checkAttributes(_ node: NodeDescription) throws(GraphError) {
    if node.opset >= 3 {
      try node.attributes.only(
        "aggregate_function", "base_values", "base_values_as_tensor", "n_targets", "nodes_falsenodeids",
        "nodes_featureids", "nodes_hitrates", "nodes_hitrates_as_tensor", "nodes_missing_value_tracks_true",
        "nodes_modes", "nodes_nodeids", "nodes_treeids", "nodes_truenodeids", "nodes_values",
        "nodes_values_as_tensor", "post_transform", "target_ids", "target_nodeids", "target_treeids",
        "target_weights", "target_weights_as_tensor")
    } else {
      try node.attributes.only(
        "aggregate_function", "base_values", "n_targets", "nodes_falsenodeids", "nodes_featureids",
        "nodes_hitrates", "nodes_missing_value_tracks_true", "nodes_modes", "nodes_nodeids", "nodes_treeids",
        "nodes_truenodeids", "nodes_values", "post_transform", "target_ids", "target_nodeids",
        "target_treeids", "target_weights")
    }
  }
}
