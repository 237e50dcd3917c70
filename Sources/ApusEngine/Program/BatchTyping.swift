import Glibc

/// The types of a graph's values for batches of any size.
///
/// The graph is typed for two batches whose numbers of rows are primes that no layer has as a width: a
/// dimension that is the same in both is fixed, one that is in proportion grows with the batch, and what is
/// neither is refused. Typed with plain numbers, operators need not calculate with symbols; that each
/// dimension is a product of a number with the rows, as in all classifiers, is checked with a third batch.
struct BatchTyping {
  /// By value; nil for what nothing computes.
  let types: [BatchType?]
  /// By value: numbers that are the same for all batches.
  let known: [Tensor?]
  /// Rows that a run takes; nil: any number of them. A file may fix it.
  let fixedRows: Int?

  private static let probes = (7919, 7927)

  /// - Throws: `GraphError` for inputs that leave open more than their first dimension, and where a size
  ///   does not grow as the batch does.
  init(_ graph: Graph) throws(GraphError) {
    let isOpen = graph.inputs.contains { $0.shape.first == .some(nil) }
    for input in graph.inputs where input.shape.dropFirst().contains(nil) {
      throw GraphError("\(graph.values[input.value].name) leaves open more than its first dimension")
    }
    let first = try Typing(graph, shapes: Self.shapes(graph, Self.probes.0))
    guard isOpen else {
      types = first.types.map { type in
        type.map { BatchType(element: $0.element, shape: $0.shape.map { Extent($0) }) }
      }
      known = first.known
      fixedRows = graph.inputs.first?.shape.first ?? 1
      return
    }
    let second = try Typing(graph, shapes: Self.shapes(graph, Self.probes.1))
    let single = try Typing(graph, shapes: Self.shapes(graph, 1))
    var types: [BatchType?] = []
    for (value, pair) in zip(first.types, second.types).enumerated() {
      types.append(try Self.join(pair.0, pair.1, single.types[value], graph.values[value].name))
    }
    self.types = types
    known = zip(first.known, second.known).map { first, second in
      guard let first, let second, first.isEqual(to: second) else { return nil }
      return first
    }
    fixedRows = nil
  }

  /// Elements of one row of a value.
  ///
  /// - Throws: `GraphError` where it is no batch of rows.
  func rowCount(of value: Graph.ValueID, _ graph: Graph) throws(GraphError) -> Int {
    guard let type = types[value], isRows(value) else {
      throw GraphError("'\(graph.values[value].name)' is no batch of rows")
    }
    return type.shape.dropFirst().reduce(1) { $0 * $1.count }
  }

  /// Whether a value has a row for each input.
  func isRows(_ value: Graph.ValueID) -> Bool {
    types[value]?.shape.first == (fixedRows.map { Extent($0) } ?? Extent(1, isPerRow: true))
  }

  private static func shapes(_ graph: Graph, _ rows: Int) -> [[Int]] {
    graph.inputs.map { input in input.shape.map { $0 ?? rows } }
  }

  private static func join(
    _ first: TensorType?, _ second: TensorType?, _ single: TensorType?, _ name: String
  ) throws(GraphError) -> BatchType? {
    guard let first, let second, let single else { return nil }
    let problem = GraphError("the shape of '\(name)' does not grow with the batch")
    guard first.rank == second.rank, first.rank == single.rank else { throw problem }
    var shape: [Extent] = []
    for (axis, sizes) in zip(first.shape, second.shape).enumerated() {
      guard let extent = Extent(sizes.0, sizes.1, rows: probes),
        extent.resolved(rows: 1) == single.shape[axis]
      else { throw problem }
      shape.append(extent)
    }
    guard shape.count(where: \.isPerRow) <= 1 else { throw problem }
    return BatchType(element: first.element, shape: shape)
  }
}

extension Tensor {
  func isEqual(to other: Tensor) -> Bool {
    type == other.type && (start == other.start || memcmp(start, other.start, type.byteCount) == 0)
  }
}
