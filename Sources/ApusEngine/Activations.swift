import Glibc

extension Activation {
  /// Replaces each value by its function, over rows that lie `stride` floats apart.
  ///
  /// A NaN stays a NaN, an infinity becomes the function's limit (GELU of -∞ is NaN, as in PyTorch).
  func apply(_ values: UnsafeMutablePointer<Float>, stride: Int, rows: Int, columns: Int) {
    switch self {
    case .none: break
    case .relu: replaceEach(values, stride, rows, columns) { $0 < 0 ? 0 : $0 }
    case .tanh: replaceEach(values, stride, rows, columns) { tanhf($0) }
    case .sigmoid: replaceEach(values, stride, rows, columns) { logistic($0) }
    case .gelu:
      replaceEach(values, stride, rows, columns) { 0.5 * $0 * (1 + erff($0 * inverseSquareRootOf2)) }
    }
  }
}

/// 1 / (1 + e⁻ˣ). It needs no case for large |x|: e⁻ˣ overflows to infinity and gives 0, or vanishes and
/// gives 1.
@inline(__always)
func logistic(_ value: Float) -> Float { 1 / (1 + expf(-value)) }

private let inverseSquareRootOf2: Float = 0.70710678

/// Invariant: `values` covers `rows` rows of `columns` floats, `stride` apart. Inlined with its function, so
/// that a loop has no call but the one to libm.
@inline(__always)
private func replaceEach(
  _ values: UnsafeMutablePointer<Float>, _ stride: Int, _ rows: Int, _ columns: Int,
  _ function: (Float) -> Float
) {
  for row in 0..<rows {
    let values = values + row * stride
    for column in 0..<columns { values[column] = function(values[column]) }
  }
}
