import ApusEngine
import Testing

/// Operators that tell shapes, make tensors of them, or change them at the edges.
@Suite struct ShapeTests {
  @Test(
    arguments: [
      (nil, nil, [2, 3, 4]), (1, nil, [3, 4]), (-1, nil, [4]), (nil, -1, [2, 3]), (-9, 9, [2, 3, 4]),
      (2, 1, []),
      (.min, .max, [2, 3, 4]),
    ] as [(Int?, Int?, [Int64])]) func partsOfShapesAreTold(_ start: Int?, _ end: Int?, _ wanted: [Int64])
    throws
  {
    var attributes: [String: Attributes.Attribute] = [:]
    if let start { attributes["start"] = .int(start) }
    if let end { attributes["end"] = .int(end) }
    #expect(try OperatorRun("Shape", attributes, [counting([2, 3, 4])]).integers == wanted)
  }

  @Test func wholeShapesAreTold() throws {
    #expect(try OperatorRun("Shape", opset: 13, [counting([2, 3])]).integers == [2, 3])
    #expect(try OperatorRun("Shape", [floats([1], [])]).shape == [0])
    #expect(try OperatorRun("Size", [counting([2, 3])]).integers == [6])
    #expect(
      try refusal("Shape", opset: 14, ["start": .int(0)], [counting([2])])
        == "the attribute 'start' is not known here")
  }

  @Test func oneValueFillsAShape() throws {
    let run = try OperatorRun("ConstantOfShape", ["value": .tensor(integers([7]))], [integers([2, 1])])
    #expect(run.shape == [2, 1] && run.integers == [7, 7])
    #expect(try OperatorRun("ConstantOfShape", [integers([3])]).floats == [0, 0, 0])
    #expect(try OperatorRun("ConstantOfShape", [integers([])]).shape == [])
    #expect(
      try refusal("ConstantOfShape", ["value": .tensor(integers([7, 8]))], [integers([2])])
        == "the value is one number, not 2")
    #expect(
      try refusal("ConstantOfShape", [integers([1 << 41])])
        == "a tensor of shape [\(1 << 41)] has too many elements")
    #expect(
      try refusal("ConstantOfShape", [integers([1 << 20, 1 << 21, 0])])
        == "a tensor of shape [\(1 << 20), \(1 << 21), 0] has too many elements")
  }

  @Test func rangesGoBothWays() throws {
    func range(_ start: Int64, _ limit: Int64, _ delta: Int64) throws -> [Int64] {
      try OperatorRun("Range", [integers([start], []), integers([limit], []), integers([delta], [])]).integers
    }
    #expect(try range(1, 8, 3) == [1, 4, 7])
    #expect(try range(1, 7, 3) == [1, 4])
    #expect(try range(10, 6, -3) == [10, 7])
    #expect(try range(1, 1, 1) == [] && range(1, 0, 1) == [] && range(0, 1, -1) == [])
    #expect(try range(.min, .max, .max) == [.min, -1, .max - 1])
    #expect(try range(.max, .min, .min) == [.max, -1])
    let reals = try OperatorRun("Range", [floats([1], []), floats([2], []), floats([0.25], [])])
    #expect(reals.floats == [1, 1.25, 1.5, 1.75])
  }

  @Test func rangesWithoutAnEndAreRefused() throws {
    func message(_ start: Float, _ limit: Float, _ delta: Float) throws -> String {
      try refusal("Range", [floats([start], []), floats([limit], []), floats([delta], [])])
    }
    #expect(try message(0, 1, 0) == "there is no way from 0.0 to 1.0")
    #expect(try message(0, 0, 0) == "there is no way from 0.0 to 0.0")
    #expect(try message(.nan, 1, 1) == "there is no way from nan to 1.0")
    #expect(try message(0, .infinity, 1) == "there is no way from 0.0 to inf")
    #expect(try message(0, 1e18, 1).hasSuffix("has too many elements"))
    #expect(
      try OperatorRun("Range", [floats([0], []), floats([-.infinity], []), floats([1], [])]).floats == [])
    let one = try integers([1], [])
    #expect(
      try refusal("Range", [one, integers([3], []), integers([0], [])]) == "there is no way from 1 to 3")
    #expect(
      try refusal("Range", [integers([.min]), integers([.max]), one]).hasSuffix("has too many elements"))
    #expect(
      try refusal("Range", [one, one, one], unknown: [1])
        == "limit must be a constant: the shape of what is computed hangs on it")
  }

  private func padded(_ mode: String, _ pads: [Int64], opset: Int = 21) throws -> [Float] {
    try OperatorRun("Pad", opset: opset, ["mode": .string(mode)], [counting([4]), integers(pads)]).floats
  }

  @Test func edgesArePaddedInEachMode() throws {
    #expect(try padded("constant", [1, 2]) == [0, 0, 1, 2, 3, 0, 0])
    #expect(try padded("reflect", [2, 3]) == [2, 1, 0, 1, 2, 3, 2, 1, 0])
    #expect(try padded("edge", [2, 1]) == [0, 0, 0, 1, 2, 3, 3])
    #expect(try padded("wrap", [2, 5]) == [2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0])
    #expect(try padded("constant", [-1, -2]) == [1])
    #expect(try padded("edge", [-1, 1]) == [1, 2, 3, 3])
    #expect(try padded("constant", [-4, 2]) == [0, 0])
  }

  @Test func edgesOfSeveralAxesArePadded() throws {
    let input = try counting([2, 2])
    let value = try floats([9], [])
    let run = try OperatorRun("Pad", [input, integers([0, 1, 1, 0]), value])
    #expect(run.shape == [3, 3] && run.floats == [9, 0, 1, 9, 2, 3, 9, 9, 9])
    let one = try OperatorRun("Pad", [input, integers([1, 0]), value, integers([-1])])
    #expect(one.shape == [2, 3] && one.floats == [9, 0, 1, 9, 2, 3])
    let old = try OperatorRun("Pad", opset: 10, ["pads": .ints([0, 1, 0, 0]), "value": .float(5)], [input])
    #expect(old.floats == [5, 0, 1, 5, 2, 3])
    let doubles = try OperatorRun(
      "Pad", opset: 9, ["pads": .ints([1, 0]), "value": .float(5)], [Tensor([1] as [Double], [1])])
    #expect(doubles.values() == [5, 1] as [Double])
    let edge = try OperatorRun(
      "Pad", ["mode": .string("reflect")], [counting([2, 2]), integers([1, 1, 0, 0])])
    #expect(edge.floats == [3, 2, 3, 1, 0, 1, 3, 2, 3])
    #expect(try OperatorRun("Pad", [floats([], [0]), integers([1, 1]), value]).floats == [9, 9])
  }

  @Test func padsThatDoNotFitAreRefused() throws {
    func message(_ mode: String, _ pads: [Int64], opset: Int = 21) throws -> String {
      try refusal("Pad", opset: opset, ["mode": .string(mode)], [counting([4]), integers(pads)])
    }
    #expect(try message("constant", [1]) == "1 pads are not two for each of 1 axes")
    #expect(try message("constant", [-3, -2]) == "pads of -3 and -2 do not go with a dimension of 4")
    #expect(
      try message("constant", [.max, .min])
        == "pads of \(Int64.max) and \(Int64.min) do not go with a dimension of 4")
    #expect(try message("reflect", [4, 0]) == "pads of 4 and 0 mirror more than a dimension of 4")
    #expect(try message("edge", [-4, 1]) == "pads of -4 and 1 have nothing to copy in a dimension of 4")
    #expect(try message("wrap", [1, 1], opset: 18) == "the mode 'wrap' is not known in opset 18")
    #expect(try message("mirror", [1, 1]) == "the mode 'mirror' is not known in opset 21")
    #expect(
      try refusal("Pad", opset: 17, [counting([4]), integers([1, 1]), nil, integers([0])])
        == "the operator does not take 4 inputs in opset 17")
  }
}
