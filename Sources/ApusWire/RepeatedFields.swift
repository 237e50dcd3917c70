/// Helpers for messages with repeated fields. What does not fit marks the arena as exhausted, so that an
/// encoder builds everything and asks once at its end.

/// Copies values into the arena as the array of pointers that protobuf-c takes for a repeated message. When
/// the arena is full the array is not whole and must not be packed.
func repeated<Value, Message>(
  _ values: [Value], _ arena: borrowing MetadataArena, _ initialise: (UnsafeMutablePointer<Message>) -> Void,
  _ fill: (Value, UnsafeMutablePointer<Message>, borrowing MetadataArena) -> Void
) -> UnsafeMutablePointer<UnsafeMutablePointer<Message>?>? {
  guard !values.isEmpty,
    let list: UnsafeMutablePointer<UnsafeMutablePointer<Message>?> = arena.pointers(values.count)
  else { return nil }
  for (index, value) in values.enumerated() {
    guard let message: UnsafeMutablePointer<Message> = arena.make(initialise) else { return nil }
    fill(value, message, arena)
    list[index] = message
  }
  return list
}

/// The same for a repeated `string`.
func repeatedStrings(
  _ texts: [String], _ arena: borrowing MetadataArena
) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
  guard !texts.isEmpty,
    let list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> = arena.pointers(texts.count)
  else { return nil }
  for (index, text) in texts.enumerated() { list[index] = arena.string(text) }
  return list
}

/// Packs a message that was built in the arena.
///
/// - Returns: bytes written, 0 when they do not fit or the arena was too full to build the message whole.
func pack<Message>(
  _ message: inout Message, into output: UnsafeMutableRawBufferPointer, _ arena: borrowing MetadataArena,
  size: (UnsafePointer<Message>?) -> Int, pack: (UnsafePointer<Message>?, UnsafeMutablePointer<UInt8>?) -> Int
) -> Int {
  guard !arena.isExhausted, size(&message) <= output.count else { return 0 }
  return pack(&message, output.baseAddress?.assumingMemoryBound(to: UInt8.self))
}

/// Reads a repeated message field.
func values<Message, Value>(
  _ list: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?, _ count: Int, _ read: (Message) -> Value
) -> [Value] {
  guard let list else { return [] }
  return UnsafeBufferPointer(start: list, count: count).compactMap { $0.map { read($0.pointee) } }
}

/// Reads a repeated `string`.
func texts(_ list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, _ count: Int) -> [String] {
  guard let list else { return [] }
  return UnsafeBufferPointer(start: list, count: count).map { text($0) }
}
