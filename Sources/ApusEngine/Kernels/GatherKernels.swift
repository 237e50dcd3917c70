import Glibc

/// Whole numbers of 32 or 64 bits that say where something lies.
struct IndexReader {
  private let start: UnsafeRawPointer
  private let isWide: Bool

  /// Invariant: `start` covers all indices of that type that are read.
  init(_ start: UnsafeRawPointer, _ element: ElementType) {
    self.start = start
    isWide = element == .int64
  }

  @inline(__always)
  subscript(place: Int) -> Int {
    isWide
      ? Int(start.assumingMemoryBound(to: Int64.self)[place])
      : Int(start.assumingMemoryBound(to: Int32.self)[place])
  }
}

/// Gather along any axis.
struct GatherKernel: StepKernel {
  private let around: BatchAround
  private let indexCount: Extent
  private let indexElement: ElementType
  private let elementBytes: Int
  private let countsFromEnd: Bool
  let description: String

  init?(_ gathering: Gathering, _ types: KernelTypes) {
    self.init(gathering.name, axis: gathering.axis, countsFromEnd: true, types)
  }

  /// ArrayFeatureExtractor.
  init?(_ extractor: ArrayFeatureExtractor, _ types: KernelTypes) {
    self.init(extractor.name, axis: -1, countsFromEnd: false, types)
  }

  /// - Parameter countsFromEnd: whether indices may be negative.
  private init?(_ name: String, axis: Int, countsFromEnd: Bool, _ types: KernelTypes) {
    guard let data = types.inputs[0], let indices = types.inputs[1], let axis = data.axis(axis) else {
      return nil
    }
    description = name
    self.countsFromEnd = countsFromEnd
    around = BatchAround(data, axis, through: axis)
    indexCount = indices.count
    indexElement = indices.element
    elementBytes = data.element.byteCount
  }

  func run(rows: Int, _ run: borrowing StepRun) throws(GraphError) {
    guard let data = run.address(0), let indices = run.address(1) else { return }
    let reader = IndexReader(indices, indexElement)
    let (outer, size, inner) = around.resolved(rows: rows)
    let count = indexCount.resolved(rows: rows)
    let bytes = inner * elementBytes
    // Indices are checked once, whatever lies before the axis.
    let least = countsFromEnd ? -size : 0
    for place in 0..<count {
      let index = reader[place]
      guard index >= least, index < size else {
        throw GraphError("the index \(index) leads out of a dimension of \(size)")
      }
    }
    guard bytes > 0 else { return }
    var target = run.outputAddress(0)
    for block in 0..<outer {
      let source = data + block * size * bytes
      for place in 0..<count {
        let index = reader[place]
        copy(source + (index < 0 ? index + size : index) * bytes, to: target, bytes)
        target += bytes
      }
    }
  }

  @inline(__always)
  private func copy(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ bytes: Int) {
    switch bytes {
    case 4: target.storeBytes(of: source.load(as: UInt32.self), as: UInt32.self)
    case 8: target.storeBytes(of: source.loadUnaligned(as: UInt64.self), as: UInt64.self)
    default: memcpy(target, source, bytes)
    }
  }
}

/// Rows of a table, with one for indices that lead out of it.
struct LookupKernel: StepKernel {
  private let count: Extent
  private let indexElement: ElementType
  private let tableRows: Int
  private let rowBytes: Int
  let description: String

  init?(_ lookup: RowLookup, _ types: KernelTypes) {
    guard let indices = types.inputs[0], let table = types.inputs[1], table.shape.count == 2,
      !table.shape.contains(where: \.isPerRow), table.shape[0].count > 0
    else { return nil }
    count = indices.count
    indexElement = indices.element
    tableRows = table.shape[0].count
    rowBytes = table.shape[1].count * table.element.byteCount
    description = "\(lookup.name) \(tableRows - 1) x \(table.shape[1].count)"
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let indices = run.address(0), let table = run.address(1), rowBytes > 0 else { return }
    let reader = IndexReader(indices, indexElement)
    let last = UInt(tableRows - 1)
    var target = run.outputAddress(0)
    for place in 0..<count.resolved(rows: rows) {
      // One comparison for indices below 0, too.
      let index = Int(min(UInt(bitPattern: reader[place]), last))
      memcpy(target, table + index * rowBytes, rowBytes)
      target += rowBytes
    }
  }
}
