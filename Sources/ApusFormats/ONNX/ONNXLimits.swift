import ApusEngine

/// What an ONNX file may hold at most. Its numbers are not bounded here: they are read where they lie.
enum ONNXLimits {
  /// Protobuf's own bound of a message.
  static let fileByteCount = Int(Int32.max)
  /// Bytes of everything but the tensors' numbers: names, nodes, attributes.
  static let structureByteCount = 64 << 20
  /// Memory for decoding the structure, for each byte of it: an empty text takes the most.
  static let memoryPerStructureByte = 64
  /// Memory for decoding the structure, whatever its size.
  static let decodingByteCount = 512 << 20
  static let nodes = 100_000
  static let initializers = 100_000
  /// Tensors of the graph and in attributes together.
  static let tensors = 200_000
  static let graphInputs = 1_000
  static let graphOutputs = 1_000
  static let inputsPerNode = 10_000
  static let outputsPerNode = 10_000
  static let attributesPerNode = 256
  /// Numbers or texts in one attribute, or dimensions of one tensor, before they are looked at.
  static let listElements = 1 << 24
  static let nameByteCount = 1024
  /// A text that is a value, not a name.
  static let textByteCount = 1 << 20
  /// Dimensions of a tensor.
  static let rank = TensorType.maximumRank
  static let irVersions = 3...14
  /// By domain; ONNX's own is the empty one.
  static let opsets = ["": 9...28, "ai.onnx.ml": 1...5]
}
