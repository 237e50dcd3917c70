/// A dimension that several tensors are walked along together, for batches of any size.
struct BatchAxis: Sendable {
  let size: Extent
  var strides = BatchStrides()

  /// The dimensions of a shape, with the strides of tensors that are broadcast to it in a lane each.
  ///
  /// - Precondition: at most four of them, whose shapes can be broadcast to `shape`.
  static func broadcasting(_ shapes: [[Extent]], to shape: [Extent]) -> [BatchAxis] {
    var axes = shape.map { BatchAxis(size: $0) }
    for (lane, other) in shapes.enumerated() {
      let first = shape.count - other.count
      for (axis, stride) in Extent.strides(of: other).enumerated() where other[axis] != Extent(1) {
        axes[first + axis].strides.set(lane, stride)
      }
    }
    return axes
  }
}

/// Elements from one index of a dimension to the next, in a lane for each tensor.
struct BatchStrides: Sendable {
  private var fixed = SIMD4<Int>()
  private var perRow = SIMD4<Int>()

  mutating func set(_ lane: Int, _ stride: Extent, times step: Int = 1) {
    fixed[lane] = stride.isPerRow ? 0 : stride.count * step
    perRow[lane] = stride.isPerRow ? stride.count * step : 0
  }

  @inline(__always)
  func resolved(rows: Int) -> SIMD4<Int> { fixed &+ perRow &* SIMD4(repeating: rows) }
}

extension Extent {
  /// Of a tensor without gaps. At most one dimension of a batch grows with its rows, so that each product
  /// does so once or not at all.
  static func strides(of shape: [Extent]) -> [Extent] {
    var strides = [Extent](repeating: Extent(1), count: shape.count)
    for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
    return strides
  }

  static func * (left: Extent, right: Extent) -> Extent {
    Extent(left.count * right.count, isPerRow: left.isPerRow || right.isPerRow)
  }
}

extension BatchType {
  /// The shape as one of three dimensions: before an axis, along it, and behind it.
  func around(_ axis: Int, through last: Int? = nil) -> (outer: Extent, size: Extent, inner: Extent) {
    func product(_ sizes: ArraySlice<Extent>) -> Extent { sizes.reduce(Extent(1), *) }
    let end = (last ?? axis) + 1
    return (product(shape[..<axis]), product(shape[axis..<end]), product(shape[end...]))
  }

  /// The place of an axis, which may count from the end; nil: there is none.
  func axis(_ axis: Int) -> Int? {
    let place = axis < 0 ? axis + shape.count : axis
    return shape.indices.contains(place) ? place : nil
  }
}
