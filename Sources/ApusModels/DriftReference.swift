import Glibc

/// How a version's inputs and answers are spread where all is well: those of its samples.
package struct DriftReference: Sendable, Equatable {
  /// One number of the inputs: bins between its deciles.
  package struct Bins: Sendable, Equatable {
    /// Ascending, each once; a value belongs to the bin behind the last edge that is not above it.
    package let edges: [Float]
    /// Share of the samples in each bin; one more than edges.
    package let shares: [Double]

    package func bin(of value: Float) -> Int {
      var low = 0
      var high = edges.count
      while low < high {
        let middle = (low + high) / 2
        if value >= edges[middle] { low = middle + 1 } else { high = middle }
      }
      return low
    }
  }

  /// Share of each class among the most probable ones.
  package let classes: [Double]
  /// For each number of an input; empty for samples that are texts.
  package let inputs: [Bins]

  package static let minimumSamples = 10
  package static let maximumWidth = 4096
  private static let binCount = 10

  /// - Parameters:
  ///   - predicted: the class that the model gives each sample, below `classes`.
  /// - Returns: nil for too few samples, or too wide ones.
  package init?(_ samples: Samples, predicted: [Int], classes count: Int) {
    guard samples.rows >= Self.minimumSamples, predicted.count == samples.rows else { return nil }
    var counts = [UInt64](repeating: 0, count: count)
    for number in predicted { counts[number] += 1 }
    classes = Self.shares(counts)
    guard case .inputs(let values, let width) = samples.questions else {
      inputs = []
      return
    }
    guard width <= Self.maximumWidth else { return nil }
    inputs = (0..<width).map { column in
      Self.bins((0..<samples.rows).map { values[$0 * width + column] })
    }
  }

  private static func bins(_ values: [Float]) -> Bins {
    let sorted = values.sorted()
    var edges: [Float] = []
    for decile in 1..<binCount {
      let edge = sorted[sorted.count * decile / binCount]
      if edge != edges.last { edges.append(edge) }
    }
    let empty = Bins(edges: edges, shares: [])
    var counts = [UInt64](repeating: 0, count: edges.count + 1)
    for value in values { counts[empty.bin(of: value)] += 1 }
    return Bins(edges: edges, shares: shares(counts))
  }

  /// Counts as parts of their sum; zeros where nothing was counted.
  package static func shares(_ counts: [UInt64]) -> [Double] {
    let sum = Double(counts.reduce(0, +))
    return counts.map { sum > 0 ? Double($0) / sum : 0 }
  }
}

/// The population stability index of two distributions over the same bins: the sum of (a - e) × ln(a / e). It
/// is Jeffreys' divergence, as in Yurdakul and Naranjo, "Statistical properties of the population stability
/// index", Journal of Risk Model Validation 14 (4), 2020. An empty bin counts as 1/10,000, as its logarithm
/// would be none.
///
/// - Parameters: shares of the bins, as many in each.
package func populationStabilityIndex(expected: [Double], actual: [Double]) -> Double {
  zip(expected, actual).reduce(0) { sum, shares in
    let expected = max(shares.0, 1e-4)
    let actual = max(shares.1, 1e-4)
    return sum + (actual - expected) * log(actual / expected)
  }
}
