/// What the trees of an ensemble have given each class or target for one row.
///
/// Invariant of the unsafe code: `there` covers as many bytes as `values` has numbers, for as long as this
/// lives.
struct TreeScores<Number: BinaryFloatingPoint> {
  let values: UnsafeMutableBufferPointer<Number>
  /// Not 0 where a leaf has added to a score.
  let there: UnsafeMutablePointer<UInt8>

  /// Scores in memory of their own.
  static func with(count: Int, _ body: (TreeScores) -> Void) {
    withUnsafeTemporaryAllocation(of: Number.self, capacity: count) { values in
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: max(1, count)) { there in
        values.initialize(repeating: 0)
        there.initialize(repeating: 0)
        body(TreeScores(values: values, there: there.baseAddress.unsafelyUnwrapped))
      }
    }
  }

  func isThere(_ index: Int) -> Bool { there[index] != 0 }

  /// Sums of the leaves' weights.
  func sum(_ row: [Double], _ ensemble: TreeEnsemble) {
    combine(row, ensemble) { $0 + $1 }
  }

  /// Takes each leaf's weight in: the first as it is added to 0, the others by a function.
  @inline(__always)
  func combine(_ row: [Double], _ ensemble: TreeEnsemble, _ function: (Number, Number) -> Number) {
    for index in values.indices {
      values[index] = 0
      there[index] = 0
    }
    ensemble.forEachLeaf(row) { weights in
      for weight in weights {
        let value = Number(weight.value)
        values[weight.target] = isThere(weight.target) ? function(values[weight.target], value) : 0 + value
        there[weight.target] = 1
      }
    }
  }

  /// The class of the greatest score that is there, or of all.
  func best(ofAll isAnyThere: Bool) -> Int {
    var best: Int?
    for index in values.indices where isAnyThere || isThere(index) {
      if let found = best, !(values[index] > values[found]) { continue }
      best = index
    }
    return best ?? 0
  }
}

/// One row of features as trees compare them.
struct FeatureRow {
  private(set) var numbers: [Double]
  /// Single precision in which whole numbers are compared; empty where features are double precision.
  private var narrow: [Float]

  init(columns: Int, isNarrow: Bool) {
    numbers = [Double](repeating: 0, count: columns)
    narrow = [Float](repeating: 0, count: isNarrow ? columns : 0)
  }

  mutating func read(_ index: Int, of view: TensorView, _ input: FeatureMatrix) {
    if narrow.isEmpty {
      input.read(index, of: view, into: &numbers)
    } else {
      input.read(index, of: view, into: &narrow)
      for place in numbers.indices { numbers[place] = Double(narrow[place]) }
    }
  }
}
