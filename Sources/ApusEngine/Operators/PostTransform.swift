import Glibc

/// What classifiers of ai.onnx.ml make of their scores.
enum PostTransform: String {
  case none = "NONE"
  case softmax = "SOFTMAX"
  case logistic = "LOGISTIC"
  case softmaxZero = "SOFTMAX_ZERO"
  case probit = "PROBIT"

  /// Which scores a single one of two classes becomes.
  enum SecondClass {
    /// 1 - s and s.
    case complement
    /// -s and s.
    case opposite
  }

  /// - Throws: `GraphError` for a name that is not known.
  init(_ attributes: Attributes) throws(GraphError) {
    let name = try attributes.string("post_transform") ?? "NONE"
    guard let transform = PostTransform(rawValue: name) else {
      throw GraphError("the post_transform '\(name)' is not known")
    }
    self = transform
  }

  /// Transforms the scores of one example in place.
  func apply<Number: BinaryFloatingPoint>(_ scores: UnsafeMutableBufferPointer<Number>) {
    // A single score is that of one of two classes, or of none: most transforms say nothing of it.
    guard scores.count > 1 || self == .probit else { return }
    switch self {
    case .none: break
    case .softmax: Self.softmax(scores)
    case .softmaxZero: Self.softmaxZero(scores)
    case .logistic:
      for index in scores.indices { scores[index] = Number(Self.logistic(Float(scores[index]))) }
    case .probit:
      for index in scores.indices { scores[index] = Number(Self.probit(Float(scores[index]))) }
    }
  }

  /// Makes two scores of the single one in `scores[0]`, and transforms them.
  func expand<Number: BinaryFloatingPoint>(
    _ scores: UnsafeMutableBufferPointer<Number>, _ second: SecondClass
  ) {
    let score = scores[0]
    switch (self, second) {
    case (.probit, _):
      scores[0] = Number(Self.probit(Float(score)))
      scores[1] = 0
    case (.logistic, _):
      scores[0] = Number(Self.logistic(Float(-score)))
      scores[1] = Number(Self.logistic(Float(score)))
    case (_, .complement):
      scores[0] = 1 - score
      scores[1] = score
    case (_, .opposite):
      scores[0] = -score
      scores[1] = score
    }
  }

  private static func softmax<Number: BinaryFloatingPoint>(_ scores: UnsafeMutableBufferPointer<Number>) {
    var most = -Number.greatestFiniteMagnitude
    for score in scores where score > most { most = score }
    var sum: Number = 0
    for index in scores.indices {
      scores[index] = exponential(scores[index] - most)
      sum += scores[index]
    }
    for index in scores.indices { scores[index] /= sum }
  }

  /// A softmax of the scores that are not 0, which stay 0.
  private static func softmaxZero<Number: BinaryFloatingPoint>(
    _ scores: UnsafeMutableBufferPointer<Number>
  ) {
    var most = -Number.greatestFiniteMagnitude
    for score in scores where score > most { most = score }
    let factor = exponential(-most)
    var sum: Number = 0
    for index in scores.indices {
      if abs(scores[index]) > 0.0000001 {
        scores[index] = exponential(scores[index] - most)
        sum += scores[index]
      } else {
        scores[index] *= factor
      }
    }
    for index in scores.indices { scores[index] /= sum }
  }

  private static func exponential<Number: BinaryFloatingPoint>(_ value: Number) -> Number {
    Number(exp(Double(value)))
  }

  static func logistic(_ value: Float) -> Float {
    let positive = 1 / (1 + exp(-abs(value)))
    return value < 0 ? 1 - positive : positive
  }

  /// The inverse of the normal distribution by Winitzki's approximation of that of erf, with the constants of
  /// ONNX Runtime.
  static func probit(_ value: Float) -> Float {
    let centered = 2 * value - 1
    let logarithm = log((1 - centered) * (1 + centered))
    let first = 2 / (Float(3.14159) * Float(0.147)) + Float(0.5) * logarithm
    let root = (-first + (first * first - 1 / Float(0.147) * logarithm).squareRoot()).squareRoot()
    return Float(1.41421356) * (centered < 0 ? -root : root)
  }
}
