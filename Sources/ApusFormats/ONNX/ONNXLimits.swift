import ApusEngine

/// What an ONNX file may hold at most. Its numbers are not bounded here: they are read where they lie.
enum ONNXLimits {
  static let format = ProtobufFormat(
    name: "ONNX", structureByteCount: 64 << 20, memoryPerStructureByte: 64, decodingByteCount: 512 << 20,
    tensors: 200_000, listElements: 1 << 24, nameByteCount: 1024, textByteCount: 1 << 20)
  static let nodes = 100_000
  static let initializers = 100_000
  static let graphInputs = 1_000
  static let graphOutputs = 1_000
  static let inputsPerNode = 10_000
  static let outputsPerNode = 10_000
  static let attributesPerNode = 256
  /// Dimensions of a tensor.
  static let rank = TensorType.maximumRank
  static let irVersions = 3...14
  /// By domain; ONNX's own is the empty one.
  static let opsets = ["": 9...28, "ai.onnx.ml": 1...5]
}
