import ApusEngine

/// What a TensorFlow graph may hold at most. Its numbers are not bounded here: they are read where they lie.
enum TensorFlowLimits {
  static let format = ProtobufFormat(
    name: "TensorFlow", structureByteCount: 64 << 20, memoryPerStructureByte: 64,
    decodingByteCount: 512 << 20,
    tensors: 200_000, listElements: 1 << 24, nameByteCount: 1024, textByteCount: 1 << 20)
  static let nodes = 100_000
  static let inputsPerNode = 10_000
  static let attributesPerNode = 256
  static let outputs = 1_000
  /// Bytes of all constants that say their numbers in short: the last one stands for all that are missing.
  static let repeatedByteCount = 16 << 20
}
