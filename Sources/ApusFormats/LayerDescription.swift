/// One layer as `architecture.layers` in a model.yaml names it; its weights are in the weight file.
package struct LayerDescription: Sendable, Equatable {
  package enum Kind: String, Sendable, CaseIterable {
    case linear, conv1d, conv2d, batchnorm, maxpool, avgpool
    /// To one number of each channel, which keeps its dimensions.
    case adaptiveAveragePool = "adaptive_avgpool"
    /// To one number of each channel alone.
    case globalAveragePool = "globalavgpool"
    case flatten, relu, tanh, sigmoid, gelu
    case leakyRelu = "leaky_relu"
    case softmax
    /// Which does nothing when a model answers.
    case dropout

    /// What may be said of it, beside its type.
    package var keys: [String] {
      switch self {
      case .linear: ["name"]
      case .conv1d, .conv2d: ["name", "stride", "padding", "dilation", "groups"]
      case .batchnorm: ["name", "eps"]
      case .maxpool: ["kernel", "stride", "padding", "dilation", "ceil"]
      case .avgpool: ["kernel", "stride", "padding", "ceil", "count_include_pad"]
      case .leakyRelu: ["slope"]
      case .dropout: ["p"]
      case .adaptiveAveragePool, .globalAveragePool, .flatten, .relu, .tanh, .sigmoid, .gelu, .softmax: []
      }
    }
  }

  package var kind: Kind
  /// The part of its tensors' names before `.weight`; nil: the next in the file.
  package var name: String?
  // Of windows: one number for all dimensions, or one for each. With PyTorch's defaults.
  package var kernel: [Int] = []
  /// Empty: 1, and of pools the kernel's size.
  package var stride: [Int] = []
  package var padding: [Int] = []
  package var dilation: [Int] = []
  package var groups = 1
  /// Whether a window may stand over the end.
  package var isCeiling = false
  /// Whether an average counts padding, as zeros.
  package var countsPadding = true
  /// What a norm adds to the variance.
  package var epsilon: Float = 1e-5
  /// Of leaky ReLU, below 0.
  package var slope: Float = 0.01

  package init(_ kind: Kind, name: String? = nil) {
    self.kind = kind
    self.name = name
  }
}
