/// Turns texts into vectors as scikit-learn's `HashingVectorizer` does with its defaults but for what stands
/// here: lower case, tokens `(?u)\b\w\w+\b`, signs alternating, no stop words, counts and not booleans.
/// Where a character's class depends on the version of Unicode, the one of Swift's standard library holds.
package struct HashingFeatures: Sendable, Equatable {
  package enum Analyzer: String, Sendable, CaseIterable {
    /// n-grams of words, joined by a space.
    case word
    /// n-grams of characters, white space included.
    case char
    /// n-grams of characters inside words, each word between two spaces.
    case charInWords = "char_wb"
  }

  package enum Norm: String, Sendable, CaseIterable {
    case l1, l2
    /// Counts as they are.
    case none
  }

  /// Numbers of a vector.
  package let dimensions: Int
  package let analyzer: Analyzer
  /// Lengths of the n-grams.
  package let ngrams: ClosedRange<Int>
  package let norm: Norm

  package static let dimensionsAllowed = 1...(1 << 20)
  package static let ngramsAllowed = 1...16

  /// The numbers must lie in what is allowed.
  package init(
    dimensions: Int, analyzer: Analyzer = .word, ngrams: ClosedRange<Int> = 1...1, norm: Norm = .l2
  ) {
    precondition(Self.dimensionsAllowed.contains(dimensions))
    precondition(Self.ngramsAllowed.contains(ngrams.lowerBound))
    precondition(Self.ngramsAllowed.contains(ngrams.upperBound))
    self.dimensions = dimensions
    self.analyzer = analyzer
    self.ngrams = ngrams
    self.norm = norm
  }

  /// Writes the vector of a text. It allocates nothing.
  ///
  /// - Parameters:
  ///   - text: UTF-8.
  ///   - output: room for `dimensions` numbers; what it holds is overwritten.
  ///   - scratch: what was made once for features whose n-grams are no longer than its own.
  /// - Returns: false when the text is no UTF-8; `output` then holds nothing of use.
  package func vector(
    of text: UnsafeRawBufferPointer, into output: UnsafeMutablePointer<Float>,
    scratch: borrowing FeatureScratch
  ) -> Bool {
    var counter = NgramCounter(features: self, output: output, states: scratch.states)
    var reader = ScalarReader(text)
    var lowerCase = LowerCase()
    while let scalar = reader.next() {
      lowerCase.map(scalar, before: reader) { counter.take($0) }
    }
    guard !reader.isBroken else { return false }
    counter.end()
    normalize(output)
    return true
  }

  /// Counts to numbers. Sums are exact, as every count is an integer.
  private func normalize(_ output: UnsafeMutablePointer<Float>) {
    var sum = 0.0
    for index in 0..<dimensions {
      let count = Double(Int32(bitPattern: output[index].bitPattern))
      switch norm {
      case .l1: sum += abs(count)
      case .l2: sum += count * count
      case .none: break
      }
    }
    let divisor = sum == 0 ? 1 : norm == .l2 ? sum.squareRoot() : sum
    for index in 0..<dimensions {
      output[index] = Float(Double(Int32(bitPattern: output[index].bitPattern)) / divisor)
    }
  }
}

/// Working memory for one thread.
package struct FeatureScratch: ~Copyable {
  let states: UnsafeMutablePointer<MurmurHash>

  package init() {
    let count = HashingFeatures.ngramsAllowed.upperBound + 1
    states = .allocate(capacity: count)
    states.initialize(repeating: MurmurHash(), count: count)
  }

  deinit { states.deallocate() }
}
