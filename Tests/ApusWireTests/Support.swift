import ApusBase
import ApusWire

/// An encoded message, written field by field, so that tests can break it where no encoder would
/// (protobuf.dev/programming-guides/encoding).
struct Message {
  var bytes: [UInt8] = []

  static func varint(_ value: UInt64) -> [UInt8] {
    var rest = value
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  func number(_ field: UInt64, _ value: UInt64) -> Message {
    Message(bytes: bytes + Self.varint(field << 3) + Self.varint(value))
  }

  func data(_ field: UInt64, _ value: [UInt8]) -> Message {
    Message(bytes: bytes + Self.varint(field << 3 | 2) + Self.varint(UInt64(value.count)) + value)
  }

  func text(_ field: UInt64, _ value: String) -> Message { data(field, Array(value.utf8)) }
  func message(_ field: UInt64, _ value: Message) -> Message { data(field, value.bytes) }

  func numbers(_ field: UInt64, _ values: [UInt64]) -> Message {
    data(field, values.flatMap { Self.varint($0) })
  }
}

/// A `Part`; the field numbers are those of apus.proto.
func part(
  dtype: UInt64 = 1, shape: [UInt64] = [1, 4], offset: UInt64 = 0, length: UInt64 = 16,
  lengths: [UInt64] = [],
  region: UInt64 = 0
) -> Message {
  let part = Message().number(1, dtype).numbers(2, shape).number(3, offset).number(4, length).number(
    7, region)
  return lengths.isEmpty ? part : part.numbers(5, lengths)
}

/// A `ClassifyRequest` for a model of four numbers.
func request(_ inputs: [Message] = [part()], model: String = "digits") -> Message {
  inputs.reduce(Message().text(1, model)) { $0.message(4, $1) }
}

func makeArena(byteCount: Int = Limits().metadataArenaBytes) -> MetadataArena {
  MetadataArena(byteCount: byteCount)
}

/// What an encoder writes into `room` bytes.
func encoded(
  room: Int = 64 << 10, _ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int
) -> [UInt8] {
  let arena = makeArena()
  var bytes = [UInt8](repeating: 0, count: room)
  let byteCount = bytes.withUnsafeMutableBytes { encode($0, arena) }
  return Array(bytes.prefix(byteCount))
}

/// Decodes a request and reads it before its arena ends.
func classifying<Result>(
  _ message: Message, bodyBytes: Int = 64, arenaBytes: Int = Limits().metadataArenaBytes,
  _ read: (ClassifyRequest) -> Result
) throws -> Result {
  let arena = makeArena(byteCount: arenaBytes)
  return try message.bytes.withUnsafeBytes { metadata in
    read(try ClassifyRequest(decoding: metadata, bodyBytes: bodyBytes, arena: arena))
  }
}

/// The reason for which a request is refused; nil when it is taken.
func refusal(_ message: Message, bodyBytes: Int = 64, arenaBytes: Int = Limits().metadataArenaBytes)
  -> String?
{
  do {
    try classifying(message, bodyBytes: bodyBytes, arenaBytes: arenaBytes) { _ in }
    return nil
  } catch let status as Status where status.code == .invalidArgument {
    return status.reason
  } catch {
    return "\(error)"
  }
}
