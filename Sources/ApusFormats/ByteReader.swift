/// The bytes of a weight file, or a part of them; every access is checked against the bounds.
///
/// Invariant of the unsafe code here: whoever hands in the buffer keeps it readable and unchanged for as
/// long as this value and everything read from it (a `StateDict`'s tensors) is in use. Only tensors of a
/// graph, which keep the file's owner, hold the pointer longer; no other code of the module is unsafe but
/// that which calls protobuf-c (`ProtobufSkeleton`, `ProtobufMemory`, `ProtobufMessages`).
struct FileBytes {
  let bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var count: Int { bytes.count }

  /// The byte at `offset`; traps outside of the bounds.
  subscript(offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < bytes.count)
    return bytes[offset]
  }

  /// A part of the bytes, or nil where it does not lie inside.
  func slice(at offset: Int, count: Int) -> FileBytes? {
    guard offset >= 0, count >= 0, offset <= bytes.count, count <= bytes.count - offset else { return nil }
    return FileBytes(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
  }

  /// The little-endian integer at `offset`, or nil where it does not lie inside.
  @inline(__always)
  func integer<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: Value.Type) -> Value? {
    let size = MemoryLayout<Value>.size
    guard offset >= 0, size <= bytes.count, offset <= bytes.count - size else { return nil }
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
  }

  func firstIndex(of byte: UInt8, from start: Int) -> Int? {
    guard start >= 0, start <= bytes.count else { return nil }
    return bytes[start...].firstIndex(of: byte)
  }

  func starts(with prefix: [UInt8]) -> Bool { bytes.starts(with: prefix) }

  func elementsEqual(_ other: FileBytes) -> Bool { bytes.elementsEqual(other.bytes) }

  func elementsEqual(_ other: [UInt8]) -> Bool { bytes.elementsEqual(other) }

  /// The bytes as text, or nil where they are not valid UTF-8.
  var text: String? { String(validating: bytes, as: UTF8.self) }

  /// The bytes as text for a message; what is not valid is replaced, and the text is cut.
  var printableText: String { printable(String(decoding: bytes.prefix(400), as: UTF8.self)) }
}

/// Reads a part of a file from front to back.
struct ByteReader {
  let bytes: FileBytes
  /// What is being read, for messages.
  let part: String
  private(set) var position = 0

  init(_ bytes: FileBytes, part: String) {
    self.bytes = bytes
    self.part = part
  }

  var remaining: Int { bytes.count - position }

  mutating func byte() throws(FormatError) -> UInt8 {
    guard position < bytes.count else { throw truncated }
    position += 1
    return bytes[position - 1]
  }

  /// The next little-endian integer.
  mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
    as type: Value.Type
  ) throws(FormatError) -> Value {
    guard let value = bytes.integer(at: position, as: type) else { throw truncated }
    position += MemoryLayout<Value>.size
    return value
  }

  /// Passes over `count` bytes and returns them.
  mutating func take<Count: BinaryInteger>(_ count: Count) throws(FormatError) -> FileBytes {
    guard let count = Int(exactly: count), let part = bytes.slice(at: position, count: count) else {
      throw truncated
    }
    position += count
    return part
  }

  /// The bytes up to the next line feed, which is passed over.
  mutating func line() throws(FormatError) -> FileBytes {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n"), from: position) else { throw truncated }
    let line = try take(end - position)
    position += 1
    return line
  }

  private var truncated: FormatError { .truncated(part: part, position: bytes.count) }
}
