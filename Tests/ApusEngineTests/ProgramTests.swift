import ApusBase
import Testing

@testable import ApusEngine

/// Graphs as programs: what is fused, and that plain steps, quick ones and a run node by node give the same.
@Suite struct ProgramTests {
  /// What a program gives for rows of these numbers, in runs of so many rows.
  private func run(_ program: Program, _ input: [Float], rows: Int, by count: Int) throws -> [Float] {
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

  /// Compares a program, plain and quick, with a run of the graph node by node.
  private func check(_ graph: Graph, rowShape: [Int], tolerance: Float = 1e-5) throws {
    let rows = 13
    let input = numbers(rows * rowShape.reduce(1, *))
    let evaluation = try Evaluation(graph, inputs: [Tensor(input, [rows] + rowShape)])
    let expected = Array(try #require(evaluation.tensors[graph.outputs[0]]).view.elements(Float.self))
    for isPlain in [true, false] {
      let program = try isPlain ? Program(plainly: graph) : Program(graph)
      for count in [1, 2, 5, min(13, program.blockRows)] {
        let found = try run(program, input, rows: rows, by: count)
        #expect(
          zip(found, expected).allSatisfy { abs($0 - $1) <= tolerance }, "plain \(isPlain), \(count) rows")
      }
    }
  }

  private func operations(_ graph: Graph) throws -> [String] {
    try graph.folded().fused().nodes.map(\.operation.name)
  }

  @Test func productsTakeInBiasAndActivation() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 6])
    try builder.constant("w1", numbers(6 * 20), [6, 20])
    try builder.constant("b1", numbers(20, 2), [20])
    try builder.constant("w2", numbers(4 * 20, 3), [4, 20])
    try builder.constant("b2", numbers(4, 4), [4])
    try builder.node("MatMul", ["x", "w1"], ["m"])
    try builder.node("Add", ["b1", "m"], ["a"])
    try builder.node("Relu", ["a"], ["r"])
    try builder.node("Dropout", ["r"], ["d"])
    try builder.node("Gemm", ["d", "w2", "b2"], ["g"], ["transB": .int(1)])
    try builder.node("Softmax", ["g"], ["y"], ["axis": .int(-1)])
    let graph = try builder.graph("y")
    #expect(try operations(graph) == ["Linear", "Linear", "Softmax"])
    try check(graph, rowShape: [6])
  }

  @Test func convolutionsTakeInBatchNormalization() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 3, 9, 8])
    try builder.constant("w", numbers(16 * 3 * 9), [16, 3, 3, 3])
    for (index, name) in ["scale", "shift", "mean"].enumerated() {
      try builder.constant(name, numbers(16, index + 2), [16])
    }
    try builder.constant("variance", numbers(16, 9).map { 1.5 + $0 }, [16])
    try builder.node(
      "Conv", ["x", "w"], ["c"], ["pads": .ints([1, 0, 1, 2]), "strides": .ints([2, 1])])
    try builder.node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"])
    try builder.node("Relu", ["n"], ["r"])
    try builder.node("MaxPool", ["r"], ["p"], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
    try builder.node("Flatten", ["p"], ["f"])
    try builder.constant("v", numbers(16 * 2 * 4 * 5), [5, 16 * 2 * 4])
    try builder.node("Gemm", ["f", "v"], ["y"], ["transB": .int(1)])
    let graph = try builder.graph("y")
    #expect(try operations(graph) == ["Conv", "MaxPool", "Flatten", "Linear"])
    try check(graph, rowShape: [3, 9, 8], tolerance: 1e-3)
  }

  @Test func piecesBecomeGeluAndLayerNormalization() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 24])
    for (name, number) in [("two", 2), ("epsilon", 1e-5), ("root", 1.4142135), ("one", 1), ("half", 0.5)] {
      try builder.constant(name, [Float(number)], [])
    }
    try builder.constant("scale", numbers(24, 5), [24])
    try builder.constant("bias", numbers(24, 6), [24])
    try builder.node("ReduceMean", ["x"], ["mean"], ["axes": .ints([-1])])
    try builder.node("Sub", ["x", "mean"], ["d"])
    try builder.node("Pow", ["d", "two"], ["square"])
    try builder.node("ReduceMean", ["square"], ["variance"], ["axes": .ints([-1])])
    try builder.node("Add", ["variance", "epsilon"], ["sum"])
    try builder.node("Sqrt", ["sum"], ["deviation"])
    try builder.node("Div", ["d", "deviation"], ["q"])
    try builder.node("Mul", ["q", "scale"], ["s"])
    try builder.node("Add", ["s", "bias"], ["n"])
    try builder.node("Div", ["n", "root"], ["e0"])
    try builder.node("Erf", ["e0"], ["e1"])
    try builder.node("Add", ["e1", "one"], ["e2"])
    try builder.node("Mul", ["n", "e2"], ["e3"])
    try builder.node("Mul", ["e3", "half"], ["y"])
    let graph = try builder.graph("y")
    let fused = try graph.folded().fused()
    let program = try Program(graph)
    #expect(program.descriptions.count == 2, "\(program.descriptions)")
    #expect(fused.nodes.contains { $0.operation is LayerNormalization })
    #expect(fused.nodes.contains { $0.operation is Gelu })
    try check(graph, rowShape: [24])
  }

  /// What exporters write to keep a batch of any size: its shape is computed while the graph runs.
  @Test func shapesMayBeComputed() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 4, 6])
    try builder.constant("zero", [Int64(0)], [1])
    try builder.constant("rest", [Int64(-1)], [1])
    try builder.node("Shape", ["x"], ["shape"])
    try builder.node("Gather", ["shape", "zero"], ["rows"])
    try builder.node("Concat", ["rows", "rest"], ["wanted"], ["axis": .int(0)])
    try builder.node("Reshape", ["x", "wanted"], ["flat"])
    try builder.node("Exp", ["flat"], ["y"])
    let graph = try builder.graph("y")
    try check(graph, rowShape: [4, 6])
    #expect(try Program(graph).descriptions.count == 1, "a function, and no copies or shapes")
  }

  @Test func whatIsNoBatchIsRefused() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 4])
    try builder.node("Transpose", ["x"], ["y"])
    #expect(throws: GraphError("'y' is no batch of rows")) { try Program(builder.graph("y")) }
    var open = GraphBuilder()
    open.input("x", [nil, nil])
    try open.node("Relu", ["x"], ["y"])
    #expect(throws: GraphError("x leaves open more than its first dimension")) {
      try Program(open.graph("y"))
    }
    var square = GraphBuilder()
    square.input("x", [nil, 4])
    try square.node("MatMul", ["x", "t"], ["y"])
    #expect(throws: GraphError.self) { try Program(square.graph("y")) }
  }

  @Test func anIndexThatLeadsNowhereEndsTheRun() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 2], .int64)
    try builder.constant("table", numbers(12), [4, 3])
    try builder.node("Gather", ["table", "x"], ["g"])
    try builder.node("Flatten", ["g"], ["y"])
    let program = try Program(builder.graph("y"))
    let arena = AlignedBuffer(byteCount: program.arenaBytes)
    var output = [Float](repeating: 0, count: 6)
    let cases: [([Int64], Bool)] = [
      ([0, 3], true), ([0, 4], false), ([-4, -5], false), ([.min, .max], false),
    ]
    for (input, isSound) in cases {
      let failure = input.withUnsafeBytes { input in
        output.withUnsafeMutableBufferPointer { output -> GraphError? in
          do throws(GraphError) {
            try program.run(
              rows: 1, input: input.baseAddress!, output: output.baseAddress!, arena: arena.baseAddress)
            return nil
          } catch { return error }
        }
      }
      #expect((failure == nil) == isSound, "\(input)")
    }
  }
}

@Suite struct MemoryPlanTests {
  @Test func whatLivesTogetherDoesNotOverlap() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      let requests = (0..<Int.random(in: 1...40, using: &random)).map { _ in
        let first = Int.random(in: 0...30, using: &random)
        return MemoryPlan.Request(
          byteCount: Int.random(in: 0...5000, using: &random), first: first,
          last: first + Int.random(in: 0...6, using: &random))
      }
      let plan = MemoryPlan(requests)
      for (index, request) in requests.enumerated() {
        let range = plan.offsets[index]..<plan.offsets[index] + request.byteCount
        #expect(range.upperBound <= plan.byteCount && range.lowerBound % 64 == 0)
        for (other, neighbour) in requests.enumerated().prefix(index)
        where neighbour.first <= request.last && request.first <= neighbour.last {
          let second = plan.offsets[other]..<plan.offsets[other] + neighbour.byteCount
          #expect(range.isEmpty || second.isEmpty || !range.overlaps(second))
        }
      }
    }
  }

  @Test func memoryIsUsedAgain() {
    let chain = (0..<10).map { MemoryPlan.Request(byteCount: 640, first: $0, last: $0 + 1) }
    #expect(MemoryPlan(chain).byteCount == 2 * 640)
  }
}
