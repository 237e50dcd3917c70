import CApusKernels

/// LinearClassifier: the scores of all rows by one product.
struct LinearClassifierKernel: FeatureKernel {
  private let classifier: LinearClassifier
  let features: FeatureRows
  private let vectors: FeatureVectors

  init?(_ classifier: LinearClassifier, _ types: KernelTypes) {
    guard let features = FeatureRows(types) else { return nil }
    self.classifier = classifier
    self.features = features
    vectors = FeatureVectors(classifier.functions.coefficients, features: features.columns)
  }

  func scratchBytes(rows: Int) -> Int { features.floatBytes(rows: rows) }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let x = features.floats(rows: rows, run, in: run.scratch) else { return }
    let rows = features.resolved(rows: rows)
    let labels = run.outputAddress(0).assumingMemoryBound(to: Int64.self)
    let scores = run.outputAddress(1).assumingMemoryBound(to: Float.self)
    let width = classifier.scores
    vectors.products(rows, x, classifier.functions.intercepts, to: scores, stride: width)
    if vectors.count > 1 {
      apus_arg_max(rows, width, scores, false, labels)
      for row in 0..<rows { labels[row] = classifier.classLabels.output(Int(labels[row])) }
    } else {
      for row in 0..<rows { labels[row] = classifier.label(ofSingle: scores[row * width]) }
    }
    if classifier.addsSecondClass {
      classifier.transform.expandQuickly(rows, scores, .complement)
    } else {
      classifier.transform.applyQuickly(rows, width, scores)
    }
  }

  var ownBytes: Int { vectors.byteCount }
  var description: String { "\(classifier.name) \(features.columns) -> \(vectors.count)" }
}

/// LinearRegressor: all rows by one product.
struct LinearRegressorKernel: FeatureKernel {
  private let regressor: LinearRegressor
  let features: FeatureRows
  private let vectors: FeatureVectors

  init?(_ regressor: LinearRegressor, _ types: KernelTypes) {
    guard let features = FeatureRows(types) else { return nil }
    self.regressor = regressor
    self.features = features
    vectors = FeatureVectors(regressor.functions.coefficients, features: features.columns)
  }

  func scratchBytes(rows: Int) -> Int { features.floatBytes(rows: rows) }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let x = features.floats(rows: rows, run, in: run.scratch) else { return }
    let rows = features.resolved(rows: rows)
    let stride = features.outputStride(run, width: vectors.count)
    vectors.products(rows, x, regressor.functions.intercepts, to: run.output, stride: stride)
    for row in 0..<rows where regressor.transform != .none {
      regressor.transform.applyQuickly(1, vectors.count, run.output + row * stride)
    }
  }

  var ownBytes: Int { vectors.byteCount }
  var description: String { "\(regressor.name) \(features.columns) -> \(vectors.count)" }
}

extension PostTransform {
  /// What `apply` makes of each row, with the quick softmax and sigmoid.
  func applyQuickly(_ rows: Int, _ columns: Int, _ scores: UnsafeMutablePointer<Float>) {
    guard columns > 1 || self == .probit else { return }
    switch self {
    case .none: break
    case .softmax: apus_softmax(rows, columns, scores, columns, scores, columns)
    case .logistic: apus_sigmoid(rows * columns, scores, scores)
    case .softmaxZero, .probit:
      for row in 0..<rows {
        apply(UnsafeMutableBufferPointer(start: scores + row * columns, count: columns))
      }
    }
  }

  /// What `expand` makes of each row of two scores.
  func expandQuickly(_ rows: Int, _ scores: UnsafeMutablePointer<Float>, _ second: SecondClass) {
    guard self == .logistic else {
      for row in 0..<rows { expand(UnsafeMutableBufferPointer(start: scores + 2 * row, count: 2), second) }
      return
    }
    for row in 0..<rows { (scores[2 * row], scores[2 * row + 1]) = (-scores[2 * row], scores[2 * row]) }
    apus_sigmoid(2 * rows, scores, scores)
  }
}
