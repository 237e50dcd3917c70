/// Why bytes are no protobuf message.
enum ProtobufProblem: String, Error {
  case truncated = "it is cut short"
  case varint = "a variable-length integer has more than 64 bits"
  case number = "a field has no sound number"
  case group = "a field is a group, which none of these files has"
  case wireType = "a field has a wire type that there is not"
  case packed = "packed numbers do not fill their field"
}

/// Reads the fields of a protobuf message from front to back, as ranges of the file: nothing is nested,
/// nothing copied, and every length is compared with what is left.
struct ProtobufReader {
  enum WireType: UInt64 {
    case varint = 0
    case fixed64 = 1
    case bytes = 2
    case fixed32 = 5
  }

  struct Field {
    let number: UInt32
    let wireType: WireType
    /// What follows the tag, and the length where there is one.
    let content: FileBytes
  }

  let bytes: FileBytes
  private var position = 0

  init(_ bytes: FileBytes) { self.bytes = bytes }

  /// The next field, or nil at the end.
  mutating func next() throws(ProtobufProblem) -> Field? {
    guard position < bytes.count else { return nil }
    let tag = try varint()
    guard tag >> 3 > 0, tag <= UInt64(UInt32.max), let number = UInt32(exactly: tag >> 3) else {
      throw .number
    }
    guard tag & 7 != 3, tag & 7 != 4 else { throw .group }
    guard let wireType = WireType(rawValue: tag & 7) else { throw .wireType }
    let start = position
    let count: Int
    switch wireType {
    case .varint:
      _ = try varint()
      count = position - start
      position = start
    case .fixed64: count = 8
    case .fixed32: count = 4
    case .bytes:
      guard let length = Int(exactly: try varint()) else { throw .truncated }
      count = length
    }
    guard let content = bytes.slice(at: position, count: count) else { throw .truncated }
    position += count
    return Field(number: number, wireType: wireType, content: content)
  }

  /// The next variable-length integer alone, as packed numbers are.
  mutating func varint() throws(ProtobufProblem) -> UInt64 {
    var value: UInt64 = 0
    for place in 0..<10 {
      guard position < bytes.count else { throw .truncated }
      let byte = bytes[position]
      position += 1
      guard place < 9 || byte <= 1 else { throw .varint }
      value |= UInt64(byte & 0x7f) << UInt64(7 * place)
      if byte < 0x80 { return value }
    }
    throw .varint
  }

  var isAtEnd: Bool { position == bytes.count }

  /// How many numbers of a wire type are packed in a field.
  static func packedCount(_ content: FileBytes, _ wireType: WireType) throws(ProtobufProblem) -> Int {
    switch wireType {
    case .fixed32, .fixed64:
      let size = wireType == .fixed32 ? 4 : 8
      guard content.count % size == 0 else { throw .packed }
      return content.count / size
    case .varint:
      var reader = ProtobufReader(content)
      var count = 0
      while !reader.isAtEnd {
        _ = try reader.varint()
        count += 1
      }
      return count
    case .bytes: throw .packed
    }
  }
}
