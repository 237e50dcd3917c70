import Testing

@testable import ApusEngine

/// Products of 8-bit numbers as programs: what is joined, and that it gives what the graph as it stands
/// gives.
@Suite struct IntegerProductTests {
  /// Whole numbers of 8 bits that are not all alike.
  private func integers<Number: FixedWidthInteger>(_ count: Int, _ seed: Int, _: Number.Type) -> [Number] {
    (0..<count).map { Number(truncatingIfNeeded: ($0 + seed) * 7919 + seed * 104_729) }
  }

  /// Compares plain, joined and quick form bit by bit.
  ///
  /// - Parameter steps: how many the program has; nil: it does not matter.
  private func check(_ graph: Graph, columns: Int, steps: Int?, rows: Int = 9, _ label: String = "") throws {
    var input = numbers(rows * columns, 5).map { $0 * 3 }
    input[columns] = .nan
    let joined = try graph.withIntegerProducts()
    let expected = try run(Program(graph, isPlain: true), input, rows: rows, by: rows)
    let program = try Program(graph)
    if let steps { #expect(program.descriptions.count == steps, "\(label) \(program.descriptions)") }
    for found in [
      try run(Program(joined, isPlain: true), input, rows: rows, by: rows),
      try run(program, input, rows: rows, by: rows),
    ] {
      #expect(found.count == expected.count)
      #expect(
        zip(found, expected).allSatisfy { $0.bitPattern == $1.bitPattern || $0.isNaN && $1.isNaN }, "\(label)"
      )
    }
  }

  private func dynamicLayer(
    _ builder: inout GraphBuilder, from x: String, to y: String, _ name: String, inputs: Int, outputs: Int,
    scaleOnLeft: Bool = false
  ) throws {
    try builder.constant("w" + name, integers(inputs * outputs, 3, Int8.self), [inputs, outputs])
    try builder.constant("z" + name, [Int8(scaleOnLeft ? 7 : 0)], [])
    try builder.constant("s" + name, [0.013] as [Float], [])
    try builder.constant("b" + name, numbers(outputs, 7), [outputs])
    try builder.node("DynamicQuantizeLinear", [x], ["q" + name, "qs" + name, "qz" + name])
    let scales = ["qs" + name, "s" + name]
    try builder.node("Mul", scaleOnLeft ? scales.reversed() : scales, ["ss" + name])
    try builder.node("MatMulInteger", ["q" + name, "w" + name, "qz" + name, "z" + name], ["i" + name])
    try builder.node("Cast", ["i" + name], ["f" + name], ["to": .int(1)])
    let factors = ["f" + name, "ss" + name]
    try builder.node("Mul", scaleOnLeft ? factors.reversed() : factors, ["m" + name])
    try builder.node("Add", scaleOnLeft ? ["b" + name, "m" + name] : ["m" + name, "b" + name], [y])
  }

  @Test func dynamicLayersAreOneStepEach() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 21])
    try dynamicLayer(&builder, from: "x", to: "a", "1", inputs: 21, outputs: 35)
    try builder.node("Relu", ["a"], ["r"])
    try dynamicLayer(&builder, from: "r", to: "y", "2", inputs: 35, outputs: 6, scaleOnLeft: true)
    try check(builder.graph("y"), columns: 21, steps: 2)
  }

  @Test func sumsThatAreReadTwiceStay() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 21])
    try dynamicLayer(&builder, from: "x", to: "a", "1", inputs: 21, outputs: 5)
    try builder.node("Add", ["a", "f1"], ["y"])
    try check(builder.graph("y"), columns: 21, steps: 7)
  }

  /// Scales are powers of two, so that floats are exact, too.
  private func dequantizedLayers(
    scale: Float = 0.25, weightScales: [Float]? = nil, zero: UInt8 = 131, isGemm: Bool = true,
    blockedAxis: Int = 0
  ) throws -> Graph {
    var builder = GraphBuilder()
    builder.input("x", [nil, 12])
    try builder.constant("xs", [scale], [])
    try builder.constant("xz", [zero], [])
    for (name, inputs, outputs) in [("1", 12, 20), ("2", 20, 5)] {
      let scales = weightScales ?? (0..<outputs).map { $0 % 2 == 0 ? 0.5 : 0.125 }
      let count = scales.count == 1 ? 1 : outputs
      let shape = isGemm ? [outputs, inputs] : [inputs, outputs]
      try builder.constant("wq" + name, integers(inputs * outputs, 9, Int8.self), shape)
      try builder.constant(
        "ws" + name, scales.count == 1 ? scales : (0..<count).map { scales[$0] }, count == 1 ? [] : [count])
      try builder.constant(
        "wz" + name, [Int8](repeating: name == "1" ? 0 : 3, count: count), count == 1 ? [] : [count])
      try builder.constant("bq" + name, integers(outputs, 2, Int32.self).map { $0 % 500 }, [outputs])
      try builder.constant("bs" + name, [Float](repeating: 0.125, count: outputs), [outputs])
      let axis: [String: Attributes.Attribute] = ["axis": .int(isGemm ? blockedAxis : 1 - blockedAxis)]
      try builder.node("DequantizeLinear", ["wq" + name, "ws" + name, "wz" + name], ["w" + name], axis)
      try builder.node("DequantizeLinear", ["bq" + name, "bs" + name], ["b" + name], ["axis": .int(0)])
    }
    try builder.constant("hs", [4 as Float], [])
    try builder.constant("hz", [Int8(-128)], [])
    try builder.node("QuantizeLinear", ["x", "xs", "xz"], ["xq"])
    try builder.node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"])
    if isGemm {
      try builder.node("Gemm", ["xd", "w1", "b1"], ["h"], ["transB": .int(1)])
    } else {
      try builder.node("MatMul", ["xd", "w1"], ["m1"])
      try builder.node("Add", ["m1", "b1"], ["h"])
    }
    try builder.node("Relu", ["h"], ["r"])
    try builder.node("QuantizeLinear", ["r", "hs", "hz"], ["hq"])
    try builder.node("DequantizeLinear", ["hq", "hs", "hz"], ["hd"])
    if isGemm {
      try builder.node("Gemm", ["hd", "w2", "b2"], ["y"], ["transB": .int(1)])
    } else {
      try builder.node("MatMul", ["hd", "w2"], ["m2"])
      try builder.node("Add", ["b2", "m2"], ["y"])
    }
    return try builder.graph("y")
  }

  @Test(arguments: [true, false]) func dequantizedProductsAreOfIntegers(isGemm: Bool) throws {
    try check(dequantizedLayers(isGemm: isGemm), columns: 12, steps: 3)
    try check(dequantizedLayers(weightScales: [0.25], isGemm: isGemm), columns: 12, steps: 3)
  }

  @Test func hostileScalesGiveWhatThePlainFormGives() throws {
    for scale in [0, .nan, .infinity, -0.5, .leastNonzeroMagnitude] as [Float] {
      let input = numbers(3 * 12, 5)
      let graph = try dequantizedLayers(scale: scale)
      let plain = try run(Program(graph, isPlain: true), input, rows: 3, by: 3)
      let quick = try run(Program(graph), input, rows: 3, by: 3)
      // A number that is not finite may come of another order of multiplications.
      #expect(zip(plain, quick).allSatisfy { $0 == $1 || !$0.isFinite && !$1.isFinite }, "\(scale)")
    }
  }

  @Test func scalesOfAnotherAxisAreNotJoined() throws {
    // Square weights, whose scales might be those of either axis.
    var builder = GraphBuilder()
    builder.input("x", [nil, 6])
    try builder.constant("s", [0.5] as [Float], [])
    try builder.constant("z", [UInt8(3)], [])
    try builder.constant("wq", integers(36, 4, Int8.self), [6, 6])
    try builder.constant("ws", [0.5, 1, 2, 4, 8, 16] as [Float], [6])
    try builder.node("QuantizeLinear", ["x", "s", "z"], ["q"])
    try builder.node("DequantizeLinear", ["q", "s", "z"], ["d"])
    try builder.node("DequantizeLinear", ["wq", "ws"], ["w"], ["axis": .int(0)])
    try builder.node("MatMul", ["d", "w"], ["y"])
    let graph = try builder.graph("y")
    #expect(try !Program(graph).descriptions.contains { $0.contains("of 8 bits") })
    try check(graph, columns: 6, steps: 3)
  }

  private func quantizedLayer(
    _ builder: inout GraphBuilder, _ name: String, from x: String, to y: String, inputs: Int, outputs: Int,
    perColumn: Bool
  ) throws {
    let count = perColumn ? outputs : 1
    try builder.constant("w" + name, integers(inputs * outputs, 13, UInt8.self), [inputs, outputs])
    try builder.constant(
      "ws" + name, numbers(count, 3).map { abs($0) / 90 + 0.001 }, perColumn ? [count] : [])
    try builder.constant("wz" + name, [UInt8](repeating: 120, count: count), perColumn ? [count] : [])
    try builder.constant("ys" + name, [0.31 as Float], [])
    try builder.constant("yz" + name, [UInt8(117)], [])
    try builder.node(
      "QLinearMatMul",
      [x, "xs", "xz", "w" + name, "ws" + name, "wz" + name, "ys" + name, "yz" + name], [y])
  }

  @Test(arguments: [true, false]) func quantizedLayersTakeInWhatIsAroundThem(perColumn: Bool) throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 14])
    try builder.constant("xs", [0.021 as Float], [])
    try builder.constant("xz", [Int8(-7)], [])
    try builder.constant("b", numbers(17, 4), [17])
    try builder.node("QuantizeLinear", ["x", "xs", "xz"], ["q"])
    try quantizedLayer(&builder, "1", from: "q", to: "m", inputs: 14, outputs: 17, perColumn: perColumn)
    try builder.node("DequantizeLinear", ["m", "ys1", "yz1"], ["d"])
    try builder.node("Add", ["d", "b"], ["a"])
    try builder.node("Relu", ["a"], ["r"])
    try builder.node("QuantizeLinear", ["r", "xs", "xz"], ["q2"])
    try quantizedLayer(&builder, "2", from: "q2", to: "m2", inputs: 17, outputs: 6, perColumn: perColumn)
    try builder.node("DequantizeLinear", ["m2", "ys1", "xz2"], ["y"])
    try builder.constant("xz2", [UInt8(3)], [])
    // The last numbers are read by another zero point, so they stay numbers of 8 bits in between.
    try check(builder.graph("y"), columns: 14, steps: 4)
  }

  @Test func integersByThemselvesAreQuick() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 3, 10])
    try builder.constant("s", [0.02 as Float], [])
    try builder.constant("z", [Int8(5)], [])
    try builder.constant("w", integers(10 * 7, 13, UInt8.self), [10, 7])
    try builder.constant("wz", integers(7, 1, UInt8.self), [7])
    try builder.node("QuantizeLinear", ["x", "s", "z"], ["q"])
    try builder.node("MatMulInteger", ["q", "w", "z", "wz"], ["i"])
    try builder.node("Cast", ["i"], ["y"], ["to": .int(1)])
    let graph = try builder.graph("y")
    #expect(try Program(graph).descriptions.contains { $0.contains("MatMulInteger 10 -> 7, packed") })
    try check(graph, columns: 30, steps: 3)
  }
}
