import ApusEngine
import Testing

/// Functions of each element by itself.
@Suite struct ElementwiseTests {
  /// Expected numbers are those of NumPy and SciPy in double precision.
  @Test(
    arguments: [
      ("Abs", [2, 0.5, 3]), ("Neg", [2, -0.5, -3]), ("Sign", [-1, 1, 1]), ("Relu", [0, 0.5, 3]),
      ("Ceil", [-2, 1, 3]), ("Floor", [-2, 0, 3]), ("Round", [-2, 0, 3]), ("Reciprocal", [-0.5, 2, 1 / 3]),
      ("Exp", [0.1353352832366127, 1.6487212707001282, 20.085536923187668]),
      ("Erf", [-0.9953222650189527, 0.5204998778130465, 0.9999779095030014]),
      ("Sigmoid", [0.11920292202211755, 0.6224593312018546, 0.9525741268224334]),
      ("Tanh", [-0.9640275800758169, 0.46211715726000973, 0.9950547536867305]),
      ("Softplus", [0.1269280110429726, 0.9740769841801067, 3.0485873515737421]),
      ("Softsign", [-2 / 3, 1 / 3, 0.75]), ("HardSwish", [-1 / 3, 0.29166666666666666, 3]),
      ("Mish", [-0.2525014826957089, 0.3752452113048951, 2.9865350049679575]),
      ("LeakyRelu", [-0.02, 0.5, 3]), ("Elu", [-0.8646647167633873, 0.5, 3]),
      ("Celu", [-0.8646647167633873, 0.5, 3]),
      ("Selu", [-1.520166468595695, 0.5253505110710721, 3.1521030664264328]),
      ("HardSigmoid", [0.1, 0.6, 1]), ("ThresholdedRelu", [0, 0, 3]),
      ("Swish", [-0.2384058440442351, 0.3112296656009273, 2.8577223804673]),
      ("Gelu", [-0.04550026389635842, 0.34573123063700656, 2.9959503059051205]),
    ] as [(String, [Double])]) func functionsAgree(_ name: String, _ wanted: [Double]) throws
  {
    let input = try floats([-2, 0.5, 3])
    #expect(agree(try OperatorRun(name, opset: 24, [input]).floats, wanted.map { Float($0) }, 3e-7))
    let double = try OperatorRun(name, opset: 24, [Tensor([-2, 0.5, 3] as [Double], [3])])
    let tolerance = ["Selu", "LeakyRelu", "HardSigmoid"].contains(name) ? 1e-7 : 1e-14
    #expect(
      zip(double.values(of: Double.self), wanted).allSatisfy { abs($0 - $1) <= tolerance * max(1, abs($1)) },
      "\(double.values(of: Double.self))")
  }

  @Test func rootsAndLogarithmsOfWhatHasNoneAreNotNumbers() throws {
    let input = try floats([4, 0, -1])
    #expect(agree(try OperatorRun("Sqrt", [input]).floats, [2, 0, .nan]))
    #expect(agree(try OperatorRun("Log", [input]).floats, [1.3862943611198906, -.infinity, .nan]))
    #expect(try OperatorRun("Reciprocal", [input]).floats == [0.25, .infinity, -1])
  }

  @Test(arguments: ["Relu", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Sign", "Abs", "Elu", "Clip"])
  func notANumberStaysSo(_ name: String) throws {
    #expect(try OperatorRun(name, [floats([.nan])]).floats[0].isNaN)
  }

  @Test func largeNumbersDoNotOverflowOnTheWay() throws {
    let input = try floats([-1000, 1000])
    #expect(try OperatorRun("Sigmoid", [input]).floats == [0, 1])
    #expect(try OperatorRun("Softplus", [input]).floats == [0, 1000])
  }

  @Test func halvesAreRoundedToEvenNumbers() throws {
    let run = try OperatorRun("Round", [floats([0.5, 1.5, 2.5, -0.5, -1.5, 2.6])])
    #expect(run.floats == [0, 2, 2, 0, -2, 3])
  }

  @Test func wholeNumbersWrapAround() throws {
    let input = try integers([.min, -3, 4])
    #expect(try OperatorRun("Abs", [input]).integers == [.min, 3, 4])
    #expect(try OperatorRun("Neg", [input]).integers == [.min, 3, -4])
    #expect(try OperatorRun("Sign", [input]).integers == [-1, -1, 1])
    #expect(try OperatorRun("Relu", [input]).integers == [0, 0, 4])
    #expect(try refusal("Exp", [input]) == "int64 is not computed with here")
    #expect(try refusal("Relu", [truths([true])]) == "bool is not computed with here")
  }

  @Test func parametersAreTaken() throws {
    let input = try floats([-2, 3])
    #expect(try OperatorRun("LeakyRelu", ["alpha": .float(0.5)], [input]).floats == [-1, 3])
    #expect(
      try OperatorRun("HardSigmoid", ["alpha": .float(0.25), "beta": .float(1)], [input]).floats == [0.5, 1])
    #expect(try OperatorRun("ThresholdedRelu", ["alpha": .float(3)], [input]).floats == [0, 0])
    #expect(
      try OperatorRun("Selu", ["alpha": .float(2), "gamma": .float(3)], [floats([0, 1])]).floats == [0, 3])
    #expect(
      try refusal("LeakyRelu", ["beta": .float(1)], [input]) == "the attribute 'beta' is not known here")
    #expect(try OperatorRun("PRelu", [floats([-2, -2, 2]), floats([3, 4, 5])]).floats == [-6, -8, 2])
    #expect(
      try refusal("PRelu", [floats([1]), floats([3, 4])]) == "a slope of shape [2] cannot be broadcast to [1]"
    )
  }

  @Test func geluIsApproximatedByTanhWhereAsked() throws {
    let run = try OperatorRun("Gelu", ["approximate": .string("tanh")], [floats([-2, 0.5, 3])])
    #expect(agree(run.floats, [-0.0454023059122249, 0.34571400982514394, 2.996362607918227]))
    #expect(
      try refusal("Gelu", ["approximate": .string("sin")], [floats([1])])
        == "the approximation 'sin' is not known")
    #expect(try refusal("Gelu", opset: 19, [floats([1])]) == "the operator is not in opset 19, but from 20")
  }

  @Test func boundsAreAttributesAndThenInputs() throws {
    let input = try floats([-5, 0, 5, .nan])
    let old = try OperatorRun("Clip", opset: 10, ["min": .float(-1), "max": .float(2)], [input])
    #expect(agree(old.floats, [-1, 0, 2, .nan]))
    #expect(agree(try OperatorRun("Clip", opset: 6, [input]).floats, [-5, 0, 5, .nan]))
    #expect(
      agree(try OperatorRun("Clip", [input, floats([-1], []), floats([2], [])]).floats, [-1, 0, 2, .nan]))
    #expect(agree(try OperatorRun("Clip", [input, nil, floats([2], [])]).floats, [-5, 0, 2, .nan]))
    #expect(try OperatorRun("Clip", [integers([-5, 9]), integers([0], [])]).integers == [0, 9])
    #expect(try OperatorRun("Clip", [counting([3]), floats([2], []), floats([1], [])]).floats == [1, 1, 1])
    #expect(
      try refusal("Clip", opset: 10, [input, floats([1], [])])
        == "the operator does not take 2 inputs in opset 10")
    #expect(
      try refusal("Clip", opset: 11, ["min": .float(0)], [input]) == "the attribute 'min' is not known here")
    #expect(try refusal("Clip", [input, floats([1, 2])]) == "a bound is a scalar, not of shape [2]")
    #expect(try refusal("Clip", [input, integers([1], [])]) == "float32 and int64 do not go together")
  }

  @Test func predicatesFindWhatIsNoNumber() throws {
    let input = try floats([.nan, .infinity, -.infinity, 1])
    #expect(try OperatorRun("IsNaN", [input]).truths == [true, false, false, false])
    #expect(try OperatorRun("IsInf", [input]).truths == [false, true, true, false])
    #expect(
      try OperatorRun("IsInf", ["detect_negative": .int(0)], [input]).truths == [false, true, false, false])
    #expect(try refusal("Not", [input]) == "float32 is not computed with here")
  }

  @Test func dropoutPassesOn() throws {
    let data = try floats([1, 2])
    let masked = try OperatorRun("Dropout", [data, floats([0.5], [])], outputs: 2)
    #expect(masked.floats == [1, 2] && masked.values(1, of: TensorBool.self).map(\.value) == [true, true])
    #expect(
      try OperatorRun("Dropout", opset: 9, ["ratio": .float(0.3)], [data], outputs: 2).values(1) == [1, 1]
        as [Float])
    #expect(try OperatorRun("Dropout", opset: 10, ["ratio": .float(0.3)], [data]).outputs.count == 1)
    let still = try OperatorRun("Dropout", [data, floats([0], []), truths([true], [])])
    #expect(still.floats == [1, 2])
    for unknown in [[], [2]] as [Set<Int>] {
      #expect(
        try refusal("Dropout", [data, floats([0.5], []), truths([true], [])], unknown: unknown)
          == "training_mode is true: elements would be dropped by chance")
    }
    #expect(
      try refusal("Dropout", opset: 12, ["ratio": .float(0.3)], [data])
        == "the attribute 'ratio' is not known here")
  }
}
