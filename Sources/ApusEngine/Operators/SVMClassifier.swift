/// SVMClassifier: support vector machines that each compare two classes and vote, or a linear function for
/// each class where there are no support vectors; as ONNX Runtime computes it.
struct SVMClassifier: LabelledOperator {
  let name = "SVMClassifier"
  package let classLabels: ClassLabels
  let transform: PostTransform
  let kernel: SupportVectorKernel
  /// A row of features for each support vector, those of a class together; without support vectors a row of
  /// coefficients for each class.
  let vectors: [Float]
  /// Support vectors of each class; empty: linear functions.
  private let vectorsOfClass: [Int]
  let vectorCount: Int
  /// [classes - 1, support vectors].
  let coefficients: [Float]
  /// One for each pair of classes.
  let rho: [Float]
  var parameterCount: Int { vectors.count + coefficients.count + rho.count }
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
    vectorCount = counts.reduce(0, +)
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

  var isMachine: Bool { !vectorsOfClass.isEmpty }
  var features: Int { vectors.count / (isMachine ? vectorCount : classLabels.count) }
  /// Pairs of classes.
  var pairs: Int { classLabels.count * (classLabels.count - 1) / 2 }
  var hasProbabilities: Bool { isMachine && !probabilityFactors.isEmpty }
  var scores: Int {
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
    var floats = [Float](repeating: 0, count: workspaceFloats + (isMachine ? vectorCount : 0))
    floats.withUnsafeMutableBufferPointer { floats in
      let workspace = Workspace(floats.baseAddress.unsafelyUnwrapped, self)
      let kernels = floats.baseAddress.unsafelyUnwrapped + workspaceFloats
      for index in 0..<input.rows {
        input.read(index, of: view, into: &row)
        let scores = UnsafeMutableBufferPointer(rebasing: results[index * scores..<(index + 1) * scores])
        if isMachine {
          apply(row, to: kernels, count: vectorCount)
          scorePairs(kernels, workspace) { count, coefficients, kernels in
            var sum = 0.0
            for place in 0..<count { sum += Double(coefficients[place] * kernels[place]) }
            return sum
          }
          labels[index] = decide(workspace, scores)
        } else {
          apply(row, to: scores.baseAddress.unsafelyUnwrapped, count: scores.count)
          for place in scores.indices { scores[place] += rho[0] }
          labels[index] = linearLabel(scores)
          transform.apply(scores)
        }
      }
    }
  }

  /// The kernel of a row and each vector.
  private func apply(_ row: [Float], to values: UnsafeMutablePointer<Float>, count: Int) {
    vectors.withUnsafeBufferPointer { vectors in
      for index in 0..<count {
        values[index] = kernel.apply(row, vectors.baseAddress.unsafelyUnwrapped + index * features)
      }
    }
  }

  /// Memory of one run, used for each row.
  struct Workspace {
    /// One for each pair of classes.
    let pairScores: UnsafeMutablePointer<Float>
    /// One number for each class.
    fileprivate let votes: UnsafeMutablePointer<Float>
    fileprivate let coupling: PairwiseCoupling

    /// Invariant: `floats` covers `workspaceFloats` of the classifier while this is used.
    init(_ floats: UnsafeMutablePointer<Float>, _ classifier: SVMClassifier) {
      pairScores = floats
      votes = floats + classifier.pairs
      coupling = PairwiseCoupling(votes + classifier.classLabels.count, classes: classifier.classLabels.count)
    }
  }

  var workspaceFloats: Int {
    let classes = classLabels.count
    guard isMachine else { return 1 }
    return pairs + classes + (hasProbabilities ? PairwiseCoupling.floatCount(classes: classes) : 0)
  }

  /// The label where there are no support vectors, for scores before their transform.
  func linearLabel(_ scores: UnsafeMutableBufferPointer<Float>) -> Int64 {
    var best = 0
    for index in 0..<scores.count where scores[index] > scores[best] { best = index }
    let isPair = classLabels.count == 2 && probabilityFactors.isEmpty
    return isPair ? secondOfTwo(best, scores[best]) : classLabels.output(best)
  }

  /// The label, and the scores that are told, by the scores of pairs.
  func decide(_ workspace: Workspace, _ scores: UnsafeMutableBufferPointer<Float>) -> Int64 {
    let best = countVotes(workspace)
    if hasProbabilities {
      workspace.coupling.probabilities(
        workspace.pairScores, probabilityFactors, probabilityOffsets, into: scores)
      transform.apply(scores)
      return classLabels.output(best)
    }
    if classLabels.count == 2 {
      scores[0] = workspace.pairScores[0]
      transform.expand(scores, transform == .none ? .opposite : .complement)
      return secondOfTwo(best, 0)
    }
    for index in 0..<scores.count { scores[index] = workspace.pairScores[index] }
    transform.apply(scores)
    return classLabels.output(best)
  }

  /// The label of one of two classes without probabilities.
  private func secondOfTwo(_ best: Int, _ weight: Float) -> Int64 {
    let isPositive = hasOnlyPositiveWeights ? weight >= 0.5 : weight > 0
    return classLabels.output(isPositive ? 1 : best)
  }

  /// The class with most votes, of which each pair of classes has one.
  private func countVotes(_ workspace: Workspace) -> Int {
    let classes = classLabels.count
    let votes = workspace.votes
    for index in 0..<classes { votes[index] = 0 }
    var pair = 0
    for first in 0..<classes - 1 {
      for second in first + 1..<classes {
        votes[workspace.pairScores[pair] > 0 ? first : second] += 1
        pair += 1
      }
    }
    var best = 0
    for index in 0..<classes where votes[index] > votes[best] { best = index }
    return best
  }

  /// Computes the score of each pair of classes.
  ///
  /// - Parameters:
  ///   - kernels: one for each support vector.
  ///   - dot: the sum of products, in double precision, of so many numbers.
  @inline(__always)
  func scorePairs(
    _ kernels: UnsafePointer<Float>, _ workspace: Workspace,
    _ dot: (Int, UnsafePointer<Float>, UnsafePointer<Float>) -> Double
  ) {
    coefficients.withUnsafeBufferPointer { coefficients in
      guard let start = coefficients.baseAddress else { return }
      forEachPair { pair, weights in
        let (one, other) = weights
        let sum =
          dot(one.count, start + one.coefficients, kernels + one.first)
          + dot(other.count, start + other.coefficients, kernels + other.first)
        workspace.pairScores[pair] = Float(sum + Double(rho[pair]))
      }
    }
  }

  /// Support vectors of one class, and where their coefficients are in the comparison with another.
  struct Weights {
    let first: Int
    let count: Int
    let coefficients: Int
  }

  /// Calls for each pair of classes with what weighs in it.
  @inline(__always)
  func forEachPair(_ body: (_ pair: Int, (Weights, Weights)) -> Void) {
    var pair = 0
    var startOfFirst = 0
    for first in 0..<classLabels.count - 1 {
      let countOfFirst = vectorsOfClass[first]
      var startOfSecond = startOfFirst + countOfFirst
      for second in first + 1..<classLabels.count {
        let countOfSecond = vectorsOfClass[second]
        body(
          pair,
          (
            Weights(
              first: startOfFirst, count: countOfFirst,
              coefficients: (second - 1) * vectorCount + startOfFirst),
            Weights(
              first: startOfSecond, count: countOfSecond, coefficients: first * vectorCount + startOfSecond)
          ))
        pair += 1
        startOfSecond += countOfSecond
      }
      startOfFirst += countOfFirst
    }
  }

  static let entries = [
    OperatorEntry("SVMClassifier", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try SVMClassifier(node.attributes)
    }
  ]
}
