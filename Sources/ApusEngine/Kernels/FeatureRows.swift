import CApusKernels

/// The rows of features that an operator of ai.onnx.ml reads, of any type that it may.
struct FeatureRows: Sendable {
  let columns: Int
  let feature: apus_feature
  /// Whether each row of the batch is one of these, so that they may lie apart.
  let mayLieApart: Bool
  private let count: Extent

  /// nil where a row's length hangs on the batch, or is 0.
  init?(_ types: KernelTypes, input: Int = 0) {
    guard input < types.inputs.count, let type = types.inputs[input], 1...2 ~= type.shape.count,
      let last = type.shape.last, !last.isPerRow, last.count > 0
    else { return nil }
    switch type.element {
    case .float32: feature = apus_feature_float32
    case .float64: feature = apus_feature_float64
    case .int64: feature = apus_feature_int64
    case .int32: feature = apus_feature_int32
    default: return nil
    }
    columns = last.count
    count = type.shape.count == 1 ? Extent(1) : type.shape[0]
    mayLieApart = input == 0 && type.shape == [Extent(1, isPerRow: true), last]
  }

  func resolved(rows: Int) -> Int { count.resolved(rows: rows) }

  /// Elements from one row of the first input to the next.
  func stride(_ run: borrowing StepRun) -> Int {
    mayLieApart ? run.inputStride(width: columns) : columns
  }

  /// Elements from one row of the first output to the next, where these are `width` wide.
  func outputStride(_ run: borrowing StepRun, width: Int) -> Int {
    mayLieApart ? run.outputStride(width: width) : width
  }

  /// Bytes that `floats` needs.
  func floatBytes(rows: Int) -> Int {
    feature == apus_feature_float32 ? 0 : resolved(rows: rows) * columns * MemoryLayout<Float>.stride
  }

  /// The rows of the first input as floats: where they lie, or made in `memory`.
  ///
  /// Invariant: `memory` covers `floatBytes`.
  func floats(
    rows: Int, _ run: borrowing StepRun, in memory: UnsafeMutableRawPointer
  ) -> (start: UnsafePointer<Float>, stride: Int)? {
    guard let input = run.address(0) else { return nil }
    let stride = stride(run)
    guard feature != apus_feature_float32 else {
      return (input.assumingMemoryBound(to: Float.self), stride)
    }
    let target = memory.assumingMemoryBound(to: Float.self)
    convert(resolved(rows: rows), input, stride, to: target, columns)
    return (UnsafePointer(target), columns)
  }

  /// Writes rows as floats, `targetStride` apart.
  func convert(
    _ rows: Int, _ input: UnsafeRawPointer, _ stride: Int, to target: UnsafeMutablePointer<Float>,
    _ targetStride: Int
  ) {
    for row in 0..<rows {
      let (from, to) = (row * stride, target + row * targetStride)
      switch feature {
      case apus_feature_float64:
        let source = input.assumingMemoryBound(to: Double.self) + from
        for column in 0..<columns { to[column] = Float(source[column]) }
      case apus_feature_int64:
        apus_floats_of_int64(columns, input.assumingMemoryBound(to: Int64.self) + from, to)
      case apus_feature_int32:
        apus_floats_of_int32(columns, input.assumingMemoryBound(to: Int32.self) + from, to)
      default: to.update(from: input.assumingMemoryBound(to: Float.self) + from, count: columns)
      }
    }
  }
}

/// A kernel that reads rows of features where they lie.
protocol FeatureKernel: StepKernel {
  var features: FeatureRows { get }
}

extension FeatureKernel {
  var takesStrides: Bool { features.mayLieApart }
}

/// Vectors of as many numbers as rows have features, laid out to be compared with many rows.
struct FeatureVectors: Sendable {
  let features: Int
  let count: Int
  private let packed: BufferOwner

  /// - Precondition: `numbers` are at least one vector of `features` numbers each, at least one.
  init(_ numbers: [Float], features: Int) {
    self.features = features
    count = numbers.count / features
    packed = BufferOwner(floatCount: apus_linear_packed_floats(features, count))
    apus_linear_pack(numbers, false, count, features, packed.floats)
  }

  /// The product of each row with each vector, `stride` floats from row to row, and the vector's offset.
  func products(
    _ rows: Int, _ x: (start: UnsafePointer<Float>, stride: Int), _ offsets: [Float],
    to y: UnsafeMutablePointer<Float>, stride: Int
  ) {
    offsets.withUnsafeBufferPointer { offsets in
      apus_linear(
        rows, features, count, x.start, x.stride, packed.floats,
        offsets.isEmpty ? nil : offsets.baseAddress, apus_activation_none, 0, 0, y, stride)
    }
  }

  /// A factor times the sum of squared differences of each row and each vector.
  func distances(
    _ rows: Int, _ x: (start: UnsafePointer<Float>, stride: Int), factor: Float,
    to y: UnsafeMutablePointer<Float>
  ) {
    apus_distances(rows, features, count, x.start, x.stride, packed.floats, factor, y, count)
  }

  var byteCount: Int { packed.byteCount }
}
