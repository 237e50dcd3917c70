import ApusBase
import Testing

@testable import ApusEngine

/// Kernels of operators that only fusion makes, compared with their plain forms.
@Suite struct FusedKernelTests {
  /// A program of one fused operator, whose input is x [rows, shape], and of a Reshape behind it.
  private func check(
    _ operation: any Operator, _ shape: [Int], _ constants: [Tensor], _ input: [Float], tolerance: Float
  ) throws {
    var values = [Graph.Value(name: "x")]
    for constant in constants { values.append(Graph.Value(name: "c", constant: constant)) }
    values.append(Graph.Value(name: "y"))
    let graph = try Graph(
      values: values, inputs: [Graph.Input(value: 0, element: .float32, shape: [nil] + shape)],
      outputs: [values.count - 1],
      nodes: [
        Graph.Node(
          name: "n", operation: operation, inputs: Array(0...constants.count), outputs: [values.count - 1])
      ])
    let check = GraphCheck(graph)
    #expect(try check.isQuick())
    try check.agrees(input, tolerance: tolerance)
  }

  @Test(arguments: 0..<30) func normalizationAlongAxes(seed: Int) throws {
    var random = SeededRandom(seed + 3000)
    let shape = random.shape(1...4, 1...40)
    guard shape.reduce(1, *) < 30_000 else { return }
    let first = random.integer(1...shape.count)
    let axes = first...random.integer(first...shape.count)
    let places = shape[axes.lowerBound - 1...axes.upperBound - 1].reduce(1, *)
    let parameters = try (0..<random.integer(0...2)).map { _ in try Tensor(random.floats(places), [places]) }
    let offset: Float = random.flag() ? 0 : 1000
    let input = random.floats(3 * shape.reduce(1, *)).map { $0 + offset }
    // Far from zero the numbers themselves are rounded to 2^-14 of their spread.
    try check(
      AxisNormalization(axes: axes, epsilon: 1e-3), shape, parameters, input, tolerance: 4e-6)
  }

  @Test(arguments: [FusedActivation.relu, .sigmoid, .tanh, .gelu, .geluTanh, .clip(-0.5, 0.5), .leaky(-0.3)])
  func maximaOfActivations(_ activation: FusedActivation) throws {
    for (shape, axes) in [([7, 33], 1...1), ([7, 33], 2...2), ([3, 5, 9], 1...2), ([1, 2], 1...1)] {
      for scale in [Float(0.3), 3, -3] {
        let input = numbers(4 * shape.reduce(1, *)).map { ($0 - 0.5) * scale }
        try check(ActivatedMaximum(activation: activation, axes: axes), shape, [], input, tolerance: 1e-6)
      }
    }
  }

  @Test func maximaOfActivationsWithNaN() throws {
    var input = numbers(2 * 6 * 5)
    input[13] = .nan
    try check(ActivatedMaximum(activation: .gelu, axes: 1...1), [6, 5], [], input, tolerance: 1e-6)
  }

  @Test(arguments: 0..<20) func convolutionsOfSequences(seed: Int) throws {
    var random = SeededRandom(seed + 4000)
    let (steps, channels, outputs) = (random.integer(3...30), random.integer(1...20), random.integer(1...40))
    let conv = SequenceConv(
      kernel: random.integer(1...3), stride: random.integer(1...3), before: random.integer(0...2),
      after: random.integer(0...2), activation: random.flag() ? .none : .relu)
    let weights = try Tensor(
      random.floats(outputs * conv.kernel * channels), [outputs, conv.kernel * channels])
    let constants = random.flag() ? [weights] : [weights, try Tensor(random.floats(outputs), [outputs])]
    try check(conv, [steps, channels], constants, random.floats(4 * steps * channels), tolerance: 1e-5)
  }

  @Test func lookupsOfWhatIsNowhereGiveTheLastRow() throws {
    let table = numbers(4 * 3)
    let values = [
      Graph.Value(name: "x"), Graph.Value(name: "t", constant: try Tensor(table, [4, 3])),
      Graph.Value(name: "y"),
    ]
    let graph = try Graph(
      values: values, inputs: [Graph.Input(value: 0, element: .int32, shape: [nil, 5, 1])], outputs: [2],
      nodes: [
        Graph.Node(name: "n", operation: RowLookup(droppedDimensions: 1), inputs: [0, 1], outputs: [2])
      ])
    let check = GraphCheck(graph)
    #expect(try check.isQuick())
    let indices: [Int32] = [0, 2, 3, -1, .max, .min, 1, 4, 0, 1]
    try check.agrees(indices)
    let found = try check.run(indices, rows: 2, isPlain: false)
    let rows = [0, 2, 3, 3, 3, 3, 1, 3, 0, 1]
    #expect(found == rows.flatMap { table[$0 * 3..<$0 * 3 + 3] })
  }
}
