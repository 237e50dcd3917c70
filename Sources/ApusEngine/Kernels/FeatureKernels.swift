import CApusKernels
import Glibc

/// Scaler, with the same bits as the plain form.
struct ScalerKernel: FeatureKernel {
  let features: FeatureRows
  private let offsets: [Float]
  private let scales: [Float]
  let description = "Scaler"

  init?(_ scaler: Scaler, _ types: KernelTypes) {
    guard let features = FeatureRows(types) else { return nil }
    self.features = features
    // One for all beside one for each becomes as many.
    let count = max(scaler.offsets.count, scaler.scales.count)
    func repeated(_ numbers: [Float]) -> [Float] {
      numbers.count == count ? numbers : [Float](repeating: numbers[0], count: count)
    }
    offsets = repeated(scaler.offsets)
    scales = repeated(scaler.scales)
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.address(0) else { return }
    let (rows, columns, stride) = (features.resolved(rows: rows), features.columns, features.stride(run))
    let outputStride = features.outputStride(run, width: columns)
    apus_scale_features(
      features.feature, rows, columns, input, stride, offsets, scales, offsets.count == 1, run.output,
      outputStride)
  }
}

/// Normalizer.
struct NormalizerKernel: FeatureKernel {
  let features: FeatureRows
  private let norm: apus_norm
  let description = "Normalizer"

  init?(_ normalizer: Normalizer, _ types: KernelTypes) {
    guard let features = FeatureRows(types) else { return nil }
    self.features = features
    norm =
      switch normalizer.norm {
      case .greatest: apus_norm_greatest
      case .absolute: apus_norm_absolute
      case .euclidean: apus_norm_euclidean
      }
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.address(0) else { return }
    let (rows, columns, stride) = (features.resolved(rows: rows), features.columns, features.stride(run))
    let outputStride = features.outputStride(run, width: columns)
    apus_normalize_features(
      norm, features.feature, rows, columns, input, stride, run.output, outputStride)
  }
}

/// Imputer.
struct ImputerKernel: StepKernel {
  private let replaced: Imputer.Numbers
  private let features: FeatureRows
  let description = "Imputer"

  init?(_ imputer: Imputer, _ types: KernelTypes) {
    guard let features = FeatureRows(types) else { return nil }
    self.features = features
    replaced = imputer.replaced
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.address(0) else { return }
    let rows = features.resolved(rows: rows)
    let output = run.outputAddress(0)
    switch (replaced, features.feature) {
    case (.real(let old, let new), apus_feature_float64):
      let old = Double(old)
      replace(rows, input, output, new) { (x: Double) in x == old || x.isNaN && old.isNaN } with: {
        Double($0)
      }
    case (.real(let old, let new), _):
      replace(rows, input, output, new) { (x: Float) in x == old || x.isNaN && old.isNaN } with: { $0 }
    case (.whole(let old, let new), apus_feature_int32):
      replace(rows, input, output, new) { (x: Int32) in x == old } with: { Int32(truncatingIfNeeded: $0) }
    case (.whole(let old, let new), _):
      replace(rows, input, output, new) { (x: Int64) in x == old } with: { Int64($0) }
    }
  }

  @inline(__always) private func replace<Number: BitwiseCopyable, New>(
    _ rows: Int, _ input: UnsafeRawPointer, _ output: UnsafeMutableRawPointer, _ new: [New],
    _ isReplaced: (Number) -> Bool, with convert: (New) -> Number
  ) {
    let source = input.assumingMemoryBound(to: Number.self)
    let target = output.assumingMemoryBound(to: Number.self)
    let isOne = new.count == 1
    new.withUnsafeBufferPointer { new in
      for row in 0..<rows {
        for column in 0..<features.columns {
          let value = source[row * features.columns + column]
          target[row * features.columns + column] =
            isReplaced(value) ? convert(new[isOne ? 0 : column]) : value
        }
      }
    }
  }
}

/// FeatureVectorizer: the rows of all inputs side by side.
struct FeatureVectorizerKernel: StepKernel {
  private let parts: [FeatureRows]
  private let columns: Int
  let description = "FeatureVectorizer"

  init?(_ types: KernelTypes) {
    var parts: [FeatureRows] = []
    for index in types.inputs.indices {
      guard let part = FeatureRows(types, input: index) else { return nil }
      parts.append(part)
    }
    self.parts = parts
    columns = parts.reduce(0) { $0 + $1.columns }
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    var start = run.output
    for index in 0..<parts.count {
      let part = parts[index]
      guard let input = run.address(index) else { continue }
      part.convert(part.resolved(rows: rows), input, part.columns, to: start, columns)
      start += part.columns
    }
  }
}
