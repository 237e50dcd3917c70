import ApusBase
import Testing

@testable import ApusEngine

/// Quick kernels of ai.onnx.ml's operators, compared with their plain forms for batches of several sizes.
@Suite struct FeatureKernelTests {
  typealias Values = [String: Attributes.Attribute]

  private static let domain = "ai.onnx.ml"
  private static let transforms = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]

  /// Compares an operator's last output, and the labels that may come before it.
  private func check<Element: TensorElement>(
    _ name: String, _ attributes: Values, _ input: [Element], columns: Int, isLabelled: Bool = false,
    tolerance: Float = 0, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for output in isLabelled ? ["scores", "label"] : ["scores"] {
      var builder = GraphBuilder()
      builder.opset = 3
      builder.input("x", [nil, columns], Element.elementType)
      try builder.node(
        name, ["x"], isLabelled ? ["label", "scores"] : ["scores"], attributes, domain: Self.domain)
      builder.opset = 13
      try builder.node("Cast", [output], ["y"], ["to": .int(1)])
      let check = try GraphCheck(builder)
      #expect(try check.isQuick(), "\(name)", sourceLocation: sourceLocation)
      for rows in [1, 2, 3, 17, 128] where rows * columns <= input.count {
        let numbers = Array(input.prefix(rows * columns))
        let plain = try check.run(numbers, rows: rows, isPlain: true)
        let quick = try check.run(numbers, rows: rows, isPlain: false)
        let apart = zip(plain, quick).map {
          $0 == $1 || $0.isNaN && $1.isNaN ? 0 : abs($0 - $1) / max(1, abs($0))
        }
        let allowed = output == "label" ? 0 : tolerance
        let worst = apart.max { !($0 >= $1) } ?? 0
        #expect(
          plain.count == quick.count && worst <= allowed, "\(name) \(output), \(rows) rows, \(worst) apart",
          sourceLocation: sourceLocation)
      }
    }
  }

  /// Whole numbers, so that sums are exact and equal scores are equal in any order.
  private func halves(_ count: Int, _ random: inout SeededRandom) -> [Float] {
    (0..<count).map { _ in Float(random.integer(-8...8)) / 2 }
  }

  // MARK: - Linear models

  @Test(arguments: 0..<20) func linearClassifiers(seed: Int) throws {
    var random = SeededRandom(seed + 5000)
    let columns = random.integer(1...70)
    let classes = random.integer(1...12)
    var attributes: Values = [
      "coefficients": .floats(random.floats(classes * columns, -0.3...0.3)),
      "intercepts": .floats(random.floats(classes)),
      "classlabels_ints": .ints((0..<classes).map { 7 * $0 - 3 }),
    ]
    let input = random.floats(128 * columns)
    try check("LinearClassifier", attributes, input, columns: columns, isLabelled: true, tolerance: 3e-6)
    // Near 0 and 1 a probit makes much of a score's last digit: here sums are exact.
    for transform in Self.transforms {
      attributes["coefficients"] = .floats(halves(classes * columns, &random).map { $0 / 16 })
      attributes["intercepts"] = .floats(halves(classes, &random))
      attributes["post_transform"] = .string(transform)
      let input = halves(128 * columns, &random)
      try check("LinearClassifier", attributes, input, columns: columns, isLabelled: true, tolerance: 4e-7)
    }
  }

  @Test(arguments: transforms, [["no"], ["no", "yes"]])
  func singleLinearFunctions(_ transform: String, labels: [String]) throws {
    var random = SeededRandom(labels.count)
    let attributes: Values = [
      "coefficients": .floats(halves(9, &random)), "intercepts": .floats([0.5]),
      "post_transform": .string(transform), "classlabels_strings": .strings(labels),
    ]
    let input = halves(128 * 9, &random)
    try check("LinearClassifier", attributes, input, columns: 9, isLabelled: true, tolerance: 2e-7)
  }

  @Test(arguments: [2, 3, 16, 17, 40]) func firstOfEqualScoresIsTheLabel(classes: Int) throws {
    var random = SeededRandom(classes)
    let vectors = (0..<2).map { _ in halves(5, &random) }
    let attributes: Values = [
      "coefficients": .floats((0..<classes).flatMap { vectors[$0 * 7 % 5 % 2] }),
      "classlabels_ints": .ints(Array(0..<classes)),
    ]
    let input = halves(128 * 5, &random)
    try check("LinearClassifier", attributes, input, columns: 5, isLabelled: true)
    let whole = input.map { Int64($0 * 2) }
    try check("LinearClassifier", attributes, whole, columns: 5, isLabelled: true)
    try check("LinearClassifier", attributes, whole.map { Int32($0) }, columns: 5, isLabelled: true)
    try check("LinearClassifier", attributes, input.map { Double($0) }, columns: 5, isLabelled: true)
  }

  @Test(arguments: transforms, [1, 3]) func linearRegressors(_ transform: String, targets: Int) throws {
    var random = SeededRandom(targets)
    let attributes: Values = [
      "coefficients": .floats(random.floats(targets * 21, -0.2...0.2)), "targets": .int(targets),
      "intercepts": .floats(random.floats(targets, 0...1)), "post_transform": .string(transform),
    ]
    try check("LinearRegressor", attributes, random.floats(128 * 21), columns: 21, tolerance: 3e-5)
    let whole = (0..<128 * 21).map { _ in Int64(random.integer(-3...3)) }
    try check("LinearRegressor", attributes, whole, columns: 21, tolerance: 3e-5)
  }

  @Test func rowsMayLieApart() throws {
    var random = SeededRandom(4)
    var builder = GraphBuilder()
    builder.opset = 3
    builder.input("x", [nil, 6])
    try builder.node(
      "Scaler", ["x"], ["s"], ["offset": .floats(random.floats(6)), "scale": .floats(random.floats(6))],
      domain: Self.domain)
    try builder.node(
      "LinearRegressor", ["s"], ["y"], ["coefficients": .floats(random.floats(12)), "targets": .int(2)],
      domain: Self.domain)
    let program = try Program(builder.graph("y"))
    let input = random.floats(5 * 9)
    var dense: [Float] = []
    for row in 0..<5 { dense += input[row * 9..<row * 9 + 6] }
    let expected = try run(program, dense, rows: 5, by: 5)
    var output = [Float](repeating: 77, count: 5 * 3)
    let arena = AlignedBuffer(byteCount: program.arenaBytes)
    try program.run(
      rows: 5, input: input, inputStride: 9, output: &output, outputStride: 3, arena: arena.baseAddress)
    for row in 0..<5 { #expect(output[3 * row..<3 * row + 3] == expected[2 * row..<2 * row + 2] + [77]) }
  }

  // MARK: - Support vectors

  private static let kernels = ["LINEAR", "POLY", "RBF", "SIGMOID"]

  @Test(arguments: kernels, 0..<6) func supportVectorClassifiers(_ kernel: String, seed: Int) throws {
    var random = SeededRandom(seed + 6000)
    let classes = seed % 3 == 0 ? 2 : random.integer(3...6)
    let counts = (0..<classes).map { _ in random.integer(1...9) }
    let vectors = counts.reduce(0, +)
    let columns = random.integer(1...40)
    let pairs = classes * (classes - 1) / 2
    for transform in Self.transforms {
      var attributes: Values = [
        "kernel_type": .string(kernel), "kernel_params": .floats([0.05, 0.3, Float(random.integer(1...4))]),
        "vectors_per_class": .ints(counts), "support_vectors": .floats(random.floats(vectors * columns)),
        "coefficients": .floats(random.floats(vectors * (classes - 1))), "rho": .floats(random.floats(pairs)),
        "post_transform": .string(transform),
      ]
      if seed % 2 == 0 {
        attributes["classlabels_ints"] = .ints((0..<classes).map { 5 - $0 })
        attributes["prob_a"] = .floats(random.floats(pairs))
        attributes["prob_b"] = .floats(random.floats(pairs))
      } else {
        attributes["classlabels_strings"] = .strings((0..<classes).map { "\($0)" })
      }
      let input = random.floats(128 * columns)
      try check("SVMClassifier", attributes, input, columns: columns, isLabelled: true, tolerance: 2e-4)
    }
  }

  /// As far from zero as dates are, where |x|² - 2xs + |s|² would have no digits left.
  @Test func distancesOfLargeFeaturesAreExact() throws {
    var random = SeededRandom(8)
    let far = { (count: Int) in random.floats(count, 0...1).map { 100_000 + $0.rounded() } }
    let attributes: Values = [
      "kernel_type": .string("RBF"), "kernel_params": .floats([0.125, 0, 0]),
      "vectors_per_class": .ints([10, 9]), "support_vectors": .floats(far(19 * 10)),
      "coefficients": .floats(random.floats(19)), "rho": .floats([0.25]),
      "classlabels_ints": .ints([0, 1]),
    ]
    try check("SVMClassifier", attributes, far(128 * 10), columns: 10, isLabelled: true, tolerance: 1e-6)
  }

  @Test(arguments: transforms, [2, 4])
  func linearFunctionsOfClasses(_ transform: String, classes: Int) throws {
    var random = SeededRandom(classes)
    let attributes: Values = [
      "coefficients": .floats(halves(classes * 7, &random).map { classes == 4 ? abs($0) : $0 }),
      "rho": .floats([-0.5]), "post_transform": .string(transform),
      "classlabels_ints": .ints(Array(0..<classes)),
    ]
    let input = halves(128 * 7, &random)
    try check("SVMClassifier", attributes, input, columns: 7, isLabelled: true, tolerance: 2e-6)
  }

  @Test(arguments: kernels, [0, 1]) func supportVectorRegressors(_ kernel: String, oneClass: Int) throws {
    var random = SeededRandom(oneClass)
    let attributes: Values = [
      "kernel_type": .string(kernel), "kernel_params": .floats([0.05, 0.3, 3]), "n_supports": .int(37),
      "support_vectors": .floats(random.floats(37 * 11)), "coefficients": .floats(random.floats(37)),
      "rho": .floats([0.3]), "one_class": .int(oneClass),
    ]
    try check("SVMRegressor", attributes, random.floats(128 * 11), columns: 11, tolerance: 1e-5)
    let whole = (0..<128 * 11).map { _ in Int32(random.integer(-2...2)) }
    try check("SVMRegressor", attributes, whole, columns: 11, tolerance: 1e-5)
    try check(
      "SVMRegressor", ["coefficients": .floats(random.floats(11)), "rho": .floats([1])],
      random.floats(128 * 11), columns: 11, tolerance: 1e-6)
  }

  // MARK: - Features

  @Test(arguments: [1, 4, 16, 33]) func scalers(columns: Int) throws {
    var random = SeededRandom(columns)
    for (offsets, scales) in [(columns, columns), (1, columns), (columns, 1), (1, 1)] {
      let attributes: Values = [
        "offset": .floats(random.floats(offsets)), "scale": .floats(random.floats(scales)),
      ]
      try checkAllTypes("Scaler", attributes, columns, tolerance: 0, &random)
    }
  }

  @Test(arguments: ["MAX", "L1", "L2"], [1, 4, 16, 33])
  func normalizers(_ norm: String, columns: Int) throws {
    var random = SeededRandom(columns)
    try checkAllTypes("Normalizer", ["norm": .string(norm)], columns, tolerance: 1.2e-7, &random)
    // Rows of zeros, and of what is no number in the first place and elsewhere.
    var hard = [Float](repeating: 0, count: 4 * columns) + random.floats(4 * columns)
    (hard[columns], hard[3 * columns - 1], hard[4 * columns]) = (.nan, .nan, -.infinity)
    for index in 5 * columns..<6 * columns { hard[index] = -1 - abs(hard[index]) }
    try check("Normalizer", ["norm": .string(norm)], hard, columns: columns, tolerance: 1.2e-7)
  }

  private func checkAllTypes(
    _ name: String, _ attributes: Values, _ columns: Int, tolerance: Float, _ random: inout SeededRandom
  ) throws {
    let input = random.floats(128 * columns, -1000...1000)
    try check(name, attributes, input, columns: columns, tolerance: tolerance)
    let doubles = input.map { Double($0) / 3 }
    try check(name, attributes, doubles, columns: columns, tolerance: tolerance)
    try check(name, attributes, input.map { Int64($0) << 20 }, columns: columns, tolerance: tolerance)
    try check(name, attributes, input.map { Int32($0) << 10 }, columns: columns, tolerance: tolerance)
  }

  @Test(arguments: [Float.nan, 2]) func imputers(_ missing: Float) throws {
    var random = SeededRandom(3)
    let floats = (0..<128 * 9).map { _ in random.flag() ? missing : Float(random.integer(0...3)) }
    for count in [1, 9] {
      let real: Values = [
        "imputed_value_floats": .floats(random.floats(count)), "replaced_value_float": .float(missing),
      ]
      try check("Imputer", real, floats, columns: 9)
      try check("Imputer", real, floats.map { Double($0) }, columns: 9)
      let whole: Values = [
        "imputed_value_int64s": .ints((0..<count).map { -$0 }), "replaced_value_int64": .int(2),
      ]
      let numbers = (0..<128 * 9).map { _ in Int64(random.integer(0...3)) }
      try check("Imputer", whole, numbers, columns: 9)
      try check("Imputer", whole, numbers.map { Int32($0) }, columns: 9)
    }
  }

  @Test func encodersAndBinarizers() throws {
    var random = SeededRandom(6)
    let floats = (0..<128 * 3).map { _ in
      random.integer(0...9) == 0 ? Float.nan : Float(random.integer(-4...4))
    }
    let whole = (0..<128 * 3).map { _ in Int64(random.integer(-4...4)) }
    let keys: Values = ["keys_int64s": .ints([3, -1, 0, 3]), "values_floats": .floats([1.5, 2.5, 3.5, 9])]
    try check("LabelEncoder", keys, whole, columns: 3)
    let real: Values = ["keys_floats": .floats([.nan, 2, -0.0]), "values_int64s": .ints([10, 20, 30])]
    try check("LabelEncoder", real, floats, columns: 3)
    try check("OneHotEncoder", ["cats_int64s": .ints([2, 0, -3])], whole, columns: 3)
    try check("OneHotEncoder", ["cats_int64s": .ints([2, 0, -3])], floats, columns: 3)
    try check("Binarizer", ["threshold": .float(0.5)], floats, columns: 3)
    try check("Binarizer", ["threshold": .float(0.5)], floats.map { Double($0) }, columns: 3)
  }

  @Test func columnsAreChosenAndJoined() throws {
    var random = SeededRandom(7)
    var builder = GraphBuilder()
    builder.opset = 1
    builder.input("x", [nil, 8], .int64)
    try builder.constant("a", [7, 0, 7] as [Int64], [3])
    try builder.constant("b", [3] as [Int64], [1, 1])
    try builder.node("ArrayFeatureExtractor", ["x", "a"], ["xa"], domain: Self.domain)
    try builder.node("ArrayFeatureExtractor", ["x", "b"], ["xb"], domain: Self.domain)
    try builder.node("Scaler", ["xb"], ["sb"], ["scale": .floats([0.5])], domain: Self.domain)
    try builder.node("FeatureVectorizer", ["xa", "sb", "x"], ["v"], domain: Self.domain)
    let labels: Values = ["classlabels_int64s": .ints(Array(0..<12))]
    try builder.node("ZipMap", ["v"], ["y"], labels, domain: Self.domain)
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees((0..<128 * 8).map { _ in Int64(random.integer(-99...99)) })
    #expect(try Program(builder.graph("y")).descriptions.count == 4)
  }

  @Test func columnsThatAreNotThereAreRefusedWhileRunning() throws {
    var builder = GraphBuilder()
    builder.opset = 1
    builder.input("y", [nil, 1], .int64)
    try builder.constant("x", [1, 2, 3] as [Float], [3])
    try builder.node("ArrayFeatureExtractor", ["x", "y"], ["e"], domain: Self.domain)
    try builder.constant("rows", [-1, 1] as [Int64], [2])
    builder.opset = 14
    try builder.node("Reshape", ["e", "rows"], ["z"])
    let check = try GraphCheck(builder, "z")
    #expect(try check.run([2, 0, 1] as [Int64], rows: 3, isPlain: false) == [3, 1, 2])
    for index in [3, -1, Int64.min] {
      #expect(throws: GraphError("n0: the index \(index) leads out of a dimension of 3")) {
        try check.run([index], rows: 1, isPlain: false)
      }
    }
  }
}
