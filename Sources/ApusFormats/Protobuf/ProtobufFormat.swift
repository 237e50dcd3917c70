/// What a format of protobuf messages may hold at most, beside the tensors' numbers: those are read where
/// they lie.
struct ProtobufFormat: Sendable {
  /// For messages.
  let name: String
  /// Protobuf's own bound of a message.
  let fileByteCount = Int(Int32.max)
  /// Bytes of everything but the tensors' numbers: names, nodes, attributes.
  let structureByteCount: Int
  /// Memory for decoding the structure, for each byte of it: an empty text takes the most.
  let memoryPerStructureByte: Int
  /// Memory for decoding the structure, whatever its size.
  let decodingByteCount: Int
  /// Tensors of the whole file.
  let tensors: Int
  /// Numbers or texts in one list, before they are looked at.
  let listElements: Int
  let nameByteCount: Int
  /// A text that is a value, not a name.
  let textByteCount: Int

  /// The field of the reader's own mark, `apus_place` in the schemas under proto.
  static let markNumber: UInt32 = 400_000_000

  /// What protobuf-c is given of a file.
  ///
  /// - Throws: `malformed` for an empty file and with the place of what is wrong; `unsupported` for what is
  ///   longer than the limits allow.
  func skeleton(
    of file: KeptBytes, _ description: ProtobufSkeleton.Description, marking: ProtobufSkeleton.Description
  ) throws(FormatError) -> ProtobufSkeleton {
    guard file.bytes.count > 0 else { throw .malformed("the file is empty") }
    guard file.bytes.count <= fileByteCount else {
      throw .unsupported("a file of \(file.bytes.count) bytes; at most \(fileByteCount) are read")
    }
    return try ProtobufSkeleton(FileBytes(file.bytes), of: description, in: self, marking: marking)
  }

  /// Memory in which a skeleton can be decoded.
  func memory(for skeleton: ProtobufSkeleton) -> ProtobufMemory {
    ProtobufMemory(limit: min(4096 + skeleton.bytes.count * memoryPerStructureByte, decodingByteCount))
  }
}
