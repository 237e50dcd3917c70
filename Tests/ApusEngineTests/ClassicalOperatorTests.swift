import ApusEngine
import Testing

/// Classifiers of ai.onnx.ml and the operators around them, beyond what their cases hold.
@Suite struct ClassicalOperatorTests {
  private typealias Values = [String: Attributes.Attribute]

  /// A root that asks for feature 0, and two leaves with weights of the classes 0 and 1.
  private static let stump: Values = [
    "nodes_treeids": .ints([0, 0, 0]), "nodes_nodeids": .ints([0, 1, 2]),
    "nodes_modes": .strings(["BRANCH_LEQ", "LEAF", "LEAF"]), "nodes_featureids": .ints([0, 0, 0]),
    "nodes_values": .floats([0.5, 0, 0]), "nodes_truenodeids": .ints([1, 0, 0]),
    "nodes_falsenodeids": .ints([2, 0, 0]), "class_treeids": .ints([0, 0]), "class_nodeids": .ints([1, 2]),
    "class_ids": .ints([0, 2]), "class_weights": .floats([1, 2]),
    "classlabels_strings": .strings(["low", "middle", "high"]),
  ]

  private func stump(_ changes: Values = [:]) -> OperatorProbe {
    OperatorProbe(
      name: "TreeEnsembleClassifier", domain: "ai.onnx.ml", opset: 3, outputs: 2,
      attributes: Self.stump.merging(changes) { $1 })
  }

  @Test func aStumpGivesLabelsByIndexAndKeepsTheTexts() throws {
    let outputs = try stump().run([Tensor([0.5, 0.75, .nan] as [Float], [3, 1])])
    #expect(numbers(outputs[0]) == [0, 2, 2])
    #expect(numbers(outputs[1]) == [1, 0, 0, 0, 0, 2, 0, 0, 2])
    let operation = try #require(try stump().operation(inputs: 1) as? any LabelledOperator)
    #expect(operation.classLabels == .texts(["low", "middle", "high"]))
  }

  @Test func whatIsMissingTakesTheBranchThatIsSaid() throws {
    let probe = stump(["nodes_missing_value_tracks_true": .ints([1, 0, 0])])
    #expect(numbers(try probe.run([Tensor([Float.nan], [1, 1])])[0]) == [0])
  }

  @Test func hostileTreesAreRefused() {
    func refusal(_ name: String, _ value: Attributes.Attribute) -> String? { stump([name: value]).refusal() }
    #expect(
      refusal("nodes_truenodeids", .ints([7, 0, 0]))
        == "a branch leads to the node 7 of tree 0, which is not there")
    #expect(refusal("nodes_truenodeids", .ints([.min, 0, 0]))?.contains("which is not there") == true)
    let parents = "two branches lead to the node"
    #expect(refusal("nodes_truenodeids", .ints([0, 0, 0]))?.hasPrefix(parents) == true)
    #expect(refusal("nodes_truenodeids", .ints([2, 0, 0]))?.hasPrefix(parents) == true)
    #expect(refusal("nodes_nodeids", .ints([0, 1, 1])) == "the node 1 of tree 0 is there twice")
    #expect(refusal("nodes_treeids", .ints([0, 1, 0])) == "the nodes of tree 0 are not together")
    #expect(refusal("nodes_featureids", .ints([-1, 0, 0])) == "a node asks for the feature -1")
    #expect(refusal("nodes_featureids", .ints([.max, 0, 0]))?.contains("asks for the feature") == true)
    #expect(refusal("class_ids", .ints([0, 3])) == "a weight is that of class 3 of 3")
    #expect(refusal("class_ids", .ints([-1, 0])) == "a weight is that of class -1 of 3")
    #expect(refusal("class_nodeids", .ints([1, 9]))?.contains("node 9 of tree 0") == true)
    #expect(refusal("class_nodeids", .ints([1, 1])) == "a leaf has no weight")
    #expect(refusal("class_weights", .floats([1]))?.contains("are not as many") == true)
    #expect(refusal("nodes_values", .floats([1]))?.contains("are not those of 3 nodes") == true)
    #expect(
      refusal("nodes_modes", .strings(["BRANCH", "LEAF", "LEAF"]))
        == "the mode 'BRANCH' of a tree's node is not known")
    #expect(refusal("base_values", .floats([1])) == "1 base_values are not those of 3 classes")
    #expect(refusal("post_transform", .string("EXP")) == "the post_transform 'EXP' is not known")
    #expect(refusal("nodes_treeids", .ints([]))?.contains("are missing") == true)
    #expect(
      OperatorProbe(
        name: "TreeEnsembleClassifier", domain: "ai.onnx.ml", opset: 1,
        attributes: ["nodes_values_as_tensor": .ints([])]
      ).refusal() == "the attribute 'nodes_values_as_tensor' is not known here")
  }

  @Test func aFeatureThatIsNotThereIsRefused() {
    let probe = stump(["nodes_featureids": .ints([4, 0, 0])])
    #expect(
      probe.refusal(types: [(.float32, [2, 4])]) == "X has 4 features, and the trees ask for 5")
    #expect(probe.refusal(types: [(.float32, [2, 5])]) == nil)
    #expect(
      probe.refusal(types: [(.float32, [2, 5, 1])]) == "features are of shape [N, F] or [F], not [2, 5, 1]")
    #expect(probe.refusal(types: [(.bool, [2, 5])])?.hasPrefix("X is bool") == true)
  }

  /// A tree that is a chain of branches, each with a leaf for true.
  private func chain(_ depth: Int) -> OperatorProbe {
    let count = 2 * depth + 1
    let branches = (0..<count).map { $0 % 2 == 0 && $0 < count - 1 }
    let leaves = (0..<count).filter { !branches[$0] }
    return stump([
      "nodes_treeids": .ints(Array(repeating: 0, count: count)), "nodes_nodeids": .ints(Array(0..<count)),
      "nodes_modes": .strings(branches.map { $0 ? "BRANCH_LT" : "LEAF" }),
      "nodes_featureids": .ints(Array(repeating: 0, count: count)),
      "nodes_values": .floats(Array(repeating: 0, count: count)),
      "nodes_truenodeids": .ints((0..<count).map { $0 + 1 }),
      "nodes_falsenodeids": .ints((0..<count).map { $0 + 2 }),
      "class_treeids": .ints(leaves.map { _ in 0 }), "class_nodeids": .ints(leaves),
      "class_ids": .ints(leaves.map { $0 == count - 1 ? 1 : 0 }),
      "class_weights": .floats(leaves.map { _ in 1 }),
    ])
  }

  @Test func depthIsBounded() throws {
    #expect(numbers(try chain(9_999).run([Tensor([1] as [Float], [1, 1])])[0]) == [1])
    #expect(chain(10_000).refusal() == "a tree is deeper than 10000 nodes")
  }

  @Test func classifiersRefuseSizesThatDoNotFit() {
    func refusal(_ name: String, _ values: Values) -> String? {
      OperatorProbe(name: name, domain: "ai.onnx.ml", opset: 1, outputs: 2, attributes: values).refusal()
    }
    #expect(
      refusal("LinearClassifier", ["coefficients": .floats([1])])
        == "classlabels_ints or classlabels_strings is missing")
    #expect(
      refusal("LinearClassifier", ["coefficients": .floats([1, 2, 3]), "classlabels_ints": .ints([1, 2])])
        == "3 coefficients and 0 intercepts are not those of 2 scores")
    #expect(
      refusal("LinearRegressor", ["coefficients": .floats([1]), "targets": .int(.min)])?.contains("scores")
        == true)
    var machine: Values = [
      "coefficients": .floats([1, -1]), "support_vectors": .floats([1, 2]),
      "vectors_per_class": .ints([1, 1]), "rho": .floats([0]), "classlabels_ints": .ints([0, 1]),
      "kernel_params": .floats([1, 0, 2]),
    ]
    #expect(refusal("SVMClassifier", machine) == nil)
    for (name, value) in [
      ("coefficients", Attributes.Attribute.floats([1])), ("support_vectors", .floats([1, 2, 3])),
      ("vectors_per_class", .ints([.max, .max])), ("vectors_per_class", .ints([-1, 3])),
      ("vectors_per_class", .ints([1, 1, 1])), ("rho", .floats([])), ("prob_a", .floats([1])),
      ("kernel_params", .floats([1])), ("kernel_type", .string("COSINE")),
    ] {
      let changed = machine.merging([name: value]) { $1 }
      #expect(refusal("SVMClassifier", changed) != nil, "\(name)")
    }
    machine["classlabels_ints"] = .ints([0, 1, 2])
    #expect(refusal("SVMClassifier", machine)?.contains("of 3 classes") == true)
    #expect(
      refusal("SVMRegressor", ["coefficients": .floats([1]), "rho": .floats([0]), "n_supports": .int(2)])
        == "2 support vectors do not have 1 coefficients and 0 numbers")
  }

  @Test func encodersGiveIndicesOfTexts() throws {
    let probe = OperatorProbe(
      name: "LabelEncoder", domain: "ai.onnx.ml", opset: 2,
      attributes: ["keys_int64s": .ints([5, 6]), "values_strings": .strings(["five", "six"])])
    #expect(numbers(try probe.run([Tensor([Int64(6), .min, 5], [3])])[0]) == [1, 2, 0])
    let operation = try #require(try probe.operation(inputs: 1) as? any LabelledOperator)
    #expect(operation.classLabels == .texts(["five", "six", "_Unused"]))
    func refusal(_ values: Values) -> String? {
      OperatorProbe(name: "LabelEncoder", domain: "ai.onnx.ml", opset: 2, attributes: values).refusal()
    }
    #expect(
      refusal(["keys_strings": .strings(["a"]), "values_int64s": .ints([1])])?.contains("are texts") == true)
    #expect(
      refusal(["keys_int64s": .ints([1, 2]), "values_int64s": .ints([1])]) == "there are 2 keys and 1 values")
    #expect(
      refusal(["keys_tensor": .ints([1])]) == "the attribute 'keys_tensor' is not known here")
  }

  @Test func mapsKeepLabelsAndGiveProbabilitiesOn() throws {
    let probe = OperatorProbe(
      name: "ZipMap", domain: "ai.onnx.ml", opset: 1, attributes: ["classlabels_int64s": .ints([3, 8])])
    #expect(numbers(try probe.run([Tensor([0.25, 0.75] as [Float], [1, 2])])[0]) == [0.25, 0.75])
    #expect(
      probe.refusal(types: [(.float32, [1, 3])]) == "X of shape [1, 3] has no number for each of 2 labels")
  }

  @Test func columnsThatAreNotThereAreRefused() {
    let probe = OperatorProbe(name: "ArrayFeatureExtractor", domain: "ai.onnx.ml", opset: 1)
    for index in [3, -1, Int64.min] {
      #expect(
        probe.refusal([try? .zeros([2, 3]), try? Tensor([index], [1])]) == "there is no column \(index) of 3")
    }
  }

  /// Shapes without elements say nothing of how large their dimensions are.
  @Test func featuresOfNoRowsTakeNoMemory() throws {
    let empty = try Tensor.zeros([0, 1 << 40])
    let wide = try Tensor.zeros([1 << 40, 0])
    func run(_ name: String, _ inputs: [Tensor]) throws -> [Int] {
      try OperatorProbe(name: name, domain: "ai.onnx.ml", opset: 1).run(inputs)[0].type.shape
    }
    for name in ["Scaler", "Normalizer"] {
      #expect(try run(name, [empty]) == [0, 1 << 40])
      #expect(try run(name, [wide]) == [1 << 40, 0])
    }
    #expect(throws: GraphError("a tensor of shape [0, \(1 << 41)] has too many elements")) {
      try run("FeatureVectorizer", [empty, empty])
    }
    #expect(try stump().run([empty])[0].type.shape == [0])
  }

  @Test func featuresRefuseWhatDoesNotFit() {
    func refusal(_ name: String, _ values: Values, _ types: [(ElementType, [Int])?]) -> String? {
      OperatorProbe(name: name, domain: "ai.onnx.ml", opset: 1, attributes: values).refusal(types: types)
    }
    #expect(
      refusal("Scaler", ["scale": .floats([1, 2])], [(.float32, [4, 3])])
        == "scale has 2 numbers, and X 3 features")
    #expect(
      refusal("Imputer", ["imputed_value_floats": .floats([1, 2])], [(.float32, [4, 3])])
        == "there are 2 numbers for 3 features")
    #expect(refusal("Imputer", [:], []) == "one of imputed_value_floats and imputed_value_int64s is there")
    #expect(refusal("Normalizer", ["norm": .string("L3")], []) == "the norm 'L3' is not known")
    #expect(
      refusal("FeatureVectorizer", [:], [(.float32, [4, 3]), (.float32, [5, 3])])
        == "the input 1 has 5 rows of 3 features")
    #expect(
      refusal("OneHotEncoder", ["cats_strings": .strings(["a"])], [])?.contains("texts") == true)
    let strict = OperatorProbe(
      name: "OneHotEncoder", domain: "ai.onnx.ml", opset: 1,
      attributes: ["cats_int64s": .ints([1]), "zeros": .int(0)])
    #expect(strict.refusal([try? Tensor([Float.nan], [1])]) == "a number is none of the categories")
  }
}
