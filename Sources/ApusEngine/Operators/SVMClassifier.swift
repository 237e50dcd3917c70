/// SVMClassifier: support vector machines that each compare two classes and vote, or a linear function for
/// each class where there are no support vectors; as ONNX Runtime computes it.
struct SVMClassifier: LabelledOperator {
  let name = "SVMClassifier"
  package let classLabels: ClassLabels
  let transform: PostTransform
  private let kernel: SupportVectorKernel
  /// A row of features for each support vector, those of a class together; without support vectors a row of
  /// coefficients for each class.
  private let vectors: [Float]
  /// Support vectors of each class; empty: linear functions.
  private let vectorsOfClass: [Int]
  /// [classes - 1, support vectors].
  private let coefficients: [Float]
  /// One for each pair of classes.
  private let rho: [Float]
  /// For each pair of classes what makes a probability of its score; empty: no probabilities.
  private let probabilityFactors: [Float]
  private let probabilityOffsets: [Float]
  private let hasOnlyPositiveWeights: Bool

  init(_ attributes: Attributes) throws(GraphError) {
    try attributes.only(
      "classlabels_ints", "classlabels_strings", "coefficients", "kernel_params", "kernel_type",
      "post_transform", "prob_a", "prob_b", "rho", "support_vectors", "vectors_per_class")
    classLabels = try ClassLabels(attributes, integers: "classlabels_ints", texts: "classlabels_strings")
    transform = try PostTransform(attributes)
    let weights = try attributes.floats("coefficients") ?? []
    rho = try attributes.floats("rho") ?? []
    probabilityFactors = try attributes.floats("prob_a") ?? []
    probabilityOffsets = try attributes.floats("prob_b") ?? []
    hasOnlyPositiveWeights = weights.allSatisfy { $0 >= 0 }
    let counts = try attributes.ints("vectors_per_class") ?? []
    guard counts.allSatisfy({ 0...Int(Int32.max) ~= $0 }), counts.count < 65536, classLabels.count < 65536
    else {
      throw GraphError("vectors_per_class does not hold numbers of support vectors")
    }
    guard !weights.isEmpty, !rho.isEmpty else { throw GraphError("coefficients or rho are missing") }
    let isLinear = counts.reduce(0, +) == 0
    kernel = try SupportVectorKernel(attributes, isLinear: isLinear)
    coefficients = weights
    vectorsOfClass = isLinear ? [] : counts
    vectors = isLinear ? weights : try attributes.floats("support_vectors") ?? []
    try check()
  }

  /// - Throws: `GraphError` where the attributes are not of sizes that fit together.
  private func check() throws(GraphError) {
    let classes = classLabels.count
    guard isMachine else {
      guard vectors.count % classes == 0 else {
        throw GraphError("\(vectors.count) coefficients are not those of \(classes) classes")
      }
      return
    }
    let vectorCount = vectorCount
    guard classes >= 2, vectorsOfClass.count == classes, !vectors.isEmpty, vectors.count % vectorCount == 0
    else {
      throw GraphError(
        "\(vectors.count) numbers are not \(vectorCount) support vectors of \(classes) classes")
    }
    guard coefficients.count >= (classes - 1) * vectorCount, rho.count >= pairs,
      probabilityFactors.count == probabilityOffsets.count,
      probabilityFactors.isEmpty || probabilityFactors.count >= pairs
    else {
      throw GraphError("coefficients, rho, prob_a or prob_b are too few for \(classes) classes")
    }
  }

  private var isMachine: Bool { !vectorsOfClass.isEmpty }
  private var vectorCount: Int { vectorsOfClass.reduce(0, +) }
  private var features: Int { vectors.count / (isMachine ? vectorCount : classLabels.count) }
  /// Pairs of classes.
  private var pairs: Int { classLabels.count * (classLabels.count - 1) / 2 }
  private var hasProbabilities: Bool { isMachine && !probabilityFactors.isEmpty }
  private var scores: Int {
    guard isMachine, !hasProbabilities else { return classLabels.count }
    return classLabels.count > 2 ? pairs : 2
  }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try FeatureMatrix(inputs.required(0, "X"))
    guard input.columns == features else {
      throw GraphError("X has \(input.columns) features, not \(features)")
    }
    return [try TensorType(.int64, [input.rows]), try TensorType(.float32, [input.rows, scores])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    let view = inputs[required: 0]
    let input = try FeatureMatrix(view.type.shape)
    let labels = outputs[0].elements(Int64.self)
    let results = outputs[1].elements(Float.self)
    var row = [Float](repeating: 0, count: input.columns)
    var workspace = Workspace(
      kernels: [Float](repeating: 0, count: isMachine ? vectorCount : 0),
      pairScores: [Float](repeating: 0, count: isMachine ? pairs : 0),
      votes: [Int](repeating: 0, count: isMachine ? classLabels.count : 0),
      coupling: hasProbabilities ? PairwiseCoupling(classes: classLabels.count) : nil)
    for index in 0..<input.rows {
      input.read(index, of: view, into: &row)
      let scores = UnsafeMutableBufferPointer(rebasing: results[index * scores..<(index + 1) * scores])
      labels[index] =
        isMachine ? machine(row, scores, &workspace) : linear(row, scores)
    }
  }

  /// Memory of one run, used for each row.
  private struct Workspace {
    var kernels: [Float]
    var pairScores: [Float]
    var votes: [Int]
    var coupling: PairwiseCoupling?
  }

  private func linear(_ row: [Float], _ scores: UnsafeMutableBufferPointer<Float>) -> Int64 {
    vectors.withUnsafeBufferPointer { vectors in
      for index in scores.indices {
        scores[index] = kernel.apply(row, vectors.baseAddress.unsafelyUnwrapped + index * features) + rho[0]
      }
    }
    var best = 0
    for index in scores.indices where scores[index] > scores[best] { best = index }
    let isPair = classLabels.count == 2 && probabilityFactors.isEmpty
    let label = isPair ? secondOfTwo(best, scores[best]) : classLabels.output(best)
    transform.apply(scores)
    return label
  }

  private func machine(
    _ row: [Float], _ scores: UnsafeMutableBufferPointer<Float>, _ workspace: inout Workspace
  ) -> Int64 {
    vectors.withUnsafeBufferPointer { vectors in
      for index in workspace.kernels.indices {
        workspace.kernels[index] = kernel.apply(
          row, vectors.baseAddress.unsafelyUnwrapped + index * features)
      }
    }
    vote(&workspace)
    var best = 0
    for index in workspace.votes.indices where workspace.votes[index] > workspace.votes[best] { best = index }
    if hasProbabilities {
      workspace.coupling?.probabilities(
        workspace.pairScores, probabilityFactors, probabilityOffsets, into: scores)
      transform.apply(scores)
      return classLabels.output(best)
    }
    if classLabels.count == 2 {
      scores[0] = workspace.pairScores[0]
      transform.expand(scores, transform == .none ? .opposite : .complement)
      return secondOfTwo(best, 0)
    }
    for index in scores.indices { scores[index] = workspace.pairScores[index] }
    transform.apply(scores)
    return classLabels.output(best)
  }

  /// The label of one of two classes without probabilities.
  private func secondOfTwo(_ best: Int, _ weight: Float) -> Int64 {
    let isPositive = hasOnlyPositiveWeights ? weight >= 0.5 : weight > 0
    return classLabels.output(isPositive ? 1 : best)
  }

  /// Computes the score of each pair of classes, and a vote for one of them.
  private func vote(_ workspace: inout Workspace) {
    let classes = classLabels.count
    let vectorCount = vectorCount
    for index in workspace.votes.indices { workspace.votes[index] = 0 }
    var pair = 0
    var startOfFirst = 0
    for first in 0..<classes - 1 {
      var startOfSecond = startOfFirst + vectorsOfClass[first]
      for second in first + 1..<classes {
        var sum = 0.0
        for place in startOfFirst..<startOfFirst + vectorsOfClass[first] {
          sum += Double(coefficients[(second - 1) * vectorCount + place] * workspace.kernels[place])
        }
        for place in startOfSecond..<startOfSecond + vectorsOfClass[second] {
          sum += Double(coefficients[first * vectorCount + place] * workspace.kernels[place])
        }
        sum += Double(rho[pair])
        workspace.pairScores[pair] = Float(sum)
        workspace.votes[sum > 0 ? first : second] += 1
        pair += 1
        startOfSecond += vectorsOfClass[second]
      }
      startOfFirst += vectorsOfClass[first]
    }
  }

  static let entries = [
    OperatorEntry("SVMClassifier", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try SVMClassifier(node.attributes)
    }
  ]
}

/// Probabilities of classes from those that one of two is the right one, by the method of Wu, Lin and Weng
/// ("Probability estimates for multi-class classification by pairwise coupling", 2004, the second) as LIBSVM
/// has it.
struct PairwiseCoupling {
  private let classes: Int
  /// [first, second]: that the first is right if one of both is.
  private var pairwise: [Float]
  private var matrix: [Float]
  private var products: [Float]

  init(classes: Int) {
    self.classes = classes
    pairwise = [Float](repeating: 0, count: classes * classes)
    matrix = pairwise
    products = [Float](repeating: 0, count: classes)
  }

  mutating func probabilities(
    _ scores: [Float], _ factors: [Float], _ offsets: [Float],
    into result: UnsafeMutableBufferPointer<Float>
  ) {
    var pair = 0
    for first in 0..<classes - 1 {
      for second in first + 1..<classes {
        let chance = 1 - PostTransform.logistic(scores[pair] * factors[pair] + offsets[pair])
        let bounded = min(max(chance, 1e-7), 1 - 1e-7)
        pairwise[first * classes + second] = bounded
        pairwise[second * classes + first] = 1 - bounded
        pair += 1
      }
    }
    fillMatrix()
    for index in 0..<classes { result[index] = 1 / Float(classes) }
    for _ in 0..<100 {
      guard improve(result) else { break }
    }
  }

  private mutating func fillMatrix() {
    for row in 0..<classes {
      var diagonal: Float = 0
      for column in 0..<classes where column != row {
        let other = pairwise[column * classes + row]
        diagonal += other * other
        matrix[row * classes + column] = -other * pairwise[row * classes + column]
      }
      matrix[row * classes + row] = diagonal
    }
  }

  /// One step; false where the result was good before it.
  private mutating func improve(_ result: UnsafeMutableBufferPointer<Float>) -> Bool {
    var whole: Float = 0
    for row in 0..<classes {
      products[row] = 0
      for column in 0..<classes { products[row] += matrix[row * classes + column] * result[column] }
      whole += result[row] * products[row]
    }
    var error: Float = 0
    for row in 0..<classes { error = max(error, abs(products[row] - whole)) }
    guard error >= 0.005 / Float(classes) else { return false }
    for row in 0..<classes {
      let diagonal = matrix[row * classes + row]
      let change = (whole - products[row]) / diagonal
      result[row] += change
      whole = (whole + change * (change * diagonal + 2 * products[row])) / (1 + change) / (1 + change)
      for column in 0..<classes {
        products[column] = (products[column] + change * matrix[row * classes + column]) / (1 + change)
        result[column] /= 1 + change
      }
    }
    return true
  }
}
