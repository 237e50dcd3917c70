import Testing

@testable import ApusEngine

/// Convolutions of 8-bit numbers as products of matrices give what their plain forms give.
@Suite struct IntegerConvTests {
  private struct Shape {
    var channels = 3
    var outputs = 8
    var groups = 1
    var size = [9, 7]
    var kernel = [3, 3]
    var more: [String: Attributes.Attribute] = [:]
  }

  private static let shapes = [
    Shape(),
    // Several blocks of rows.
    Shape(channels: 2, outputs: 5, size: [31, 17], more: ["pads": .ints([1, 1, 1, 1])]),
    Shape(outputs: 20, kernel: [1, 1]),
    Shape(outputs: 17, kernel: [2, 3], more: ["strides": .ints([2, 3]), "pads": .ints([0, 2, 1, 0])]),
    Shape(more: ["dilations": .ints([2, 3]), "pads": .ints([3, 3, 3, 3])]),
    Shape(
      channels: 6, outputs: 12, groups: 3,
      more: ["auto_pad": .string("SAME_UPPER"), "strides": .ints([2, 2])]),
    // Padding alone in many places.
    Shape(size: [2, 2], kernel: [2, 2], more: ["pads": .ints([4, 4, 4, 4])]),
  ]

  private func bytes(_ count: Int, _ random: inout SplitMix) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  private func addBytes(
    _ builder: inout GraphBuilder, _ name: String, _ shape: [Int], isSigned: Bool, _ random: inout SplitMix
  ) throws {
    let numbers = bytes(shape.reduce(1, *), &random)
    if isSigned {
      try builder.constant(name, numbers.map { Int8(bitPattern: $0) }, shape)
    } else {
      try builder.constant(name, numbers, shape)
    }
  }

  private func check(_ shape: Shape, _ builder: GraphBuilder) throws {
    let columns = shape.channels * shape.size[0] * shape.size[1]
    let graph = try builder.graph("y")
    let input = numbers(3 * columns, 8)
    let expected = try run(Program(graph, isPlain: true), input, rows: 3, by: 3)
    let program = try Program(graph)
    #expect(
      program.descriptions.contains { $0.contains("x \(shape.kernel[1]), packed") }, "\(program.descriptions)"
    )
    for count in [1, 3] {
      #expect(try run(program, input, rows: 3, by: min(count, program.blockRows)) == expected, "\(shape)")
    }
  }

  private func input(_ builder: inout GraphBuilder, _ shape: Shape, isSigned: Bool, _ random: inout SplitMix)
    throws
  {
    builder.input("x", [nil, shape.channels] + shape.size)
    try builder.constant("xs", [0.02 as Float], [])
    try addBytes(&builder, "xz", [], isSigned: isSigned, &random)
    try builder.node("QuantizeLinear", ["x", "xs", "xz"], ["q"])
  }

  @Test func sumsAreThoseOfThePlainForm() throws {
    var random = SplitMix(state: 71)
    for shape in Self.shapes {
      for (isSigned, areWeightsSigned) in [(true, true), (true, false), (false, true), (false, false)] {
        var builder = GraphBuilder()
        try input(&builder, shape, isSigned: isSigned, &random)
        let weights = [shape.outputs, shape.channels / shape.groups] + shape.kernel
        try addBytes(&builder, "w", weights, isSigned: areWeightsSigned, &random)
        try addBytes(
          &builder, "wz", random.integer(2) == 0 ? [] : [shape.outputs], isSigned: areWeightsSigned, &random)
        let attributes = shape.more.merging(["group": .int(shape.groups)]) { $1 }
        try builder.node(
          "ConvInteger", ["q", "w", random.integer(2) == 0 ? "xz" : "", "wz"], ["i"], attributes)
        try builder.node("Cast", ["i"], ["y"], ["to": .int(1)])
        try check(shape, builder)
      }
    }
  }

  @Test func roundedNumbersAreThoseOfThePlainForm() throws {
    var random = SplitMix(state: 72)
    for shape in Self.shapes {
      for (isSigned, areWeightsSigned) in [(true, true), (true, false), (false, true), (false, false)] {
        var builder = GraphBuilder()
        try input(&builder, shape, isSigned: isSigned, &random)
        let weights = [shape.outputs, shape.channels / shape.groups] + shape.kernel
        try addBytes(&builder, "w", weights, isSigned: areWeightsSigned, &random)
        let scales = random.integer(2) == 0 ? 1 : shape.outputs
        try builder.constant(
          "ws", numbers(scales, 4).map { abs($0) / 10 + 0.01 }, scales == 1 ? [] : [scales])
        try addBytes(&builder, "wz", scales == 1 ? [] : [scales], isSigned: areWeightsSigned, &random)
        try builder.constant("ys", [4.5 as Float], [])
        try addBytes(&builder, "yz", [], isSigned: isSigned, &random)
        try builder.constant("b", (0..<shape.outputs).map { Int32($0 * 997 - 3000) }, [shape.outputs])
        let attributes = shape.more.merging(["group": .int(shape.groups)]) { $1 }
        let bias = random.integer(2) == 0 ? ["b"] : []
        try builder.node(
          "QLinearConv", ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz"] + bias, ["o"], attributes)
        try builder.node("DequantizeLinear", ["o", "ys", "yz"], ["y"])
        try check(shape, builder)
      }
    }
  }
}
