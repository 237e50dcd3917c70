import ApusEngine
import Testing

/// Operators that take two or more tensors and broadcast them together.
@Suite struct ArithmeticTests {
  @Test func shapesAreBroadcastTogether() throws {
    let column = try floats([10, 20], [2, 1])
    let row = try floats([1, 2, 3], [3])
    let run = try OperatorRun("Add", [column, row])
    #expect(run.shape == [2, 3])
    #expect(run.floats == [11, 12, 13, 21, 22, 23])
    #expect(try OperatorRun("Sub", [column, floats([1], [])]).floats == [9, 19])
    #expect(try OperatorRun("Div", [floats([1], []), column]).floats == [0.1, 0.05])
    #expect(try OperatorRun("Mul", [row, row]).floats == [1, 4, 9])
    let both = try OperatorRun("Add", [counting([2, 1, 2]), counting([1, 3, 1])])
    #expect(both.floats == [0, 1, 1, 2, 2, 3, 2, 3, 3, 4, 4, 5])
  }

  @Test func aBiasLiesAlongAnAxisInTheMiddle() throws {
    let run = try OperatorRun("Add", [counting([2, 2, 2]), floats([100, 200], [2, 1])])
    #expect(run.floats == [100, 101, 202, 203, 104, 105, 206, 207])
  }

  @Test func emptyTensorsGiveEmptyOnes() throws {
    let run = try OperatorRun("Add", [floats([], [2, 0]), floats([1], [1])])
    #expect(run.shape == [2, 0] && run.floats.isEmpty)
    #expect(try OperatorRun("Div", [integers([], [0]), integers([0], [1])]).integers.isEmpty)
  }

  @Test func whatDoesNotGoTogetherIsRefused() throws {
    #expect(
      try refusal("Add", [counting([2]), counting([3])])
        == "the shapes [2] and [3] cannot be broadcast together")
    #expect(
      try refusal("Mul", [counting([2]), integers([1, 2])]) == "float32 and int64 do not go together")
    #expect(try refusal("Sub", [truths([true]), truths([true])]) == "bool is not computed with here")
    #expect(try refusal("Add", [counting([2])]) == "the operator does not take 1 inputs in opset 21")
    #expect(try refusal("Add", [counting([2]), nil]) == "the input B is missing")
    #expect(
      try refusal("Add", ["axis": .int(0)], [counting([2]), counting([2])])
        == "the attribute 'axis' is not known here")
  }

  @Test func wholeNumbersWrapAround() throws {
    let edge = try integers([.max, .min, -7])
    #expect(try OperatorRun("Add", [edge, integers([1, -1, 0])]).integers == [.min, .max, -7])
    #expect(try OperatorRun("Sub", [edge, integers([-1, 1, 0])]).integers == [.min, .max, -7])
    #expect(try OperatorRun("Mul", [edge, integers([2, 2, 2])]).integers == [-2, 0, -14])
    #expect(try OperatorRun("Div", [edge, integers([2, -1, 2])]).integers == [Int64.max / 2, .min, -3])
    #expect(try refusal("Div", [edge, integers([1, 0, 1])]) == "a whole number is divided by zero")
    let bytes = try OperatorRun("Add", [Tensor([250, 3] as [UInt8], [2]), Tensor([10] as [UInt8], [1])])
    #expect(bytes.values(of: UInt8.self) == [4, 13])
  }

  @Test func remaindersHaveTheSignThatIsAskedFor() throws {
    let (a, b) = (try integers([-4, 7, 5, 4, -7, 8]), try integers([2, -3, 8, -2, 3, 5]))
    #expect(try OperatorRun("Mod", [a, b]).integers == [0, -2, 5, 0, 2, 3])
    #expect(try OperatorRun("Mod", ["fmod": .int(1)], [a, b]).integers == [0, 1, 5, 0, -1, 3])
    let reals = try OperatorRun("Mod", ["fmod": .int(1)], [floats([-4.5, 5.5]), floats([2, -3])])
    #expect(reals.floats == [-0.5, 2.5])
    let floored = try OperatorRun(
      "Mod", opset: 28,
      [floats([-4.5, 5.5, -3, 1, 0, .infinity]), floats([2, -3, .infinity, -.infinity, -2, 2])])
    #expect(agree(floored.floats, [1.5, -0.5, .infinity, -.infinity, 0, .nan]))
    #expect(try OperatorRun("Mod", [integers([.min]), integers([-1])]).integers == [0])
    #expect(try refusal("Mod", [a, integers([0])]) == "a whole number is divided by zero")
    #expect(
      try refusal("Mod", [counting([1]), counting([1])])
        == "Mod of floating-point numbers needs fmod=1 before opset 28")
    #expect(try refusal("Mod", opset: 9, [a, b]) == "the operator is not in opset 9, but from 10")
  }

  @Test func powersHaveTheTypeOfTheBase() throws {
    let base = try floats([1, -2, 3, 0])
    #expect(try OperatorRun("Pow", [base, floats([2], [])]).floats == [1, 4, 9, 0])
    #expect(
      try OperatorRun("Pow", [base, floats([3, 3, 0.5, -1])]).floats == [
        1, -8, Float(3).squareRoot(), .infinity,
      ])
    #expect(try OperatorRun("Pow", [base, integers([3])]).floats == [1, -8, 27, 0])
    let whole = try integers([2, -1, 0, 3, 1])
    #expect(
      try OperatorRun("Pow", [whole, integers([62, -3, 0, 39, -9])]).integers
        == [1 << 62, -1, 1, 4_052_555_153_018_976_267, 1])
    #expect(try OperatorRun("Pow", [whole, integers([64, -2, -1, -1, .min])]).integers == [0, 1, 0, 0, 1])
    #expect(try OperatorRun("Pow", [whole, floats([0.5])]).integers == [1, .min, 0, 1, 1])
  }

  @Test func comparisonsMakeTruths() throws {
    let (a, b) = (try floats([1, 2, 3, .nan]), try floats([2], []))
    #expect(try OperatorRun("Less", [a, b]).truths == [true, false, false, false])
    #expect(try OperatorRun("Greater", [a, b]).truths == [false, false, true, false])
    #expect(try OperatorRun("LessOrEqual", [a, b]).truths == [true, true, false, false])
    #expect(try OperatorRun("GreaterOrEqual", [a, b]).truths == [false, true, true, false])
    #expect(try OperatorRun("Equal", [a, a]).truths == [true, true, true, false])
    #expect(try OperatorRun("Equal", [integers([1, 2]), integers([1])]).truths == [true, false])
    #expect(
      try refusal("LessOrEqual", opset: 11, [a, b]) == "the operator is not in opset 11, but from 12")
    #expect(try refusal("Less", [truths([true]), truths([true])]) == "bool is not computed with here")
  }

  @Test func truthsAreJoined() throws {
    let (a, b) = (try truths([false, false, true, true]), try truths([false, true, false, true]))
    #expect(try OperatorRun("And", [a, b]).truths == [false, false, false, true])
    #expect(try OperatorRun("Or", [a, b]).truths == [false, true, true, true])
    #expect(try OperatorRun("Xor", [a, b]).truths == [false, true, true, false])
    #expect(try OperatorRun("Equal", [a, b]).truths == [true, false, false, true])
    #expect(try OperatorRun("Not", [a]).truths == [true, true, false, false])
    #expect(try refusal("And", [counting([1]), counting([1])]) == "float32 is not computed with here")
  }

  /// A byte of a file that is neither 0 nor 1 is true.
  @Test func anyByteButZeroIsTrue() throws {
    let odd = Tensor(try TensorType(.bool, [2]))
    odd.start.storeBytes(of: 7, as: UInt8.self)
    #expect(try OperatorRun("Equal", [odd, truths([true, false])]).truths == [true, true])
    let both = try OperatorRun("And", [odd, truths([true, true])])
    #expect(both.values(of: TensorBool.self).map(\.byte) == [1, 0])
    #expect(try OperatorRun("Where", [odd, counting([1]), floats([5])]).floats == [0, 5])
  }

  @Test func anyNumberOfTensorsIsJoined() throws {
    let inputs = [try floats([1, 5, .nan]), try floats([3], [1]), try floats([2, 2, 2])]
    #expect(agree(try OperatorRun("Max", inputs).floats, [3, 5, .nan]))
    #expect(agree(try OperatorRun("Min", inputs).floats, [1, 2, .nan]))
    #expect(agree(try OperatorRun("Sum", inputs).floats, [6, 10, .nan]))
    #expect(agree(try OperatorRun("Mean", inputs).floats, [2, 10.0 / 3, .nan]))
    #expect(agree(try OperatorRun("Max", [floats([1, 2]), floats([.nan, 1])]).floats, [.nan, 2]))
    let wide = try OperatorRun("Max", [integers([1], [1]), integers([0, 2], [2, 1]), integers([5, 0, 1])])
    #expect(wide.shape == [2, 3] && wide.integers == [5, 1, 1, 5, 2, 2])
    #expect(try OperatorRun("Min", [counting([2])]).floats == [0, 1])
    #expect(try refusal("Max", []) == "the operator does not take 0 inputs in opset 21")
    #expect(try refusal("Mean", [integers([1])]) == "int64 is not computed with here")
  }

  @Test func whereChoosesFromOneOfTwo() throws {
    let run = try OperatorRun(
      "Where", [truths([true, false], [2, 1]), floats([1, 2, 3]), floats([9], [])])
    #expect(run.shape == [2, 3] && run.floats == [1, 2, 3, 9, 9, 9])
    let bytes = try OperatorRun(
      "Where", [truths([true, false]), Tensor([1] as [Int8], [1]), Tensor([2] as [Int8], [1])])
    #expect(bytes.values(of: Int8.self) == [1, 2])
    #expect(
      try refusal("Where", [counting([2]), counting([2]), counting([2])])
        == "a condition is of bool, not of float32")
  }
}
