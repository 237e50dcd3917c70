/// A node as a file describes it, before it is known what it computes.
package struct NodeDescription: Sendable {
  /// The version of the operator set of the node's domain that the file is written for.
  package let opset: Int
  package let attributes: Attributes
  /// How many inputs and outputs the node lists, those included that are left out in between.
  package let inputs: Int
  package let outputs: Int

  package init(opset: Int, attributes: Attributes, inputs: Int, outputs: Int) {
    self.opset = opset
    self.attributes = attributes
    self.inputs = inputs
    self.outputs = outputs
  }
}

/// An operator that nodes may name.
package struct OperatorEntry: Sendable {
  package let domain: String
  package let name: String
  /// - Throws: `GraphError` for attributes that the operator does not have in this opset, and for values
  ///   that it does not allow.
  package let make: @Sendable (NodeDescription) throws(GraphError) -> any Operator

  package init(
    _ name: String, domain: String = "",
    _ make: @escaping @Sendable (NodeDescription) throws(GraphError) -> any Operator
  ) {
    self.domain = domain
    self.name = name
    self.make = make
  }
}

/// All operators that are computed here.
package struct OperatorTable: Sendable {
  package static let standard = OperatorTable([
    Identity.entries,
    // Element by element.
    Arithmetic.entries, Power.entries, Comparison.entries, Variadic.entries, Elementwise.entries,
    ParametricActivation.entries, Gelu.entries, PRelu.entries, Clip.entries, Predicate.entries,
    Selection.entries, Casting.entries, Dropout.entries,
    // Along axes.
    Reduction.entries, ArgReduction.entries, TopK.entries, SoftmaxOperator.entries,
    // The same elements elsewhere.
    Reshaping.entries, Rearrangement.entries, Concatenation.entries, Splitting.entries, Slicing.entries,
    Gathering.entries, ElementGathering.entries, SliceGathering.entries, Padding.entries,
    OneHotExpansion.entries,
    // Shapes.
    ShapeOf.entries, ConstantOfShape.entries, NumberRange.entries,
    // Products, windows and norms.
    MatMul.entries, Gemm.entries, Conv.entries,
    MaxPool.entries, AveragePool.entries, GlobalPool.entries,
    BatchNormalization.entries, LayerNormalization.entries, GroupNormalization.entries,
    LocalResponseNormalization.entries,
    QuantizeLinear.entries, MatMulInteger.entries, ConvInteger.entries,
    // Trained classifiers.
    LinearClassifier.entries, SVMClassifier.entries, SVMRegressor.entries, TreeEnsembleClassifier.entries,
    TreeEnsembleRegressor.entries,
    Scaler.entries, Imputer.entries, LabelEncoder.entries, ZipMap.entries,
  ])

  private let entries: [String: OperatorEntry]

  init(_ families: [[OperatorEntry]]) {
    var entries: [String: OperatorEntry] = [:]
    for entry in families.joined() { entries[Self.key(entry.domain, entry.name)] = entry }
    self.entries = entries
  }

  /// - Throws: `GraphError` with the list of what there is, for a name that is not there.
  package func make(
    _ name: String, domain: String, _ node: NodeDescription
  ) throws(GraphError) -> any Operator {
    guard let entry = entries[Self.key(domain, name)] else {
      throw GraphError(
        "the operator \(Self.key(domain, name)) is not computed here; these are: "
          + names.joined(separator: ", "))
    }
    return try entry.make(node)
  }

  /// For documentation and messages; those of other domains than ONNX's own with their domain.
  package var names: [String] { entries.keys.sorted() }

  private static func key(_ domain: String, _ name: String) -> String {
    domain.isEmpty || domain == "ai.onnx" ? name : "\(domain).\(name)"
  }
}
