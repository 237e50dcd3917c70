/// A size that is fixed, or that many for each row of a batch.
struct Extent: Equatable, Sendable {
  let count: Int
  let isPerRow: Bool

  init(_ count: Int, isPerRow: Bool = false) {
    self.count = count
    self.isPerRow = isPerRow
  }

  @inline(__always)
  func resolved(rows: Int) -> Int { isPerRow ? count * rows : count }

  /// A size that was found for two batches; nil where it grows in another way than with the rows.
  init?(_ first: Int, _ second: Int, rows: (Int, Int)) {
    if first == second { self.init(first) } else {
      guard first % rows.0 == 0, first / rows.0 * rows.1 == second else { return nil }
      self.init(first / rows.0, isPerRow: true)
    }
  }
}

/// Type and shape of a value for batches of any number of rows.
struct BatchType: Equatable, Sendable {
  let element: ElementType
  let shape: [Extent]

  /// All elements; that of a batch grows with its rows, or not at all.
  var count: Extent {
    Extent(shape.reduce(1) { $0 * $1.count }, isPerRow: shape.contains(where: \.isPerRow))
  }

  func byteCount(rows: Int) -> Int { count.resolved(rows: rows) * element.byteCount }

  func resolved(rows: Int) throws(GraphError) -> TensorType {
    try TensorType(element, shape.map { $0.resolved(rows: rows) })
  }
}
