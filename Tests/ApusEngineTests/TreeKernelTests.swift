import ApusBase
import Testing

@testable import ApusEngine

/// Trees eight at a time give what their plain form gives, bit by bit.
@Suite struct TreeKernelTests {
  /// Random trees as the attributes of a node.
  private struct Forest {
    var modes: [String] = []
    var treeIDs: [Int] = []
    var nodeIDs: [Int] = []
    var features: [Int] = []
    var values: [Float] = []
    var whenTrue: [Int] = []
    var whenFalse: [Int] = []
    var missing: [Int] = []
    var leaves: [(tree: Int, node: Int, target: Int, weight: Float)] = []

    /// What its nodes ask, and what its leaves give.
    enum Leaves { case one, onePerTree, several }

    init(
      trees: Int, depth: Int, features count: Int, targets: Int, modes: [String], leaves kind: Leaves,
      endingAt ending: Double = 0.1, _ random: inout SplitMix
    ) {
      for tree in 0..<trees {
        let first = nodeIDs.count
        var open = [0]
        var depths = [0]
        add(tree, 0)
        while let node = open.popLast(), let level = depths.popLast() {
          let index = first + node
          if level == depth || level > 0 && random.unit() < ending {
            self.modes[index] = "LEAF"
            addLeaf(tree, node, targets, kind, &random)
          } else {
            self.modes[index] = modes[random.integer(modes.count)]
            self.features[index] = random.integer(count)
            values[index] = random.number()
            missing[index] = random.integer(2)
            let child = nodeIDs.count - first
            (whenTrue[index], whenFalse[index]) = (child, child + 1)
            add(tree, child)
            add(tree, child + 1)
            open += [child, child + 1]
            depths += [level + 1, level + 1]
          }
        }
      }
    }

    private mutating func add(_ tree: Int, _ node: Int) {
      modes.append("LEAF")
      treeIDs.append(tree)
      nodeIDs.append(node)
      features.append(0)
      values.append(0)
      whenTrue.append(0)
      whenFalse.append(0)
      missing.append(0)
    }

    private mutating func addLeaf(
      _ tree: Int, _ node: Int, _ targets: Int, _ kind: Leaves, _ random: inout SplitMix
    ) {
      switch kind {
      case .one: leaves.append((tree, node, random.integer(targets), random.number()))
      case .onePerTree: leaves.append((tree, node, tree % targets, random.number()))
      case .several:
        for target in 0..<targets { leaves.append((tree, node, target, random.number())) }
      }
    }

    func attributes(_ kind: String) -> [String: Attributes.Attribute] {
      [
        "nodes_modes": .strings(modes), "nodes_treeids": .ints(treeIDs), "nodes_nodeids": .ints(nodeIDs),
        "nodes_featureids": .ints(features), "nodes_values": .floats(values),
        "nodes_truenodeids": .ints(whenTrue), "nodes_falsenodeids": .ints(whenFalse),
        "nodes_missing_value_tracks_true": .ints(missing), "\(kind)_treeids": .ints(leaves.map(\.tree)),
        "\(kind)_nodeids": .ints(leaves.map(\.node)), "\(kind)_ids": .ints(leaves.map(\.target)),
        "\(kind)_weights": .floats(leaves.map(\.weight)),
      ]
    }

    /// Few different numbers, so that features are often equal to thresholds, and the hardest ones.
    static func rows(_ count: Int, _ features: Int, _ random: inout SplitMix) -> [Float] {
      (0..<count * features).map { _ in random.number() }
    }
  }

  private func graph(
    _ forest: Forest, features: Int, targets: Int, isRegressor: Bool = false,
    _ more: [String: Attributes.Attribute] = [:]
  ) throws -> Graph {
    var builder = GraphBuilder()
    builder.opset = 3
    builder.input("x", [nil, features])
    var attributes = forest.attributes(isRegressor ? "target" : "class").merging(more) { $1 }
    if isRegressor {
      attributes["n_targets"] = .int(targets)
      try builder.node("TreeEnsembleRegressor", ["x"], ["y"], attributes, domain: "ai.onnx.ml")
    } else {
      attributes["classlabels_int64s"] = .ints(Array(0..<targets))
      try builder.node("TreeEnsembleClassifier", ["x"], ["label", "y"], attributes, domain: "ai.onnx.ml")
    }
    return try builder.graph("y")
  }

  private func check(_ graph: Graph, _ input: [Float], rows: Int, _ label: String) throws {
    let plain = try run(Program(graph, isPlain: true), input, rows: rows, by: rows)
    let program = try Program(graph)
    #expect(program.descriptions[0].contains("eight at a time"), "\(program.descriptions)")
    for count in [1, 3, rows] {
      let found = try run(program, input, rows: rows, by: min(count, program.blockRows))
      #expect(
        zip(found, plain).allSatisfy { $0.bitPattern == $1.bitPattern || $0.isNaN && $1.isNaN }, "\(label)")
    }
  }

  private static let comparisons = [
    "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ",
  ]

  @Test(arguments: [1, 7, 8, 9, 30]) func allComparisonsAreAsInThePlainForm(trees: Int) throws {
    var random = SplitMix(state: UInt64(trees))
    for modes in Self.comparisons.map({ [$0] }) + [Self.comparisons] {
      for (targets, leaves) in [
        (1, Forest.Leaves.one), (2, .onePerTree), (2, .one), (3, .several), (4, .onePerTree),
      ] {
        let forest = Forest(
          trees: trees, depth: 6, features: 5, targets: targets, modes: modes, leaves: leaves, &random)
        let input = Forest.rows(11, 5, &random)
        try check(graph(forest, features: 5, targets: targets), input, rows: 11, "\(modes) \(targets)")
      }
    }
  }

  @Test func transformsAndBaseValuesAreAsInThePlainForm() throws {
    var random = SplitMix(state: 99)
    for transform in ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"] {
      for targets in [2, 3] {
        for kind in [Forest.Leaves.one, .several] {
          let forest = Forest(
            trees: 10, depth: 4, features: 3, targets: targets, modes: ["BRANCH_LEQ"], leaves: kind, &random)
          let more: [String: Attributes.Attribute] = [
            "post_transform": .string(transform),
            "base_values": .floats(random.integer(2) == 0 ? [] : (0..<targets).map { _ in random.number() }),
          ]
          let input = Forest.rows(9, 3, &random)
          try check(graph(forest, features: 3, targets: targets, more), input, rows: 9, transform)
        }
      }
    }
  }

  @Test func regressorsAreAsInThePlainForm() throws {
    var random = SplitMix(state: 5)
    for aggregate in ["SUM", "AVERAGE"] {
      for targets in [1, 3] {
        let forest = Forest(
          trees: 21, depth: 5, features: 4, targets: targets, modes: Self.comparisons, leaves: .one, &random)
        let graph = try graph(
          forest, features: 4, targets: targets, isRegressor: true,
          [
            "aggregate_function": .string(aggregate),
            "base_values": .floats([Float](repeating: 2, count: targets)),
          ])
        try check(graph, Forest.rows(10, 4, &random), rows: 10, aggregate)
      }
    }
  }

  @Test func regressorsAggregate() throws {
    var forest: [String: Attributes.Attribute] = [
      "nodes_modes": .strings(["LEAF", "LEAF", "LEAF"]), "nodes_treeids": .ints([0, 1, 2]),
      "nodes_nodeids": .ints([0, 0, 0]), "nodes_featureids": .ints([0, 0, 0]),
      "nodes_values": .floats([0, 0, 0]),
      "nodes_truenodeids": .ints([0, 0, 0]), "nodes_falsenodeids": .ints([0, 0, 0]),
      "target_treeids": .ints([0, 1, 2]), "target_nodeids": .ints([0, 0, 0]), "target_ids": .ints([0, 0, 0]),
      "target_weights": .floats([3, -6, 9]), "base_values": .floats([1]),
    ]
    for (aggregate, expected) in [("SUM", 7), ("AVERAGE", 3), ("MIN", -5), ("MAX", 10)] as [(String, Double)]
    {
      forest["aggregate_function"] = .string(aggregate)
      let probe = OperatorProbe(
        name: "TreeEnsembleRegressor", domain: "ai.onnx.ml", opset: 3, outputs: 1, attributes: forest)
      #expect(numbers(try probe.run([Tensor([0] as [Float], [1, 1])])[0]) == [expected])
    }
    func refusal(_ name: String, _ value: Attributes.Attribute) -> String? {
      OperatorProbe(
        name: "TreeEnsembleRegressor", domain: "ai.onnx.ml", opset: 3, outputs: 1,
        attributes: forest.merging([name: value]) { $1 }
      ).refusal()
    }
    #expect(
      refusal("aggregate_function", .string("MEDIAN")) == "the aggregate_function 'MEDIAN' is not known")
    #expect(refusal("n_targets", .int(0)) == "n_targets is 0")
    #expect(refusal("n_targets", .int(.max)) == "n_targets is \(Int.max)")
    #expect(refusal("target_ids", .ints([0, 0, 1])) == "a weight is that of target 1 of 1")
    #expect(refusal("base_values", .floats([1, 2])) == "2 base_values are not those of 1 targets")
  }

  /// A tree of more nodes than 16 bits count.
  @Test func largeTreesHaveWideNodes() throws {
    var random = SplitMix(state: 3)
    let forest = Forest(
      trees: 2, depth: 15, features: 6, targets: 2, modes: ["BRANCH_LEQ"], leaves: .onePerTree, endingAt: 0,
      &random)
    try check(graph(forest, features: 6, targets: 2), Forest.rows(20, 6, &random), rows: 20, "wide")
  }
}

/// The same numbers for the same seed on every machine.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func integer(_ count: Int) -> Int { Int(next() % UInt64(count)) }
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Small halves, and now and then what is hardest to compare.
  mutating func number() -> Float {
    let hard: [Float] = [
      .nan, .infinity, -.infinity, -0.0, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
      .greatestFiniteMagnitude,
    ]
    let index = integer(40)
    return index < hard.count ? hard[index] : Float(integer(13) - 6) / 2
  }
}

/// What a program gives for rows of these numbers, in runs of so many rows.
func run(_ program: Program, _ input: [Float], rows: Int, by count: Int) throws -> [Float] {
  var output = [Float](repeating: .nan, count: rows * program.outputs)
  let arena = AlignedBuffer(byteCount: program.arenaBytes)
  try input.withUnsafeBufferPointer { input in
    try output.withUnsafeMutableBufferPointer { output in
      for first in stride(from: 0, to: rows, by: count) {
        try program.run(
          rows: min(count, rows - first),
          input: UnsafeRawPointer(input.baseAddress! + first * program.inputs),
          output: output.baseAddress! + first * program.outputs, arena: arena.baseAddress)
      }
    }
  }
  return output
}
