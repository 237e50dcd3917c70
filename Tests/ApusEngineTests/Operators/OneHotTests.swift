import Testing

@testable import ApusEngine

@Suite struct OneHotTests {
  private func depth(_ number: Int64) throws -> Tensor { try integers([number], []) }

  @Test func placesGetTheSecondValue() throws {
    let last = try encoded(integers([0, 7, -1, 3]), depth(3), floats([2, 5]))
    #expect(last.shape == [4, 3])
    #expect(last.floats == [5, 2, 2, 2, 2, 2, 2, 2, 5, 2, 2, 2])
    let values = try integers([1, 3])
    let middle = try encoded(floats([1, 2.9, .nan, -4], [2, 2]), floats([3], [1]), values, axis: 1)
    #expect(middle.shape == [2, 3, 2])
    #expect(middle.integers == [1, 1, 3, 1, 1, 3, 1, 1, 1, 1, 1, 1])
    let first = try encoded(integers([1, Int64.min, Int64.max]), depth(2), truths([false, true]), axis: -2)
    #expect(first.shape == [2, 3])
    #expect(first.truths == [false, false, false, true, false, false])
    #expect(try encoded(integers([], [0]), depth(2), floats([0, 1])).shape == [0, 2])
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let (indices, values) = (try integers([0]), try floats([0, 1]))
    func refused(_ attributes: Int, _ inputs: [Tensor?], unknown: Set<Int> = []) throws -> String {
      try refusal("OneHot", ["axis": .int(attributes)], inputs, unknown: unknown)
    }
    #expect(try refused(2, [indices, try depth(3), values]) == "there is no axis 2 among 2")
    #expect(try refused(.min, [indices, try depth(3), values]) == "there is no axis \(Int.min) among 2")
    for number in [0, -1, Int64.min] {
      #expect(try refused(0, [indices, try depth(number), values]) == "depth is not one number above 0")
    }
    #expect(try refused(0, [indices, try floats([1, 2]), values]) == "depth is not one number above 0")
    #expect(
      try refused(0, [indices, try depth(.max), values])
        == "a tensor of shape [\(Int64.max), 1] has too many elements")
    #expect(
      try refused(0, [indices, try depth(3), try floats([1])]) == "values are two numbers, not of shape [1]")
    #expect(try refused(0, [indices, try depth(3), values], unknown: [1]).contains("must be a constant"))
    #expect(try refused(0, [try truths([true]), try depth(3), values]).contains("bool"))
  }

  private func encoded(
    _ indices: Tensor, _ depth: Tensor, _ values: Tensor, axis: Int = -1
  ) throws -> OperatorRun {
    try OperatorRun("OneHot", ["axis": .int(axis)], [indices, depth, values])
  }
}
