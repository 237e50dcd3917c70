import ApusBase
import ApusEngine
import ApusFormats
import Testing

/// A network of 8-bit numbers in the three forms that tools write, with ONNX Runtime's answers, its
/// optimizations off.
@Suite("Networks of 8-bit numbers")
struct ONNXIntegerTests {
  @Test("Answers are those of ONNX Runtime", arguments: ["int8dyn", "int8qdq", "int8qlinear"])
  func answers(_ form: String) throws {
    let input = try Fixtures.floats("torch/digits_mlp/x.f32.bin")
    let expected = try Fixtures.floats("torch/digits_mlp/logits_\(form).f32.bin")
    let bytes = try Fixtures.bytes("torch/digits_mlp/digits_mlp.\(form).onnx")
    let graph = try readONNX(bytes, operators: .standard).graph
    for isPlain in [true, false] {
      let program = try Program(graph, isPlain: isPlain)
      let rows = expected.count / program.outputs
      #expect(rows == 128 && program.blockRows >= rows)
      let found = try answers(program, input, rows)
      // Sums of the third form's floats may be rounded to a neighbour.
      let isExact = isPlain || form != "int8qdq"
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= (isExact ? 1e-5 : 0.2) }, "plain \(isPlain)")
      #expect(zip(found, expected).count { abs($0 - $1) > 1e-5 } <= (isExact ? 0 : 12))
    }
    let steps = try Program(graph).descriptions
    #expect(steps.count { $0.contains("of 8 bits") } == 3 && steps.count <= 5, "\(steps)")
  }

  private func answers(_ program: Program, _ input: [Float], _ rows: Int) throws -> [Float] {
    var output = [Float](repeating: .nan, count: rows * program.outputs)
    let arena = AlignedBuffer(byteCount: program.arenaBytes)
    try input.withUnsafeBytes { input in
      try output.withUnsafeMutableBufferPointer { output in
        try program.run(
          rows: rows, input: #require(input.baseAddress), output: #require(output.baseAddress),
          arena: arena.baseAddress)
      }
    }
    return output
  }
}
