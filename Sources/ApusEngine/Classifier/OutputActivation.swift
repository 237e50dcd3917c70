/// A function applied to each number of a layer's output.
package enum Activation: String, Sendable, CaseIterable {
  case none, relu, tanh, sigmoid
  /// x · Φ(x), the exact form with erf (Hendrycks and Gimpel, arXiv:1606.08415), as PyTorch's default.
  case gelu
}

/// What turns the last layer's outputs (logits) into probabilities.
package enum OutputActivation: String, Sendable, CaseIterable {
  /// One class of many: the probabilities of a row sum to 1.
  case softmax
  /// Each class by itself (multi-label).
  case sigmoid
  /// The model's outputs already are probabilities.
  case none
}
