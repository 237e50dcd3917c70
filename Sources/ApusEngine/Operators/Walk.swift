/// Up to four tensors walked together in the order of one that lies row-major and without gaps: how inputs
/// that are broadcast, sliced, transposed or repeated are read.
///
/// Dimensions of size 1 are left out, and neighbours that every tensor passes through evenly become one, so
/// that most walks are a single run. Strides are in elements, and each is in one lane of a vector.
struct Walk {
  /// A value for each dimension around a run. A tensor that is tiled has two dimensions for each of its own.
  private typealias PerDimension<Value> = InlineArray<16, Value>

  /// Elements that are walked.
  let count: Int
  /// Elements of the innermost dimension.
  private(set) var run = 1
  /// From one element of a run to the next, for each tensor.
  private(set) var step = SIMD4<Int>()
  /// The dimensions around a run, outermost first.
  private var sizes = PerDimension<Int>(repeating: 1)
  private var strides = PerDimension<SIMD4<Int>>(repeating: .zero)
  private var outerRank = 0

  /// - Parameter strides: for each dimension, those of all tensors.
  /// - Precondition: at most 16 dimensions, whose product fits; a stride times its size fits.
  init(_ shape: [Int], _ strides: [SIMD4<Int>]) {
    count = shape.reduce(1, *)
    guard count > 0 else { return }
    var hasRun = false
    for axis in shape.indices { add(shape[axis], strides[axis], &hasRun) }
  }

  /// A walk that was prepared for batches of any size, for one of so many rows. Allocates nothing.
  init(_ axes: [BatchAxis], rows: Int) {
    var product = 1
    for index in 0..<axes.count { product *= axes[index].size.resolved(rows: rows) }
    count = product
    guard count > 0 else { return }
    var hasRun = false
    for index in 0..<axes.count {
      let axis = axes[index]
      add(axis.size.resolved(rows: rows), axis.strides.resolved(rows: rows), &hasRun)
    }
  }

  /// Adds a dimension inside those so far.
  private mutating func add(_ size: Int, _ stride: SIMD4<Int>, _ hasRun: inout Bool) {
    guard size > 1 else { return }
    if hasRun, step == stride &* SIMD4(repeating: size) {
      run *= size
    } else {
      if hasRun {
        sizes[outerRank] = run
        strides[outerRank] = step
        outerRank += 1
      }
      run = size
      hasRun = true
    }
    step = stride
  }

  /// Takes the innermost of the outer dimensions out, if its step in lane 0 is `step`: with a run it is a
  /// plane whose lines go the other way.
  func plane(whoseOuterStepIs step: Int) -> (inner: Walk, size: Int, strides: SIMD4<Int>)? {
    guard let axis = (0..<outerRank).last(where: { strides[$0][0] == step }) else { return nil }
    var rest = self
    for place in axis..<outerRank - 1 {
      rest.sizes[place] = sizes[place + 1]
      rest.strides[place] = strides[place + 1]
    }
    rest.outerRank -= 1
    return (rest, sizes[axis], strides[axis])
  }

  /// A walk in the order of `shape` over tensors that are broadcast to it.
  ///
  /// - Precondition: each of the shapes can be broadcast to `shape`.
  init(_ shape: [Int], broadcasting shapes: [Int]...) {
    var strides = [SIMD4<Int>](repeating: .zero, count: shape.count)
    for (lane, other) in shapes.enumerated() {
      for (axis, stride) in Self.strides(of: other).enumerated() where other[axis] != 1 {
        strides[shape.count - other.count + axis][lane] = stride
      }
    }
    self.init(shape, strides)
  }

  /// Calls for each run with its place in the row-major order and the places of its first elements.
  @inline(__always)
  func forEachRun<Failure>(
    from start: SIMD4<Int> = .zero, _ body: (_ place: Int, _ offsets: SIMD4<Int>) throws(Failure) -> Void
  ) throws(Failure) {
    guard count > 0 else { return }
    if outerRank == 0 { return try body(0, start) }
    var counters = PerDimension<Int>(repeating: 0)
    var offsets = start
    var place = 0
    while true {
      try body(place, offsets)
      place += run
      var axis = outerRank - 1
      while axis >= 0 {
        offsets &+= strides[axis]
        counters[axis] += 1
        if counters[axis] < sizes[axis] { break }
        offsets &-= strides[axis] &* SIMD4(repeating: sizes[axis])
        counters[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }

  /// Calls for each element with the places of it in the walked tensors.
  @inline(__always)
  func forEach<Failure>(
    from start: SIMD4<Int> = .zero, _ body: (_ place: Int, _ offsets: SIMD4<Int>) throws(Failure) -> Void
  ) throws(Failure) {
    try forEachRun(from: start) { (place, offsets) throws(Failure) in
      var offsets = offsets
      for index in 0..<run {
        try body(place + index, offsets)
        offsets &+= step
      }
    }
  }

  /// Elements from one index to the next of each dimension of a tensor without gaps.
  static func strides(of shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
    return strides
  }
}

extension TensorType {
  /// The shape that all of these are broadcast to, as NumPy does it.
  ///
  /// - Throws: `GraphError` for two sizes of a dimension that are neither equal nor 1.
  static func broadcast(_ shapes: [[Int]]) throws(GraphError) -> [Int] {
    let rank = shapes.reduce(0) { max($0, $1.count) }
    var result = [Int](repeating: 1, count: rank)
    for shape in shapes {
      for (axis, size) in shape.enumerated() where size != 1 {
        let place = rank - shape.count + axis
        guard result[place] == 1 || result[place] == size else {
          throw GraphError(
            "the shapes \(shapes.map { "\($0)" }.joined(separator: " and ")) cannot be broadcast together")
        }
        result[place] = size
      }
    }
    return result
  }

  /// The same shape with elements of another type.
  func with(_ element: ElementType) throws(GraphError) -> TensorType { try TensorType(element, shape) }
}

/// Writes a row-major tensor whose elements lie in another with the strides of lane 0 of a walk.
///
/// Invariant: both have elements of `byteCount` bytes (1, 2, 4, 8 or 16), `target` has those of the whole
/// walk, and no place that the walk comes to from `start` is outside the source.
func copyElements(
  _ byteCount: Int, from source: UnsafeRawPointer, start: Int = 0, to target: UnsafeMutableRawPointer,
  _ walk: Walk
) {
  switch byteCount {
  case 1: copyElements(UInt8.self, source, start, target, walk)
  case 2: copyElements(UInt16.self, source, start, target, walk)
  case 4: copyElements(UInt32.self, source, start, target, walk)
  case 8: copyElements(UInt64.self, source, start, target, walk)
  default: copyElements(SIMD2<UInt64>.self, source, start, target, walk)
  }
}

@inline(__always)
private func copyElements<Bits: BitwiseCopyable>(
  _: Bits.Type, _ source: UnsafeRawPointer, _ start: Int, _ target: UnsafeMutableRawPointer, _ walk: Walk
) {
  let source = source.assumingMemoryBound(to: Bits.self)
  let target = target.assumingMemoryBound(to: Bits.self)
  let (run, step) = (walk.run, walk.step[0])
  walk.forEachRun(from: SIMD4(start, 0, 0, 0)) { place, offsets in
    let (source, target) = (source + offsets[0], target + place)
    switch step {
    case 1: target.update(from: source, count: run)
    case 0: target.update(repeating: source[0], count: run)
    default: for index in 0..<run { target[index] = source[index &* step] }
    }
  }
}
