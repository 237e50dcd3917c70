import CApusKernels

/// The largest numbers, or the means, under a window over one or two dimensions.
struct PoolKernel: StepKernel {
  private let kind: apus_pool_kind
  private let height: apus_axis
  private let width: apus_axis
  private let planes: Extent
  private let scratchFloats: Int

  init?(_ pool: MaxPool, _ types: KernelTypes) {
    guard !pool.givesIndices else { return nil }
    self.init(apus_pool_maximum, pool.pooling, types)
  }

  init?(_ pool: AveragePool, _ types: KernelTypes) {
    self.init(pool.countsPadding ? apus_pool_padded_average : apus_pool_average, pool.pooling, types)
  }

  private init?(_ kind: apus_pool_kind, _ pooling: Pooling, _ types: KernelTypes) {
    guard let shape = types.inputs[0]?.shape, !shape.dropFirst(2).contains(where: \.isPerRow),
      let places = try? pooling.places([1, 1] + shape.dropFirst(2).map(\.count)), places.isFlat,
      let planes = Extent(planesOf: shape)
    else { return nil }
    let (height, width) = (apus_axis(places.height), apus_axis(places.width))
    scratchFloats = withUnsafePointer(to: height) { height in
      withUnsafePointer(to: width) { apus_pool_scratch_floats(height, $0) }
    }
    guard scratchFloats > 0 else { return nil }
    self.kind = kind
    self.height = height
    self.width = width
    self.planes = planes
  }

  func scratchBytes(rows: Int) -> Int { 4 * scratchFloats }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    withUnsafePointer(to: height) { height in
      withUnsafePointer(to: width) { width in
        apus_pool(
          kind, planes.resolved(rows: rows), height, width, input, run.output,
          run.scratch.assumingMemoryBound(to: Float.self))
      }
    }
  }

  var description: String {
    "\(kind == apus_pool_maximum ? "MaxPool" : "AveragePool") \(height.kernel) x \(width.kernel)"
  }
}

/// The largest number, or the mean, of each channel.
struct GlobalPoolKernel: StepKernel {
  private let kind: apus_pool_kind
  private let name: String
  private let planes: Extent
  private let columns: Int

  init?(_ pool: GlobalPool, _ types: KernelTypes) {
    guard let shape = types.inputs[0]?.shape, !shape.dropFirst(2).contains(where: \.isPerRow),
      let planes = Extent(planesOf: shape)
    else { return nil }
    kind = pool.kind == .maximum ? apus_pool_maximum : apus_pool_average
    name = pool.name
    self.planes = planes
    columns = shape.dropFirst(2).reduce(1) { $0 * $1.count }
    guard columns > 0 else { return nil }
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    apus_pool_rows(kind, planes.resolved(rows: rows), columns, input, run.output)
  }

  var description: String { name }
}

extension Extent {
  /// Channels of all images of a shape [N, C, ...]; nil where there is none.
  fileprivate init?(planesOf shape: [Extent]) {
    guard shape.count >= 2, shape[0].count > 0, shape[1].count > 0, !(shape[0].isPerRow && shape[1].isPerRow)
    else { return nil }
    self.init(shape[0].count * shape[1].count, isPerRow: shape[0].isPerRow || shape[1].isPerRow)
  }
}
