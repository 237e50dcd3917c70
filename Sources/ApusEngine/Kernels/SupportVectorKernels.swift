import CApusKernels
import Glibc

/// SVMClassifier: kernels of some rows and all support vectors at a time; of linear kernels what each pair of
/// classes makes of them is one vector.
struct SVMClassifierKernel: FeatureKernel {
  private enum Form {
    /// The vectors are the support vectors.
    case kernels
    /// The vectors give the scores of pairs of classes.
    case pairs
    /// There are no support vectors: the vectors give the scores of classes.
    case classes
  }

  private let classifier: SVMClassifier
  let features: FeatureRows
  private let form: Form
  private let vectors: FeatureVectors
  /// What is added to products.
  private let offsets: [Float]

  init?(_ classifier: SVMClassifier, _ types: KernelTypes) {
    guard let features = FeatureRows(types) else { return nil }
    self.classifier = classifier
    self.features = features
    var numbers = classifier.vectors
    if !classifier.isMachine {
      form = .classes
      offsets = [Float](repeating: classifier.rho[0], count: classifier.classLabels.count)
    } else if classifier.kernel.kind == .linear, classifier.pairs <= classifier.vectorCount {
      form = .pairs
      offsets = Array(classifier.rho.prefix(classifier.pairs))
      numbers = classifier.vectorsOfPairs()
    } else {
      form = .kernels
      offsets = []
    }
    vectors = FeatureVectors(numbers, features: features.columns)
  }

  /// The rows as floats, kernels or scores of a block of rows, and the classifier's workspace.
  func scratchBytes(rows: Int) -> Int {
    let block = min(features.resolved(rows: rows), blockRows)
    return valuesOffset(rows: rows) + 4 * (block * vectors.count + classifier.workspaceFloats)
  }

  private func valuesOffset(rows: Int) -> Int { (features.floatBytes(rows: rows) + 63) & ~63 }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let x = features.floats(rows: rows, run, in: run.scratch) else { return }
    let values = (run.scratch + valuesOffset(rows: rows)).assumingMemoryBound(to: Float.self)
    let rows = features.resolved(rows: rows)
    var labels = run.outputAddress(0).assumingMemoryBound(to: Int64.self)
    var scores = run.outputAddress(1).assumingMemoryBound(to: Float.self)
    let workspace = SVMClassifier.Workspace(values + min(rows, blockRows) * vectors.count, classifier)
    var first = 0
    while first < rows {
      let block = min(rows - first, blockRows)
      let part = (start: x.start + first * x.stride, stride: x.stride)
      if form == .kernels {
        classifier.kernel.values(block, part, vectors, to: values)
      } else {
        vectors.products(block, part, offsets, to: values, stride: vectors.count)
      }
      for row in 0..<block {
        let scoresOfRow = UnsafeMutableBufferPointer(start: scores, count: classifier.scores)
        labels[0] = label(values + row * vectors.count, workspace, scoresOfRow)
        labels += 1
        scores += classifier.scores
      }
      first += block
    }
  }

  private func label(
    _ values: UnsafePointer<Float>, _ workspace: SVMClassifier.Workspace,
    _ scores: UnsafeMutableBufferPointer<Float>
  ) -> Int64 {
    switch form {
    case .kernels: classifier.scorePairs(values, workspace) { apus_dot($0, $1, $2) }
    case .pairs: workspace.pairScores.update(from: values, count: vectors.count)
    case .classes:
      for index in 0..<scores.count { scores[index] = values[index] }
      let label = classifier.linearLabel(scores)
      classifier.transform.apply(scores)
      return label
    }
    return classifier.decide(workspace, scores)
  }

  var ownBytes: Int { vectors.byteCount }
  var description: String { "\(classifier.name) \(features.columns) x \(vectors.count)" }
}

/// SVMRegressor: kernels of some rows and all support vectors at a time; linear kernels are one vector.
struct SVMRegressorKernel: FeatureKernel {
  private let regressor: SVMRegressor
  let features: FeatureRows
  private let vectors: FeatureVectors
  private let isLinear: Bool
  private let offset: [Float]

  init?(_ regressor: SVMRegressor, _ types: KernelTypes) {
    guard let features = FeatureRows(types) else { return nil }
    self.regressor = regressor
    self.features = features
    isLinear = regressor.kernel.kind == .linear
    offset = isLinear ? [regressor.rho] : []
    var numbers = regressor.vectors
    if isLinear, !regressor.coefficients.isEmpty {
      var sum = VectorSum(features: features.columns)
      sum.add(regressor.coefficients[...], regressor.vectors[...])
      numbers = sum.rounded
    }
    vectors = FeatureVectors(numbers, features: features.columns)
  }

  func scratchBytes(rows: Int) -> Int {
    valuesOffset(rows: rows) + 4 * min(features.resolved(rows: rows), blockRows) * vectors.count
  }

  private func valuesOffset(rows: Int) -> Int { (features.floatBytes(rows: rows) + 63) & ~63 }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let x = features.floats(rows: rows, run, in: run.scratch) else { return }
    let values = (run.scratch + valuesOffset(rows: rows)).assumingMemoryBound(to: Float.self)
    let outputStride = features.outputStride(run, width: 1)
    let rows = features.resolved(rows: rows)
    var first = 0
    while first < rows {
      let block = min(rows - first, blockRows)
      let part = (start: x.start + first * x.stride, stride: x.stride)
      if isLinear {
        vectors.products(block, part, offset, to: values, stride: 1)
      } else {
        regressor.kernel.values(block, part, vectors, to: values)
      }
      for row in 0..<block {
        let sum = isLinear ? values[row] : sum(values + row * vectors.count)
        run.output[(first + row) * outputStride] = regressor.finish(sum)
      }
      first += block
    }
  }

  private func sum(_ kernels: UnsafePointer<Float>) -> Float {
    Float(apus_dot(vectors.count, regressor.coefficients, kernels)) + regressor.rho
  }

  var ownBytes: Int { vectors.byteCount }
  var description: String { "\(regressor.name) \(features.columns) x \(vectors.count)" }
}

/// Rows whose kernels are in memory at a time: few, so that they stay in cache.
private let blockRows = 16

extension SupportVectorKernel {
  /// The kernel of each row and each vector, row by row.
  func values(
    _ rows: Int, _ x: (start: UnsafePointer<Float>, stride: Int), _ vectors: FeatureVectors,
    to y: UnsafeMutablePointer<Float>
  ) {
    let count = rows * vectors.count
    guard kind != .radial else {
      vectors.distances(rows, x, factor: -gamma, to: y)
      apus_exp(count, y, y)
      return
    }
    vectors.products(rows, x, [], to: y, stride: vectors.count)
    switch kind {
    case .polynomial:
      scale(count, y)
      raise(count, y)
    case .sigmoid:
      scale(count, y)
      apus_tanh(count, y, y)
    case .linear, .radial: break
    }
  }

  private func scale(_ count: Int, _ y: UnsafeMutablePointer<Float>) {
    for index in 0..<count { y[index] = gamma * y[index] + offset }
  }

  /// To the power that `degree` says, with a loop of its own for the usual ones.
  private func raise(_ count: Int, _ y: UnsafeMutablePointer<Float>) {
    switch degree {
    case 2: apus_square(count, y, y)
    case 3: for index in 0..<count { y[index] = y[index] * y[index] * y[index] }
    default: for index in 0..<count { y[index] = pow(y[index], degree) }
    }
  }
}

extension SVMClassifier {
  /// For each pair of classes the vector whose product with a row is the sum of its linear kernels.
  fileprivate func vectorsOfPairs() -> [Float] {
    var result: [Float] = []
    forEachPair { _, weights in
      var sum = VectorSum(features: features)
      for part in [weights.0, weights.1] {
        sum.add(
          coefficients[part.coefficients..<part.coefficients + part.count],
          vectors[part.first * features..<(part.first + part.count) * features])
      }
      result += sum.rounded
    }
    return result
  }
}

/// A sum of vectors, each with a factor.
private struct VectorSum {
  private var sum: [Double]

  init(features: Int) { sum = [Double](repeating: 0, count: features) }

  mutating func add(_ factors: ArraySlice<Float>, _ vectors: ArraySlice<Float>) {
    var place = vectors.startIndex
    for factor in factors {
      for index in sum.indices { sum[index] += Double(factor) * Double(vectors[place + index]) }
      place += sum.count
    }
  }

  var rounded: [Float] { sum.map { Float($0) } }
}
