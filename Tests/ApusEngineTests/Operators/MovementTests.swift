import ApusEngine
import Testing

/// Operators that give the same elements in another shape or order.
@Suite struct MovementTests {
  @Test func shapesAreCopiedAndLeftOpen() throws {
    let input = try counting([2, 3, 4])
    func shape(_ wanted: [Int64], _ attributes: [String: Attributes.Attribute] = [:]) throws -> [Int] {
      try OperatorRun("Reshape", attributes, [input, integers(wanted)]).shape
    }
    #expect(try shape([4, 2, 3]) == [4, 2, 3])
    #expect(try shape([0, -1]) == [2, 12])
    #expect(try shape([-1, 0, 2]) == [4, 3, 2])
    #expect(try OperatorRun("Reshape", [input, integers([24])]).floats == (0..<24).map { Float($0) })
    #expect(try OperatorRun("Reshape", [floats([7]), integers([], [0])]).shape == [])
    let zero: [String: Attributes.Attribute] = ["allowzero": .int(1)]
    #expect(try OperatorRun("Reshape", zero, [floats([], [0, 3]), integers([3, 0])]).shape == [3, 0])
    #expect(
      try refusal("Reshape", zero, [input, integers([0, 24])])
        == "a tensor of shape [2, 3, 4] cannot become one of shape [0, 24]")
    #expect(
      try refusal("Reshape", opset: 13, zero, [input, integers([24])])
        == "the attribute 'allowzero' is not known here")
  }

  @Test(
    arguments: [
      ([5, -1], "a tensor of shape [2, 3, 4] cannot become one of shape [5, -1]"),
      ([-1, -1], "the shape [-1, -1] leaves more than one size open"),
      ([0, 0, 0, 0], "the shape [0, 0, 0, 0] copies a size that is not there"),
      ([25], "a tensor of shape [2, 3, 4] cannot become one of shape [25]"),
      ([-2, -12], "a dimension of [-2, -12] is negative"),
      ([.max, .max], "a tensor of shape [\(Int64.max), \(Int64.max)] has too many elements"),
      ([1, 1, 1, 1, 1, 1, 1, 1, 24], "a tensor of 9 dimensions is not computed with"),
    ] as [([Int64], String)]) func shapesThatDoNotFitAreRefused(_ shape: [Int64], _ message: String) throws
  {
    #expect(try refusal("Reshape", [counting([2, 3, 4]), integers(shape)]) == message)
  }

  @Test func twoDimensionsAreLeft() throws {
    let input = try counting([2, 3, 4])
    #expect(try OperatorRun("Flatten", [input]).shape == [2, 12])
    #expect(try OperatorRun("Flatten", ["axis": .int(0)], [input]).shape == [1, 24])
    #expect(try OperatorRun("Flatten", ["axis": .int(3)], [input]).shape == [24, 1])
    #expect(try OperatorRun("Flatten", ["axis": .int(-1)], [input]).shape == [6, 4])
    #expect(
      try refusal("Flatten", ["axis": .int(4)], [input]) == "there is no axis 4 in a shape of 3 dimensions")
  }

  @Test func dimensionsOfOneComeAndGo() throws {
    let input = try counting([1, 3, 1])
    #expect(try OperatorRun("Squeeze", [input]).shape == [3])
    #expect(try OperatorRun("Squeeze", [input, integers([-1])]).shape == [1, 3])
    #expect(try OperatorRun("Squeeze", opset: 12, ["axes": .ints([0])], [input]).shape == [3, 1])
    #expect(try OperatorRun("Unsqueeze", [input, integers([0, -1])]).shape == [1, 1, 3, 1, 1])
    #expect(
      try OperatorRun("Unsqueeze", opset: 11, ["axes": .ints([2])], [counting([3, 4])]).shape == [3, 4, 1])
    #expect(try refusal("Squeeze", [input, integers([1])]) == "the axis 1 of [1, 3, 1] is not of size 1")
    #expect(
      try refusal("Squeeze", opset: 11, [input, integers([0])])
        == "the operator does not take 2 inputs in opset 11")
    #expect(
      try refusal("Unsqueeze", [input, integers([4])]) == "there is no axis 4 in a shape of 4 dimensions")
    #expect(try refusal("Unsqueeze", [input, integers([0, 0])]) == "the axis 0 is named twice")
    #expect(
      try refusal("Unsqueeze", [input, integers([0, 1, 2, 3, 4, 5])])
        == "a tensor of 9 dimensions is not computed with")
    #expect(try refusal("Unsqueeze", opset: 11, [input]) == "the attribute 'axes' is missing")
  }

  @Test func axesChangePlaces() throws {
    let input = try counting([2, 3, 2])
    let turned = try OperatorRun("Transpose", [input])
    #expect(turned.shape == [2, 3, 2] && turned.floats == [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11])
    let run = try OperatorRun("Transpose", ["perm": .ints([1, 0, 2])], [input])
    #expect(run.shape == [3, 2, 2] && run.floats == [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11])
    let bytes = try OperatorRun("Transpose", [Tensor([1, 2, 3, 4] as [Int8], [2, 2])])
    #expect(bytes.values() == [1, 3, 2, 4] as [Int8])
    #expect(try OperatorRun("Transpose", [truths([true, false], [2, 1])]).truths == [true, false])
    for order in [[0, 0, 1], [0, 1, 3], [0, 1, .min]] {
      #expect(
        try refusal("Transpose", ["perm": .ints(order)], [input])
          == "perm \(order) does not name each axis once")
    }
    #expect(
      try refusal("Transpose", ["perm": .ints([0, 1])], [input])
        == "perm of 2 axes does not go with 3 dimensions")
  }

  @Test func tensorsAreBroadcastAndRepeated() throws {
    let column = try counting([2, 1])
    let wide = try OperatorRun("Expand", [column, integers([2, 1, 3])])
    #expect(wide.shape == [2, 2, 3] && wide.floats == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1])
    #expect(try OperatorRun("Expand", [column, integers([1])]).shape == [2, 1])
    #expect(
      try refusal("Expand", [column, integers([3, 2])])
        == "the shapes [2, 1] and [3, 2] cannot be broadcast together")
    #expect(try refusal("Expand", [column, integers([-1])]) == "a dimension of [-1] is negative")
    let tiled = try OperatorRun("Tile", [counting([2, 2]), integers([2, 2])])
    #expect(tiled.floats == [0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3])
    #expect(try OperatorRun("Tile", [column, integers([0, 5])]).shape == [0, 5])
    #expect(
      try refusal("Tile", [column, integers([1, -1])])
        == "one of the repeats [1, -1] is negative")
    #expect(
      try refusal("Tile", [column, integers([.max, 1])])
        == "\(Int64.max) times [2, 1] has too many elements")
  }

  @Test func tensorsAreJoined() throws {
    let (a, b) = (try counting([2, 2]), try floats([7, 8], [2, 1]))
    let run = try OperatorRun("Concat", ["axis": .int(1)], [a, b, a])
    #expect(run.shape == [2, 5] && run.floats == [0, 1, 7, 0, 1, 2, 3, 8, 2, 3])
    #expect(try OperatorRun("Concat", ["axis": .int(-2)], [a, a]).shape == [4, 2])
    #expect(try OperatorRun("Concat", ["axis": .int(0)], [floats([], [0, 2]), a]).floats == [0, 1, 2, 3])
    #expect(
      try refusal("Concat", ["axis": .int(0)], [a, b])
        == "the shapes [2, 2] and [2, 1] cannot be joined along axis 0")
    #expect(
      try refusal("Concat", ["axis": .int(0)], [a, counting([2])])
        == "the shapes [2, 2] and [2] cannot be joined along axis 0")
    #expect(try refusal("Concat", ["axis": .int(2)], [a]) == "there is no axis 2 in a shape of 2 dimensions")
    #expect(try refusal("Concat", [a]) == "the attribute 'axis' is missing")
    #expect(
      try refusal("Concat", ["axis": .int(0)], [a, integers([1, 2], [1, 2])])
        == "float32 and int64 do not go together")
  }

  @Test func tensorsAreSplit() throws {
    let input = try counting([2, 5])
    let old = try OperatorRun(
      "Split", opset: 11, ["axis": .int(1), "split": .ints([2, 3])], [input], outputs: 2)
    #expect(old.values(0) == [0, 1, 5, 6] as [Float] && old.values(1) == [2, 3, 4, 7, 8, 9] as [Float])
    let sized = try OperatorRun(
      "Split", opset: 13, ["axis": .int(-1)], [input, integers([5, 0])], outputs: 2)
    #expect(sized.outputs.map(\.type.shape) == [[2, 5], [2, 0]])
    #expect(try OperatorRun("Split", opset: 13, [input], outputs: 2).values(1) == [5, 6, 7, 8, 9] as [Float])
    let uneven = try OperatorRun(
      "Split", opset: 18, ["axis": .int(1), "num_outputs": .int(3)], [input], outputs: 3)
    #expect(uneven.outputs.map(\.type.shape) == [[2, 2], [2, 2], [2, 1]])
    #expect(uneven.values(2) == [4, 9] as [Float])
  }

  @Test func partsThatDoNotFitAreRefused() throws {
    let input = try counting([5])
    #expect(
      try refusal("Split", opset: 13, [input], outputs: 2) == "5 elements are not split into 2 equal parts")
    let refusals: [([Int64], String)] = [
      ([2, 2], "5 elements are not split into parts of sizes [2, 2]"),
      ([6, -1], "the sizes [6, -1] are not those of parts"),
      ([.max, .max], "the sizes [\(Int64.max), \(Int64.max)] are not those of parts"),
      ([5], "1 sizes do not go with 2 outputs"),
    ]
    for (sizes, message) in refusals {
      #expect(try refusal("Split", [input, integers(sizes)], outputs: 2) == message)
    }
    #expect(
      try refusal("Split", [input], outputs: 2)
        == "either the input 'split' or the attribute 'num_outputs' is needed")
    #expect(
      try refusal("Split", ["num_outputs": .int(3)], [input], outputs: 2)
        == "num_outputs is 3, and the node has 2 outputs")
    #expect(
      try refusal("Split", ["num_outputs": .int(4)], [input], outputs: 4)
        == "the sizes [2, 2, 2, -1] are not those of parts")
    #expect(
      try refusal("Split", opset: 13, ["split": .ints([2, 3])], [input], outputs: 2)
        == "the attribute 'split' is not known here")
  }

  /// Starts, ends and steps of one axis of ten numbers, as NumPy slices them; but a start far before the
  /// first is the first (Slice-13: it is clamped to [0, 9]).
  @Test(
    arguments: [
      (0, 3, 1, [0, 1, 2]), (-3, .max, 1, [7, 8, 9]), (1, 1000, 4, [1, 5, 9]), (5, 2, 1, []),
      (-1, .min, -3, [9, 6, 3, 0]), (.max, 6, -1, [9, 8, 7]), (3, -100, -2, [3, 1]), (.min, .max, .max, [0]),
      (.max, .min, .min, [9]), (12, 20, 1, []), (-20, -15, -1, [0]), (0, -1, -1, []),
    ] as [(Int64, Int64, Int64, [Float])]) func slicesAreThoseOfNumPy(
      _ start: Int64, _ end: Int64, _ step: Int64, _ wanted: [Float]
    ) throws
  {
    let run = try OperatorRun(
      "Slice", [counting([10]), integers([start]), integers([end]), integers([0]), integers([step])])
    #expect(run.floats == wanted)
  }

  @Test func slicesOfSeveralAxesAreTaken() throws {
    let input = try counting([3, 4])
    let corner = try OperatorRun(
      "Slice", opset: 9, ["starts": .ints([1, 1]), "ends": .ints([3, 3])], [input])
    #expect(corner.shape == [2, 2] && corner.floats == [5, 6, 9, 10])
    let turned = try OperatorRun(
      "Slice", [input, integers([-1, -1]), integers([.min, .min]), integers([1, 0]), integers([-2, -1])])
    #expect(turned.shape == [3, 2] && turned.floats == [11, 9, 7, 5, 3, 1])
    let narrow = try Tensor([1] as [Int32], [1])
    #expect(
      try OperatorRun("Slice", opset: 10, [input, narrow, Tensor([9] as [Int32], [1]), narrow]).shape == [
        3, 3,
      ])
    #expect(
      try OperatorRun("Slice", [floats([], [0, 2]), integers([-1]), integers([.min]), nil, integers([-1])])
        .shape == [0, 2])
    let (one, two) = (try integers([1]), try integers([1, 2]))
    #expect(
      try refusal("Slice", [input, one, two]) == "starts, ends, axes and steps are not equally many")
    #expect(
      try refusal("Slice", [input, one, one, nil, integers([0])]) == "a slice has a step of 0")
    #expect(
      try refusal("Slice", [input, two, two, integers([0, -2])]) == "the axis -2 is named twice")
    #expect(
      try refusal("Slice", [input, one, one], unknown: [1])
        == "starts must be a constant: the shape of what is computed hangs on it")
    #expect(
      try refusal("Slice", opset: 10, ["starts": .ints([0])], [input, one, one])
        == "the attribute 'starts' is not known here")
  }

  @Test func slicesAreGatheredByIndex() throws {
    let data = try counting([3, 2])
    let rows = try OperatorRun("Gather", [data, integers([2, -3], [1, 2])])
    #expect(rows.shape == [1, 2, 2] && rows.floats == [4, 5, 0, 1])
    let columns = try OperatorRun("Gather", ["axis": .int(-1)], [data, Tensor([1] as [Int32], [])])
    #expect(columns.shape == [3] && columns.floats == [1, 3, 5])
    for index in [3, -4, .max, .min] as [Int64] {
      #expect(
        try refusal("Gather", [data, integers([index])]) == "the index \(index) leads out of a dimension of 3"
      )
    }
    #expect(
      try refusal("Gather", [floats([], [0]), integers([0])]) == "the index 0 leads out of a dimension of 0")
    #expect(
      try refusal("Gather", [data, floats([0])]) == "indices are of int32 or int64, not of float32")
  }

  @Test func elementsAreGatheredByIndex() throws {
    let data = try counting([3, 3])
    let run = try OperatorRun("GatherElements", [data, integers([1, 2, 0, 2, 0, -3], [2, 3])])
    #expect(run.floats == [3, 7, 2, 6, 1, 2])
    let along = try OperatorRun("GatherElements", ["axis": .int(1)], [data, integers([2, -1], [2, 1])])
    #expect(along.floats == [2, 5])
    #expect(
      try refusal("GatherElements", [data, integers([0], [1])])
        == "indices of shape [1] do not lie in a tensor of shape [3, 3]")
    #expect(
      try refusal("GatherElements", [data, integers([3], [1, 1])])
        == "the index 3 leads out of a dimension of 3")
  }

  @Test func slicesAreGatheredBySeveralIndices() throws {
    let data = try counting([2, 2, 2])
    let rows = try OperatorRun("GatherND", [data, integers([0, 1, -1, 0], [2, 2])])
    #expect(rows.shape == [2, 2] && rows.floats == [2, 3, 4, 5])
    let batched = try OperatorRun("GatherND", ["batch_dims": .int(1)], [data, integers([1, 0], [2, 1])])
    #expect(batched.shape == [2, 2] && batched.floats == [2, 3, 4, 5])
    #expect(try OperatorRun("GatherND", [data, integers([1, 1, 1], [3])]).floats == [7])
    for shape in [[1, 4], [4, 0]] {
      let indices = Tensor(try TensorType(.int64, shape))
      #expect(
        try refusal("GatherND", [data, indices])
          == "indices of shape \(shape) do not lead into a tensor of shape [2, 2, 2]")
    }
    #expect(
      try refusal("GatherND", [data, integers([0, 2], [1, 2])]) == "the index 2 leads out of a dimension of 2"
    )
    #expect(
      try refusal("GatherND", opset: 11, ["batch_dims": .int(1)], [data, integers([0])])
        == "the attribute 'batch_dims' is not known here")
  }
}
