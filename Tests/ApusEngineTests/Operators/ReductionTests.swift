import ApusEngine
import Testing

/// Operators that make one number of many, or choose some.
@Suite struct ReductionTests {
  @Test(
    arguments: [
      ("ReduceSum", [6, 15]), ("ReduceMean", [2, 5]), ("ReduceMax", [3, 6]), ("ReduceMin", [1, 4]),
      ("ReduceProd", [6, 120]), ("ReduceL1", [6, 15]), ("ReduceL2", [3.7416573867739413, 8.774964387392123]),
      ("ReduceSumSquare", [14, 77]), ("ReduceLogSum", [1.791759469228055, 2.70805020110221]),
      ("ReduceLogSumExp", [3.40760596444438, 6.40760596444438]),
    ] as [(String, [Float])]) func functionsAgree(_ name: String, _ wanted: [Float]) throws
  {
    let input = try floats([1, 2, 3, 4, 5, 6], [2, 3])
    let old = try OperatorRun(name, opset: 12, ["axes": .ints([-1])], [input])
    #expect(old.shape == [2, 1] && agree(old.floats, wanted))
    let new = try OperatorRun(name, opset: 18, ["keepdims": .int(0)], [input, integers([1])])
    #expect(new.shape == [2] && agree(new.floats, wanted))
    let doubles = try OperatorRun(name, [Tensor([1, 2, 3] as [Double], [3])])
    #expect(agree(doubles.values(of: Double.self).map { Float($0) }, [wanted[0]]))
  }

  @Test func axesApartAreReducedTogether() throws {
    let input = try counting([2, 3, 2])
    #expect(try OperatorRun("ReduceSum", [input, integers([0, 2])]).floats == [14, 22, 30])
    #expect(try OperatorRun("ReduceSum", [input, integers([1])]).floats == [6, 9, 24, 27])
    #expect(try OperatorRun("ReduceSum", [input, integers([0])]).floats == [6, 8, 10, 12, 14, 16])
    let all = try OperatorRun("ReduceMean", ["keepdims": .int(0)], [input])
    #expect(all.shape == [] && all.floats == [5.5])
    #expect(try OperatorRun("ReduceMax", opset: 11, [input]).shape == [1, 1, 1])
  }

  @Test func noAxesMeanAllOrNone() throws {
    let input = try floats([1, -2], [1, 2])
    let none: [String: Attributes.Attribute] = ["noop_with_empty_axes": .int(1)]
    #expect(try OperatorRun("ReduceSum", none, [input, integers([])]).floats == [1, -2])
    #expect(try OperatorRun("ReduceSumSquare", none, [input]).floats == [1, 4])
    #expect(try OperatorRun("ReduceL1", none, [input, nil]).floats == [1, 2])
    #expect(try OperatorRun("ReduceSum", [input, integers([])]).floats == [-1])
  }

  @Test func nothingGivesTheNumberThatChangesNothing() throws {
    let empty = try floats([], [2, 0])
    let axes = try integers([1])
    let wanted: [(String, Float)] = [
      ("ReduceSum", 0), ("ReduceProd", 1), ("ReduceMax", -.infinity), ("ReduceMin", .infinity),
      ("ReduceL1", 0),
      ("ReduceL2", 0), ("ReduceSumSquare", 0), ("ReduceLogSum", -.infinity), ("ReduceLogSumExp", -.infinity),
      ("ReduceMean", .nan),
    ]
    for (name, value) in wanted {
      #expect(agree(try OperatorRun(name, [empty, axes]).floats, [value, value]), "\(name)")
      #expect(try OperatorRun(name, [empty, integers([0])]).shape == [1, 0])
    }
    #expect(try OperatorRun("ReduceMax", [integers([], [1, 0]), axes]).integers == [.min])
    #expect(try OperatorRun("ReduceMin", [truths([], [1, 0]), axes]).truths == [true])
    #expect(
      try refusal("ReduceMean", [integers([], [1, 0]), axes]) == "there is no mean of no whole numbers")
  }

  @Test func otherElementsAreReduced() throws {
    let whole = try integers([.max, 1, -3])
    #expect(try OperatorRun("ReduceSum", [whole]).integers == [.max - 2])
    #expect(try OperatorRun("ReduceMax", [whole]).integers == [.max])
    #expect(try OperatorRun("ReduceMean", [integers([1, 2, 5])]).integers == [2])
    #expect(try OperatorRun("ReduceL2", [integers([3, 4])]).integers == [5])
    #expect(try OperatorRun("ReduceProd", [integers([3, -4])]).integers == [-12])
    #expect(try OperatorRun("ReduceL1", [integers([3, .min])]).integers == [.min + 3])
    #expect(try OperatorRun("ReduceMin", [Tensor([3, 2] as [UInt8], [2])]).values(of: UInt8.self) == [2])
    #expect(try OperatorRun("ReduceMax", [truths([false, true])]).truths == [true])
    #expect(try OperatorRun("ReduceMin", [truths([false, true])]).truths == [false])
    #expect(try refusal("ReduceSum", [truths([true])]) == "bool is not computed with here")
  }

  @Test func numbersThatAreNoneAreSpread() throws {
    for name in ["ReduceMax", "ReduceMin", "ReduceSum", "ReduceLogSumExp"] {
      #expect(try OperatorRun(name, [floats([1, .nan, 2])]).floats[0].isNaN, "\(name)")
    }
    #expect(try OperatorRun("ReduceLogSumExp", [floats([1000, 1000])]).floats == [1000.6932])
    #expect(try OperatorRun("ReduceLogSumExp", [floats([-.infinity, 3])]).floats == [3])
    #expect(try OperatorRun("ReduceLogSumExp", [floats([3, .infinity, 3])]).floats == [.infinity])
  }

  @Test func sumsOfManyNumbersStayExact() throws {
    let many = try Tensor([Float](repeating: 0.1, count: 1 << 20), [1 << 20])
    #expect(try OperatorRun("ReduceSum", [many]).floats == [104857.6])
  }

  @Test func axesThatAreNotThereAreRefused() throws {
    let input = try counting([2, 2])
    #expect(
      try refusal("ReduceSum", [input, integers([2])]) == "there is no axis 2 in a shape of 2 dimensions")
    #expect(
      try refusal("ReduceMax", opset: 13, ["axes": .ints([.min])], [input])
        == "there is no axis \(Int.min) in a shape of 2 dimensions")
    #expect(try refusal("ReduceSum", [input, integers([0, -2])]) == "the axis -2 is named twice")
    #expect(
      try refusal("ReduceSum", ["axes": .ints([0])], [input]) == "the attribute 'axes' is not known here")
    #expect(
      try refusal("ReduceMean", opset: 17, [input, integers([0])])
        == "the operator does not take 2 inputs in opset 17")
    #expect(
      try refusal("ReduceSum", [input, integers([0])], unknown: [1])
        == "axes must be a constant: the shape of what is computed hangs on it")
  }

  @Test func theFirstOrLastOfTheLargestIsFound() throws {
    let input = try floats([2, 2, 1, 3, 10, 10], [2, 3])
    let first = try OperatorRun("ArgMax", ["axis": .int(1)], [input])
    #expect(first.shape == [2, 1] && first.integers == [0, 1])
    let last: [String: Attributes.Attribute] = [
      "axis": .int(-1), "keepdims": .int(0), "select_last_index": .int(1),
    ]
    let run = try OperatorRun("ArgMax", last, [input])
    #expect(run.shape == [2] && run.integers == [1, 2])
    #expect(try OperatorRun("ArgMax", [input]).integers == [1, 1, 1])
    #expect(try OperatorRun("ArgMin", [input]).integers == [0, 0, 0])
    #expect(try OperatorRun("ArgMin", ["axis": .int(1)], [input]).integers == [2, 0])
    #expect(try OperatorRun("ArgMax", [integers([3, 9, 9])]).integers == [1])
    #expect(
      try refusal("ArgMax", opset: 11, last, [input]) == "the attribute 'select_last_index' is not known here"
    )
    #expect(
      try refusal("ArgMax", [floats([], [0, 2])]) == "the axis 0 of [0, 2] has nothing to choose from")
    #expect(try OperatorRun("ArgMax", [floats([], [2, 0])]).shape == [1, 0])
  }

  @Test func theLargestFewAreFoundInTheirOrder() throws {
    let input = try floats([1, 4, 3, 4, 0, 2, .nan, 8], [2, 4])
    let largest = try OperatorRun("TopK", [input, integers([2])], outputs: 2)
    #expect(largest.shape == [2, 2] && agree(largest.floats, [4, 4, .nan, 8]))
    #expect(largest.values(1) == [1, 3, 2, 3] as [Int64])
    let smallest = try OperatorRun("TopK", ["largest": .int(0)], [input, integers([3])], outputs: 2)
    #expect(agree(smallest.floats, [1, 3, 4, 0, 2, 8]))
    #expect(smallest.values(1) == [0, 2, 1, 0, 1, 3] as [Int64])
    let columns = try OperatorRun("TopK", opset: 9, ["axis": .int(0), "k": .int(1)], [input], outputs: 2)
    #expect(columns.shape == [1, 4] && columns.values(1) == [0, 0, 1, 1] as [Int64])
    let all = try OperatorRun("TopK", opset: 10, [integers([3, 1, 2]), integers([3])], outputs: 2)
    #expect(all.integers == [3, 2, 1])
    #expect(try OperatorRun("TopK", [input, integers([0])], outputs: 2).shape == [2, 0])
  }

  @Test func manyAreSortedAsByTheLibrary() throws {
    var state: UInt32 = 1
    let numbers = (0..<1000).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(state >> 24)
    }
    let run = try OperatorRun("TopK", [floats(numbers), integers([300])], outputs: 2)
    let wanted = numbers.indices.sorted { (numbers[$1], $0) < (numbers[$0], $1) }.prefix(300)
    #expect(run.values(1) == wanted.map { Int64($0) })
    #expect(run.floats == wanted.map { numbers[$0] })
  }

  @Test(arguments: [-1, 4, .max, .min]) func asManyAsAreNotThereAreRefused(_ k: Int64) throws {
    #expect(
      try refusal("TopK", [counting([3]), integers([k])], outputs: 2)
        == "K is from 0 to 3, not \(k)")
  }

  @Test func rowsBecomeProbabilities() throws {
    let input = try floats([0, 0, 1, 1, 2, 2], [1, 3, 2])
    let wanted: [Float] = [0.09003057317, 0.24472847105, 0.66524095577]
    let along = try OperatorRun("Softmax", ["axis": .int(1)], [input])
    #expect(agree(along.floats, wanted.flatMap { [$0, $0] }))
    let flat = try OperatorRun("Softmax", opset: 12, [input])
    #expect(agree(flat.floats, wanted.flatMap { [$0 / 2, $0 / 2] }))
    #expect(agree(try OperatorRun("Softmax", [input]).floats, [Float](repeating: 0.5, count: 6)))
    let logarithms = try OperatorRun("LogSoftmax", ["axis": .int(-2)], [input])
    #expect(agree(logarithms.floats, [-2.40760596, -1.40760596, -0.40760596].flatMap { [$0, $0] }))
    #expect(try OperatorRun("Softmax", [floats([3e38, -3e38])]).floats == [1, 0])
    #expect(try OperatorRun("LogSoftmax", [floats([3e38, 0])]).floats == [0, -3e38])
    for row in [[.nan, 1], [.infinity, 1], [-.infinity, -.infinity]] as [[Float]] {
      #expect(try OperatorRun("Softmax", [floats(row)]).floats.allSatisfy(\.isNaN))
    }
    #expect(
      try refusal("Softmax", opset: 9, [counting([2])]) == "there is no axis 1 in a shape of 1 dimensions")
    #expect(try OperatorRun("Softmax", [floats([], [0, 3])]).shape == [0, 3])
  }
}
