import Glibc

/// A function of each number that is computed with the product before it.
enum FusedActivation: Equatable, Sendable {
  case none, relu, sigmoid, tanh, gelu, geluTanh
  /// The nearest number between the two.
  case clip(Float, Float)
  /// v where v ≥ 0, otherwise so many v.
  case leaky(Float)

  /// For a person; empty for none.
  var name: String {
    switch self {
    case .none: ""
    case .relu: "relu"
    case .sigmoid: "sigmoid"
    case .tanh: "tanh"
    case .gelu: "gelu"
    case .geluTanh: "gelu (tanh)"
    case .clip(let low, let high): "clip \(low) to \(high)"
    case .leaky(let slope): "leaky relu \(slope)"
    }
  }
}

/// 1 / (1 + e⁻ˣ). It needs no case for large |x|: e⁻ˣ overflows to infinity and gives 0, or vanishes and
/// gives 1.
@inline(__always)
private func logistic(_ value: Float) -> Float { 1 / (1 + expf(-value)) }

extension FusedActivation {
  /// Replaces each number by the function of it, by the C library's functions.
  func apply(_ values: UnsafeMutableBufferPointer<Float>) {
    switch self {
    case .none: break
    case .relu: replaceEach(values) { $0 < 0 ? 0 : $0 }
    case .sigmoid: replaceEach(values) { logistic($0) }
    case .tanh: replaceEach(values) { tanhf($0) }
    case .gelu: replaceEach(values) { 0.5 * $0 * (1 + erff($0 * 0.70710678)) }
    case .geluTanh:
      replaceEach(values) { 0.5 * $0 * (1 + tanhf(0.79788456 * ($0 + 0.044715 * $0 * $0 * $0))) }
    case .clip(let low, let high): replaceEach(values) { $0 < low ? low : $0 > high ? high : $0 }
    case .leaky(let slope): replaceEach(values) { $0 < 0 ? slope * $0 : $0 }
    }
  }

  @inline(__always)
  private func replaceEach(_ values: UnsafeMutableBufferPointer<Float>, _ function: (Float) -> Float) {
    for index in values.indices { values[index] = function(values[index]) }
  }
}
