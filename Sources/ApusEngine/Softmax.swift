import Glibc

extension OutputActivation {
  /// Turns rows of logits into rows of probabilities; both may be the same memory.
  ///
  /// Finite logits of any size give probabilities. As in PyTorch, a row of softmax that holds a NaN or +∞, or
  /// nothing but -∞, has no probabilities: all of it becomes NaN.
  ///
  /// Invariant: `logits` and `output` cover `rows` rows of `columns` floats, their strides apart, and are
  /// equal with equal strides or do not overlap.
  func apply(
    logits: UnsafePointer<Float>, logitsStride: Int, rows: Int, columns: Int,
    output: UnsafeMutablePointer<Float>, outputStride: Int
  ) {
    for row in 0..<rows {
      let logits = logits + row * logitsStride
      let output = output + row * outputStride
      switch self {
      case .softmax: normalizeRow(logits, columns, output)
      case .sigmoid: for column in 0..<columns { output[column] = logistic(logits[column]) }
      case .none: if UnsafePointer(output) != logits { output.update(from: logits, count: columns) }
      }
    }
  }
}

/// e^(xᵢ - max x) / Σ e^(xⱼ - max x): no exponent is above 0, so nothing overflows and the sum is at least 1.
/// The sum is kept in double precision, so that thousands of classes lose nothing.
@inline(__always)
private func normalizeRow(
  _ logits: UnsafePointer<Float>, _ columns: Int, _ output: UnsafeMutablePointer<Float>
) {
  var maximum = -Float.infinity
  for column in 0..<columns where logits[column] > maximum { maximum = logits[column] }
  var sum = 0.0
  for column in 0..<columns {
    let power = expf(logits[column] - maximum)
    output[column] = power
    sum += Double(power)
  }
  let scale = Float(1 / sum)
  for column in 0..<columns { output[column] *= scale }
}
