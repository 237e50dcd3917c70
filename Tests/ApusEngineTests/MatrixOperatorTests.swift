import ApusEngine
import Testing

/// MatMul and Gemm beyond what their cases hold.
@Suite struct MatrixOperatorTests {
  private func refusal(_ name: String, _ shapes: [[Int]], _ element: ElementType = .float32) -> String? {
    OperatorProbe(name: name).refusal(types: shapes.map { (element, $0) })
  }

  @Test func shapesThatDoNotFitAreRefused() {
    #expect(
      refusal("MatMul", [[2, 3], [4, 2]]) == "matrices of shapes [2, 3] and [4, 2] cannot be multiplied")
    #expect(refusal("MatMul", [[], [4]]) == "a scalar cannot be multiplied as a matrix")
    #expect(refusal("MatMul", [[2, 1, 3], [3, 3, 1]]) == "shapes [2] and [3] cannot be broadcast")
    #expect(
      refusal("Gemm", [[2, 3], [4, 2]])
        == "A of shape [2, 3] and B of shape [4, 2] cannot be multiplied")
    #expect(refusal("Gemm", [[3], [3, 2]]) == "A and B are matrices, not of shapes [3] and [3, 2]")
    #expect(
      refusal("Gemm", [[2, 3], [3, 4], [3, 4]]) == "shapes [3, 4] and [2, 4] cannot be broadcast")
    #expect(
      refusal("Gemm", [[1, 3], [3, 4], [2, 4]]) == "C of shape [2, 4] cannot be broadcast to [1, 4]")
    #expect(refusal("MatMul", [[2, 3]]) == "the input B is missing")
  }

  @Test func typesThatAreNotMultipliedAreRefused() {
    #expect(
      refusal("MatMul", [[2, 3], [3, 2]], .int8)
        == "A is int8, and may be: float32, float64, int32, int64, uint32, uint64")
    let mixed = OperatorProbe(name: "Gemm").refusal(types: [(.float32, [2, 3]), (.float64, [3, 2])])
    #expect(mixed == "B is float64, but A is float32")
    let scaled = OperatorProbe(name: "Gemm", attributes: ["alpha": .float(0.5)])
    #expect(
      scaled.refusal(types: [(.int32, [2, 3]), (.int32, [3, 2])])
        == "alpha and beta of whole numbers are 1 here")
    let old = OperatorProbe(name: "Gemm", attributes: ["broadcast": .int(1)])
    #expect(old.refusal() == "the attribute 'broadcast' is not known here")
  }

  @Test func productsThatAreTooLargeAreRefusedAtOnce() {
    #expect(refusal("MatMul", [[1 << 30, 1], [1, 1 << 30]])?.hasSuffix("has too many elements") == true)
    #expect(refusal("Gemm", [[1 << 30, 1], [1, 1 << 30]])?.hasSuffix("has too many elements") == true)
    // Shapes without elements hide products that cannot be counted.
    let huge = 1 << 19
    #expect(refusal("MatMul", [[huge, 4, 0, 3], [1, huge, 3, 0]])?.contains("cannot be broadcast") == true)
    #expect(refusal("MatMul", [[huge, 2, 0, 3], [3, 5]]) == nil)
  }

  @Test func nothingMultipliedIsZero() throws {
    let product = try OperatorProbe(name: "MatMul").run([.zeros([2, 0]), .zeros([0, 3])])
    #expect(numbers(product[0]) == [0, 0, 0, 0, 0, 0])
    let sum = try OperatorProbe(name: "Gemm", attributes: ["beta": .float(2)])
      .run([.zeros([2, 0]), .zeros([0, 2]), Tensor([1, 2] as [Float], [2])])
    #expect(numbers(sum[0]) == [2, 4, 2, 4])
  }

  @Test func wholeNumbersWrap() throws {
    let left = try Tensor([Int32.max, 2], [1, 2])
    let right = try Tensor([Int32(2), 3], [2, 1])
    #expect(numbers(try OperatorProbe(name: "MatMul").run([left, right])[0]) == [4])
    let least = try Tensor([Int64.min], [1, 1])
    #expect(numbers(try OperatorProbe(name: "Gemm").run([least, least])[0]) == [0])
  }

  @Test func betaOfZeroLeavesTheAddendOut() throws {
    let probe = OperatorProbe(name: "Gemm", attributes: ["beta": .float(0)])
    let one = try Tensor([1] as [Float], [1, 1])
    #expect(numbers(try probe.run([one, one, Tensor([Float.nan], [1])])[0]) == [1])
  }
}
