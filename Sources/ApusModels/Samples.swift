/// Inputs of a version and the answers that they must get: a version whose files compute something else is
/// not served.
package struct Samples: Sendable, Equatable {
  package enum Questions: Sendable, Equatable {
    /// Rows one after another, each of `width` numbers.
    case inputs([Float], width: Int)
    case texts([String])
  }

  package let rows: Int
  package let questions: Questions
  /// Expected: `rows × expectedWidth` numbers, or empty.
  package var probabilities: [Float] = []
  /// Expected raw outputs of the head: `rows × expectedWidth` numbers, or empty.
  package var scores: [Float] = []
  /// Expected most probable class of each row, or empty.
  package var classes: [Int] = []
  /// Classes in a row of `probabilities` and `scores`; 0: neither is there.
  package var expectedWidth = 0
  /// How far a number may lie from what is expected, absolute.
  package var tolerance = Self.defaultTolerance

  package static let defaultTolerance: Float = 1e-4
  package static let maximumRows = 4096
  package static let maximumBytes = 16 << 20
  package static let fileNames = ["samples.npz", "samples.json"]

  package init(rows: Int, questions: Questions) {
    self.rows = rows
    self.questions = questions
  }

  /// What does not fit to a model of these inputs and classes is told before anything is computed.
  ///
  /// - Throws: `ModelError`.
  func fit(inputs: Int, classes count: Int, takesTexts: Bool) throws(ModelError) {
    switch questions {
    case .inputs(_, let width) where width != inputs:
      throw ModelError("samples have \(width) numbers a row but the model takes \(inputs)")
    case .texts where !takesTexts:
      throw ModelError("samples are texts, but model.yaml has no features that make numbers of them")
    default: break
    }
    guard expectedWidth == 0 || expectedWidth == count else {
      throw ModelError("samples expect \(expectedWidth) classes but the model gives \(count)")
    }
    if let row = classes.firstIndex(where: { $0 >= count }) {
      throw ModelError("samples, row \(row): class \(classes[row]) is none, the model gives \(count)")
    }
  }

  /// Holds what a model computed against what is expected.
  ///
  /// - Parameters:
  ///   - probabilities: `rows × classes`, row by row; and so `scores`.
  ///   - classes: numbers in a row of an answer.
  /// - Throws: `ModelError` that names the first row and class that differ, and by how much.
  package func check(probabilities: [Float], scores: [Float], classes: Int) throws(ModelError) {
    guard probabilities.count == rows * classes, scores.count == rows * classes,
      expectedWidth == 0 || expectedWidth == classes
    else { throw ModelError("samples: the model's answers have another shape than what is expected") }
    try compare(probabilities, self.probabilities, "probability")
    try compare(scores, self.scores, "score")
    for (row, expected) in self.classes.enumerated() {
      let answered = probabilities[row * classes..<(row + 1) * classes].indexOfLargest
      guard answered == expected else {
        throw ModelError("samples, row \(row): the most probable class is \(answered), not \(expected)")
      }
    }
  }

  private func compare(_ answered: [Float], _ expected: [Float], _ what: String) throws(ModelError) {
    for (place, value) in expected.enumerated() {
      let difference = abs(answered[place] - value)
      // A difference that is no number is one too.
      guard difference <= tolerance else {
        throw ModelError(
          "samples, row \(place / expectedWidth), class \(place % expectedWidth): the \(what) is "
            + "\(answered[place]), not \(value); they differ by \(difference), the tolerance is \(tolerance)")
      }
    }
  }
}

extension ArraySlice<Float> {
  /// Place of the largest number from the start, the first of equal ones; 0 where there is none.
  package var indexOfLargest: Int {
    var best = startIndex
    for place in indices where self[place] > self[best] { best = place }
    return best - startIndex
  }
}
