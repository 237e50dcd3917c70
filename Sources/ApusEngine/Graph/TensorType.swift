/// What a tensor in a graph is: the type of its elements and its shape, row-major and without gaps.
package struct TensorType: Equatable, Sendable {
  package let element: ElementType
  /// Sizes of its dimensions; empty for a scalar.
  package let shape: [Int]
  /// Product of the shape; 1 for a scalar.
  package let count: Int

  /// Most dimensions of a tensor.
  package static let maximumRank = 8
  /// Most elements of a tensor: what a batch of them takes can still be counted.
  package static let maximumCount = 1 << 40

  /// - Throws: `GraphError` for a dimension below 0, for more than `maximumRank` of them, and for more
  ///   elements than `maximumCount`, were its empty dimensions of size 1.
  package init(_ element: ElementType, _ shape: [Int]) throws(GraphError) {
    guard shape.count <= Self.maximumRank else {
      throw GraphError(
        "a tensor has \(shape.count) dimensions; at most \(Self.maximumRank) are computed with")
    }
    // Zeros are left out of the product, so that part of a shape never has more elements either.
    var count = 1
    for size in shape where size != 0 {
      guard size > 0 else { throw GraphError("a dimension of \(shape) is negative") }
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow, product <= Self.maximumCount else {
        throw GraphError("a tensor of shape \(shape) has too many elements")
      }
      count = product
    }
    if shape.contains(0) { count = 0 }
    self.element = element
    self.shape = shape
    self.count = count
  }

  /// So many elements without a shape, for those who look at nothing else. Allocates nothing.
  init(_ element: ElementType, elements count: Int) {
    self.element = element
    shape = []
    self.count = count
  }

  package var rank: Int { shape.count }
  package var byteCount: Int { count * element.byteCount }

  /// For a person, for example `float32 [1, 64]`.
  package var description: String { "\(element.rawValue) \(shape)" }

  /// The place of an axis, which may count from the end.
  ///
  /// - Throws: `GraphError` where the tensor has no such axis.
  package func axis(_ axis: Int) throws(GraphError) -> Int {
    let place = axis < 0 ? axis + rank : axis
    guard shape.indices.contains(place) else {
      throw GraphError("there is no axis \(axis) in a shape of \(rank) dimensions")
    }
    return place
  }

  /// Elements before an axis, along it and behind it: the tensor as one of three dimensions.
  package func around(_ axis: Int) -> (outer: Int, size: Int, inner: Int) {
    (shape[..<axis].reduce(1, *), shape[axis], shape[(axis + 1)...].reduce(1, *))
  }
}

/// Why a graph is refused, or a run of it ends.
package struct GraphError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}
