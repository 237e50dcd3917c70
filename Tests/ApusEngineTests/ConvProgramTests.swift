import ApusBase
import Testing

@testable import ApusEngine

/// Convolutions and pools as steps of programs: which kernels serve, what is fused, and that quick steps give
/// what plain ones do.
@Suite struct ConvProgramTests {
  private func run(_ program: Program, _ input: [Float], rows: Int) throws -> [Float] {
    var output = [Float](repeating: .nan, count: rows * program.outputs)
    let arena = AlignedBuffer(byteCount: program.arenaBytes)
    try input.withUnsafeBufferPointer { input in
      try output.withUnsafeMutableBufferPointer { output in
        try program.run(
          rows: rows, input: UnsafeRawPointer(input.baseAddress!), output: output.baseAddress!,
          arena: arena.baseAddress)
      }
    }
    return output
  }

  /// Compares the quick program with the plain one, and names its steps.
  private func steps(_ graph: Graph, rowShape: [Int]) throws -> [String] {
    let quick = try Program(graph)
    let plain = try Program(plainly: graph)
    for rows in [1, 3] {
      let input = numbers(rows * rowShape.reduce(1, *), rows)
      let (found, expected) = (try run(quick, input, rows: rows), try run(plain, input, rows: rows))
      let size = expected.reduce(1) { max($0, $1.magnitude) }
      #expect(zip(found, expected).allSatisfy { ($0 - $1).magnitude <= 1e-5 * size }, "\(rows) rows")
    }
    return quick.descriptions.map { $0.split(separator: ": ", maxSplits: 1)[1].description }
  }

  /// r2 = Relu(x + two convolutions of x), as a residual network has it.
  private func addResidual(_ builder: inout GraphBuilder, channels: Int) throws {
    for name in ["v", "w"] {
      try builder.constant(name, numbers(channels * channels * 9), [channels, channels, 3, 3])
    }
    try builder.constant("b", numbers(channels, 3), [channels])
    let pads = ["pads": Attributes.Attribute.ints([1, 1, 1, 1])]
    try builder.node("Conv", ["x", "v", "b"], ["c1"], pads)
    try builder.node("Relu", ["c1"], ["r1"])
    try builder.node("Conv", ["r1", "w"], ["c2"], pads)
    try builder.node("Add", ["x", "c2"], ["s"])
    try builder.node("Relu", ["s"], ["r2"])
  }

  @Test func residualsAreAddedByTheConvolution() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 20, 6, 7])
    try addResidual(&builder, channels: 20)
    try builder.node("GlobalAveragePool", ["r2"], ["p"])
    try builder.node("Flatten", ["p"], ["y"])
    let conv = "Conv 20 -> 20, 3 x 3, packed"
    #expect(
      try steps(builder.graph("y"), rowShape: [20, 6, 7]) == [conv, conv, "GlobalAveragePool"])
  }

  /// Large images with many channels, with an addend, an odd height and one that is padded on one side.
  @Test func largeImagesGoByWinograd() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 32, 15, 16])
    try addResidual(&builder, channels: 32)
    try builder.constant("u", numbers(40 * 32 * 9, 4), [40, 32, 3, 3])
    try builder.node("Conv", ["r2", "u"], ["c3"], ["pads": .ints([0, 1, 1, 1])])
    try builder.node("Conv", ["c3", "t"], ["c4"], ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 2])])
    try builder.constant("t", numbers(32 * 40 * 9, 5), [32, 40, 3, 3])
    try builder.node("Flatten", ["c4"], ["y"])
    let conv = "Conv 32 -> 32, 3 x 3, winograd"
    #expect(
      try steps(builder.graph("y"), rowShape: [32, 15, 16])
        == [conv, conv, "Conv 32 -> 40, 3 x 3, winograd", "Conv 40 -> 32, 3 x 3, packed"])
  }

  /// What is added to each image is no addend, and what is added to each channel becomes a bias.
  @Test func whatHasAnotherShapeIsNotTakenIn() throws {
    for (shape, isBias) in [([1, 4, 3, 3], false), ([4, 1, 1], true), ([1], true)] {
      var builder = GraphBuilder()
      builder.input("x", [nil, 2, 5, 5])
      try builder.constant("w", numbers(4 * 2 * 9), [4, 2, 3, 3])
      try builder.constant("a", numbers(shape.reduce(1, *), 5), shape)
      try builder.node("Conv", ["x", "w"], ["c"])
      try builder.node("Add", ["c", "a"], ["s"])
      try builder.node("Flatten", ["s"], ["y"])
      let conv = "Conv 2 -> 4, 3 x 3, packed"
      #expect(try steps(builder.graph("y"), rowShape: [2, 5, 5]) == (isBias ? [conv] : [conv, "Add"]))
    }
  }

  /// A sum that is read elsewhere, too, must stay.
  @Test func whatIsReadTwiceIsNotTakenIn() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 3, 4, 4])
    try builder.constant("w", numbers(9), [3, 3, 1, 1])
    try builder.node("Conv", ["x", "w"], ["c"])
    try builder.node("Add", ["c", "x"], ["s"])
    try builder.node("Mul", ["c", "s"], ["m"])
    try builder.node("Flatten", ["m"], ["y"])
    #expect(
      try steps(builder.graph("y"), rowShape: [3, 4, 4])
        == ["Conv 3 -> 3, 1 x 1, packed", "Add", "Mul"])
  }

  @Test func twoConvolutionsAreAdded() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 3, 6, 6])
    try builder.constant("v", numbers(18 * 3), [18, 3, 1, 1])
    try builder.constant("w", numbers(18 * 3 * 9), [18, 3, 3, 3])
    try builder.node("Conv", ["x", "v"], ["c1"], ["strides": .ints([2, 2])])
    try builder.node("Conv", ["x", "w"], ["c2"], ["strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])])
    try builder.node("Add", ["c2", "c1"], ["s"])
    try builder.node("LeakyRelu", ["s"], ["r"])
    try builder.node("Flatten", ["r"], ["y"])
    #expect(
      try steps(builder.graph("y"), rowShape: [3, 6, 6])
        == ["Conv 3 -> 18, 1 x 1, packed", "Conv 3 -> 18, 3 x 3, packed"])
  }

  @Test func linesAndDepthwiseConvolutionsAndPoolsAreQuick() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 4, 31])
    try builder.constant("w", numbers(4 * 5), [4, 1, 5])
    try builder.constant("v", numbers(24 * 4 * 3), [24, 4, 3])
    try builder.node("Conv", ["x", "w"], ["c1"], ["group": .int(4), "pads": .ints([2, 2])])
    try builder.node("Conv", ["c1", "v"], ["c2"], ["dilations": .ints([2]), "strides": .ints([2])])
    try builder.node("AveragePool", ["c2"], ["p1"], ["kernel_shape": .ints([3]), "pads": .ints([1, 1])])
    try builder.node("MaxPool", ["p1"], ["p2"], ["kernel_shape": .ints([2]), "strides": .ints([2])])
    try builder.node("GlobalMaxPool", ["p2"], ["g"])
    try builder.node("Flatten", ["g"], ["y"])
    #expect(
      try steps(builder.graph("y"), rowShape: [4, 31]) == [
        "Conv 4 -> 4, 1 x 5, packed", "Conv 4 -> 24, 1 x 3, packed", "AveragePool 1 x 3", "MaxPool 1 x 2",
        "GlobalMaxPool",
      ])
  }

  /// No kernel is for them, and they are computed all the same.
  @Test func otherConvolutionsAndPoolsArePlain() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 2, 3, 4, 5])
    try builder.constant("w", numbers(3 * 2 * 8), [3, 2, 2, 2, 2])
    try builder.node("Conv", ["x", "w"], ["c"])
    try builder.node("MaxPool", ["c"], ["p"], ["kernel_shape": .ints([1, 2, 2])])
    try builder.node("Flatten", ["p"], ["y"])
    #expect(try steps(builder.graph("y"), rowShape: [2, 3, 4, 5]) == ["Conv", "MaxPool"])
    var hostile = GraphBuilder()
    hostile.input("x", [nil, 1, 1])
    try hostile.constant("v", [1, 2] as [Float], [1, 1, 2])
    try hostile.node(
      "Conv", ["x", "v"], ["c"], ["dilations": .ints([1 << 28]), "pads": .ints([1 << 28, 1])])
    try hostile.node("Flatten", ["c"], ["y"])
    #expect(try steps(hostile.graph("y"), rowShape: [1]) == ["Conv"])
  }
}
