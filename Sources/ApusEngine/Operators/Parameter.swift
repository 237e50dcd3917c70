/// Whole numbers that decide the shape of a result, for example axes: an attribute in older opsets, an input
/// in later ones.
enum Parameter {
  case fixed([Int]?)
  /// The place and name of the input.
  case input(Int, String)

  /// nil: it is left out.
  ///
  /// - Throws: `GraphError` where its numbers are not known yet, or not whole.
  func read(_ inputs: [KnownTensor?]) throws(GraphError) -> [Int]? {
    switch self {
    case .fixed(let numbers): return numbers
    case .input(let place, let name):
      return inputs.optional(place) == nil ? nil : try inputs.knownIntegers(place, name)
    }
  }

  func read(_ inputs: [TensorView?]) throws(GraphError) -> [Int]? {
    switch self {
    case .fixed(let numbers): return numbers
    case .input(let place, _): return try inputs.optional(place)?.integers()
    }
  }

  /// - Throws: `GraphError` where it is left out as well.
  func required(_ inputs: [KnownTensor?]) throws(GraphError) -> [Int] {
    switch self {
    case .fixed(let numbers): return numbers ?? []
    case .input(let place, let name): return try inputs.knownIntegers(place, name)
    }
  }
}

extension TensorType {
  /// Whether each dimension is one of these axes, which may count from the end.
  ///
  /// - Throws: `GraphError` for an axis that is not there, and for one that is named twice.
  func marks(_ axes: [Int]) throws(GraphError) -> [Bool] {
    var marks = [Bool](repeating: false, count: rank)
    for axis in axes {
      let place = try self.axis(axis)
      guard !marks[place] else { throw GraphError("the axis \(axis) is named twice") }
      marks[place] = true
    }
    return marks
  }
}
