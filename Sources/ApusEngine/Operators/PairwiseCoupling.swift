/// Probabilities of classes from those that one of two is the right one, by the method of Wu, Lin and Weng
/// ("Probability estimates for multi-class classification by pairwise coupling", 2004, the second) as LIBSVM
/// has it.
struct PairwiseCoupling {
  private let classes: Int
  /// [first, second]: that the first is right if one of both is.
  private let pairwise: UnsafeMutablePointer<Float>
  private let matrix: UnsafeMutablePointer<Float>
  private let products: UnsafeMutablePointer<Float>

  /// Invariant: `memory` covers `floatCount` floats while this is used for anything.
  init(_ memory: UnsafeMutablePointer<Float>, classes: Int) {
    self.classes = classes
    pairwise = memory
    matrix = memory + classes * classes
    products = memory + 2 * classes * classes
  }

  static func floatCount(classes: Int) -> Int { (2 * classes + 1) * classes }

  func probabilities(
    _ scores: UnsafePointer<Float>, _ factors: [Float], _ offsets: [Float],
    into result: UnsafeMutableBufferPointer<Float>
  ) {
    var pair = 0
    for first in 0..<classes - 1 {
      for second in first + 1..<classes {
        let chance = 1 - PostTransform.logistic(scores[pair] * factors[pair] + offsets[pair])
        let bounded = min(max(chance, 1e-7), 1 - 1e-7)
        pairwise[first * classes + second] = bounded
        pairwise[second * classes + first] = 1 - bounded
        pair += 1
      }
    }
    fillMatrix()
    for index in 0..<classes { result[index] = 1 / Float(classes) }
    for _ in 0..<100 {
      guard improve(result) else { break }
    }
  }

  private func fillMatrix() {
    for row in 0..<classes {
      var diagonal: Float = 0
      for column in 0..<classes where column != row {
        let other = pairwise[column * classes + row]
        diagonal += other * other
        matrix[row * classes + column] = -other * pairwise[row * classes + column]
      }
      matrix[row * classes + row] = diagonal
    }
  }

  /// One step; false where the result was good before it.
  private func improve(_ result: UnsafeMutableBufferPointer<Float>) -> Bool {
    var whole: Float = 0
    for row in 0..<classes {
      products[row] = 0
      for column in 0..<classes { products[row] += matrix[row * classes + column] * result[column] }
      whole += result[row] * products[row]
    }
    var error: Float = 0
    for row in 0..<classes { error = max(error, abs(products[row] - whole)) }
    guard error >= 0.005 / Float(classes) else { return false }
    for row in 0..<classes {
      let diagonal = matrix[row * classes + row]
      let change = (whole - products[row]) / diagonal
      result[row] += change
      whole = (whole + change * (change * diagonal + 2 * products[row])) / (1 + change) / (1 + change)
      for column in 0..<classes {
        products[column] = (products[column] + change * matrix[row * classes + column]) / (1 + change)
        result[column] /= 1 + change
      }
    }
    return true
  }
}
