import ApusEngine
import Foundation
import Testing

/// Every way a plan may be made: rounding is all it may change.
private let plannings: [Planning] = Kernel.allCases.map { .fixed($0) } + [.measured]

@Suite struct PlanTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    let widths: [Int]
    let activations: [Activation]
    let head: OutputActivation
    let rows: [Int]
    var testDescription: String { "\(widths) \(activations) \(head)" }
  }

  static let shapes = [
    Shape(widths: [100, 2], activations: [.none], head: .softmax, rows: [1, 2, 3, 127, 128, 129, 300]),
    Shape(
      widths: [64, 128, 64, 10], activations: [.relu, .relu, .none], head: .softmax, rows: [1, 9, 65, 200]),
    Shape(widths: [1, 1], activations: [.tanh], head: .sigmoid, rows: [1, 7, 130]),
    Shape(widths: [1, 200, 1], activations: [.gelu, .none], head: .sigmoid, rows: [1, 33]),
    Shape(widths: [200, 1, 200], activations: [.sigmoid, .none], head: .softmax, rows: [1, 5, 16]),
    Shape(widths: [17, 31, 3], activations: [.tanh, .gelu], head: .none, rows: [1, 2, 31, 129]),
    Shape(widths: [3, 199, 197, 5], activations: [.gelu, .tanh, .none], head: .sigmoid, rows: [1, 4, 66]),
    Shape(
      widths: [33, 16, 16, 16, 7], activations: [.relu, .sigmoid, .tanh, .relu], head: .none, rows: [1, 70]),
    Shape(widths: [150, 150], activations: [.relu], head: .softmax, rows: [1, 8, 300]),
  ]

  @Test(arguments: shapes) func agreesWithDoublePrecision(_ shape: Shape) throws {
    var generator = SeededGenerator(seed: UInt64(shape.widths.reduce(7) { $0 * 31 + $1 }))
    try compareAllPlans(of: shape, &generator)
  }

  @Test(arguments: 0..<16) func randomNetworksAgreeWithDoublePrecision(_ seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let depth = Int.random(in: 1...4, using: &generator)
    let shape = Shape(
      widths: (0...depth).map { _ in Int.random(in: 1...200, using: &generator) },
      activations: (0..<depth).map { _ in Activation.allCases.randomElement(using: &generator)! },
      head: [.softmax, .sigmoid, .none].randomElement(using: &generator)!,
      rows: [1, Int.random(in: 2...128, using: &generator), Int.random(in: 129...300, using: &generator)])
    try compareAllPlans(of: shape, &generator)
  }

  /// The first layer has no bias.
  private func compareAllPlans(of shape: Shape, _ generator: inout SeededGenerator) throws {
    let network = try generator.network(
      widths: shape.widths, activations: shape.activations, head: shape.head, withoutBias: 0)
    let plans = try plannings.map { try Plan(network, planning: $0) }
    for (index, rows) in shape.rows.enumerated() {
      let input = generator.floats(rows * network.inputs, within: 2)
      let logits = Reference.logits(network, input, rows: rows)
      let probabilities = Reference.probabilities(shape.head, logits, columns: network.outputs)
      let (inputGap, outputGap) = [(0, 0), (5, 3), (64, 17)][index % 3]
      for (plan, planning) in zip(plans, plannings) {
        let caller = Caller(plan: plan, inputGap: inputGap, outputGap: outputGap)
        let found = caller.compute(input, rows: rows)
        #expect(worstError(found.logits, logits) < 4e-6, "\(planning), \(rows) rows")
        #expect(worstError(found.probabilities, probabilities) < 2e-6, "\(planning), \(rows) rows")
      }
    }
  }

  @Test func wideLayersAreTakenInSmallerBlocks() throws {
    var generator = SeededGenerator(seed: 5)
    let wide = 30_000
    let network = try generator.network(widths: [3, wide, 2], activations: [.relu, .none], head: .softmax)
    let plan = try Plan(network, planning: .fixed(.sgemm))
    #expect(plan.blockRows < 128 && plan.workspaceBytes <= 4 << 20)
    let input = generator.floats(20 * 3, within: 1)
    let found = Caller(plan: plan).compute(input, rows: 20)
    #expect(worstError(found.logits, Reference.logits(network, input, rows: 20)) < 2e-5)
  }

  @Test func oneLayerNeedsNoWorkspace() throws {
    var generator = SeededGenerator(seed: 6)
    let network = try generator.network(widths: [100, 2], activations: [.none], head: .softmax)
    #expect(try Plan(network).workspaceBytes == 0)
  }

  @Test(arguments: plannings) func noRowsTouchNothing(_ planning: Planning) throws {
    var generator = SeededGenerator(seed: 8)
    let network = try generator.network(widths: [4, 8, 2], activations: [.relu, .none], head: .softmax)
    let found = Caller(plan: try Plan(network, planning: planning)).compute([], rows: 0)
    #expect(found.logits.isEmpty && found.probabilities.isEmpty)
  }

  /// Without inputs a layer gives its bias; without outputs there is nothing to write.
  @Test(arguments: plannings) func emptyLayersAreHarmless(_ planning: Planning) throws {
    var generator = SeededGenerator(seed: 9)
    let constant = try generator.network(widths: [0, 3], activations: [.none], head: .none)
    let found = Caller(plan: try Plan(constant, planning: planning), outputGap: 1).compute([], rows: 5)
    let bias = try #require(constant.layers[0].bias)
    #expect(found.logits == (0..<5).flatMap { _ in bias.view.elements(Float.self) })
    let mute = try generator.network(widths: [3, 0], activations: [.tanh], head: .softmax)
    let nothing = Caller(plan: try Plan(mute, planning: planning), outputGap: 2).compute([1, 2, 3], rows: 1)
    #expect(nothing.probabilities.isEmpty)
  }

  @Test func probabilitiesMayReplaceTheirLogits() throws {
    var generator = SeededGenerator(seed: 10)
    for head in [OutputActivation.softmax, .sigmoid, .none] {
      let network = try generator.network(widths: [6, 5], activations: [.none], head: head)
      let plan = try Plan(network)
      let (logits, expected) = Caller(plan: plan).compute(generator.floats(18, within: 3), rows: 3)
      var values = logits
      values.withUnsafeMutableBufferPointer {
        plan.probabilities(
          logits: UnsafePointer($0.baseAddress!), logitsStride: 5, rows: 3, output: $0.baseAddress!,
          outputStride: 5)
      }
      #expect(values == expected)
    }
  }

  @Test func threadsShareAPlan() async throws {
    var generator = SeededGenerator(seed: 11)
    let network = try generator.network(widths: [64, 128, 10], activations: [.relu, .none], head: .softmax)
    let plan = try Plan(network, planning: .fixed(.sgemmTransposed))
    let input = generator.floats(64 * 40, within: 1)
    let expected = Caller(plan: plan).compute(input, rows: 40).probabilities
    await withTaskGroup(of: [Float].self) { group in
      for _ in 0..<16 { group.addTask { Caller(plan: plan).compute(input, rows: 40).probabilities } }
      for await found in group { #expect(found == expected) }
    }
  }

  @Test func aMeasuredPlanTellsItsChoicesAndCost() throws {
    var generator = SeededGenerator(seed: 12)
    let network = try generator.network(
      widths: [64, 128, 64, 10], activations: [.relu, .relu, .none], head: .softmax)
    let plan = try Plan(network)
    #expect(plan.choices.count == 3 && plan.choices[0].hasPrefix("0: Linear 64 -> 128 relu, "))
    #expect(plan.nanosecondsPerRow.single > 0 && plan.nanosecondsPerRow.single.isFinite)
    #expect(plan.nanosecondsPerRow.inBlock > 0 && plan.nanosecondsPerRow.inBlock.isFinite)
    #expect(!blasCoreName.isEmpty && blasConfiguration.contains("OpenBLAS"))
  }
}

@Suite struct KernelChoiceTests {
  private func costs(_ values: [Kernel: [Double]]) -> KernelCosts {
    var costs = KernelCosts()
    for (kernel, buckets) in values {
      for (bucket, cost) in buckets.enumerated() { costs[kernel, bucket] = cost }
    }
    return costs
  }

  /// The figures of a 1024 × 1024 layer, in microseconds.
  private let table: [Kernel: [Double]] = [
    .sgemv: [50, 101, 203, 412, 824, 1642, 3300, 6742],
    .sgemvTransposed: [51, 101, 204, 414, 828, 1650, 3310, 6750],
    .sgemmTransposed: [225, 230, 246, 328, 480, 791, 1400, 2702],
    .sgemm: [683, 690, 704, 786, 930, 1246, 1850, 3118],
  ]

  @Test func takesTheQuickestForEachBatchSize() {
    let choice = costs(table).choice(among: Kernel.allCases)
    #expect(
      choice == Array(repeating: .sgemvTransposed, count: 3) + Array(repeating: .sgemmTransposed, count: 5))
  }

  @Test func keepsBothLayoutsOnlyWhereTheyWinClearly() {
    var slower = table
    slower[.sgemvTransposed] = table[.sgemvTransposed]!.map { $0 * 2 }
    let choice = costs(slower).choice(among: Kernel.allCases)
    #expect(choice == Array(repeating: .sgemv, count: 3) + Array(repeating: .sgemmTransposed, count: 5))
  }

  @Test func ignoresNoise() {
    let noisy = costs([
      .sgemv: [10, 21, 39, 82, 158, 322, 640, 1300], .sgemm: [10.5, 20, 41, 79, 165, 310, 650, 1250],
    ])
    #expect(noisy.choice(among: Kernel.allCases) == Array(repeating: .sgemv, count: 8))
  }
}

@Suite struct NetworkTests {
  @Test func refusesLayersThatDoNotFit() throws {
    #expect(throws: NetworkError.empty) { try Network(layers: [], output: .none) }
    func layer(
      _ name: String, _ inputs: Int, _ outputs: Int, weights: Int, bias: Int
    ) throws -> Network.Layer {
      try Network.Layer(
        name: name, inputs: inputs, outputs: outputs, weights: Array(repeating: 0, count: weights),
        bias: Array(repeating: 0, count: bias), activation: .none)
    }
    #expect(throws: NetworkError.weightCount(layer: "a", expected: 6, found: 5)) {
      try Network(layers: [layer("a", 3, 2, weights: 5, bias: 2)], output: .none)
    }
    #expect(throws: NetworkError.biasCount(layer: "a", expected: 2, found: 3)) {
      try Network(layers: [layer("a", 3, 2, weights: 6, bias: 3)], output: .none)
    }
    #expect(throws: NetworkError.mismatch(layer: "a", outputs: 2, next: "b", inputs: 3)) {
      try Network(
        layers: [layer("a", 3, 2, weights: 6, bias: 2), layer("b", 3, 1, weights: 3, bias: 0)], output: .none)
    }
  }
}
