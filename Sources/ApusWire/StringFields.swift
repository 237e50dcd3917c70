/// protobuf-c hands a `string` field out as a C string, so `digits\0x` would be read as `digits`, and it does
/// not look at the bytes, which proto3 wants to be UTF-8 (protobuf.dev/programming-guides/proto3/#scalar). So
/// the strings that a peer sends are looked at where they lie in the encoded message.

/// Numbers of fields, from 1 to 63.
struct FieldNumbers: OptionSet {
  let rawValue: UInt64

  static func field(_ number: UInt64) -> FieldNumbers { FieldNumbers(rawValue: 1 << number) }

  func contains(number: UInt64) -> Bool { number < 64 && rawValue >> number & 1 == 1 }
}

/// Checks the named fields at the top level of a message that protobuf-c has taken.
///
/// - Throws: `Status`, INVALID_ARGUMENT, when one of them holds a zero byte or is no UTF-8.
func checkStrings(_ message: UnsafeRawBufferPointer, _ fields: FieldNumbers) throws(Status) {
  var walk = FieldWalk(message)
  while let (number, value) = try walk.next() {
    guard let value, fields.contains(number: number) else { continue }
    guard !value.contains(0), isUTF8(value) else {
      throw Status(
        .invalidArgument, "TEXT_BROKEN",
        "text in field \(number) of the metadata has a zero byte or is no UTF-8")
    }
  }
}

/// Checks the named fields of each message that lies in one of the `outer` fields.
///
/// - Throws: as `checkStrings` of a message.
func checkStrings(
  _ message: UnsafeRawBufferPointer, inside outer: FieldNumbers, _ fields: FieldNumbers
) throws(Status) {
  var walk = FieldWalk(message)
  while let (number, value) = try walk.next() {
    guard let value, outer.contains(number: number) else { continue }
    try checkStrings(value, fields)
  }
}

private func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
  bytes.withMemoryRebound(to: UInt8.self) { (try? UTF8Span(validating: $0.span)) != nil }
}

/// Steps over the fields of an encoded message (protobuf.dev/programming-guides/encoding), within the same
/// bounds as protobuf-c: tags of at most 5 bytes, numbers of at most 10, no groups.
struct FieldWalk {
  private let bytes: UnsafeRawBufferPointer
  /// Of the next field.
  private(set) var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The next field's number, and its bytes where it is length-delimited; nil at the end.
  mutating func next() throws(Status) -> (number: UInt64, value: UnsafeRawBufferPointer?)? {
    guard offset < bytes.count else { return nil }
    let tag = try varint(atMost: 5)
    switch tag & 7 {
    case 0: _ = try varint(atMost: 10)
    case 1: _ = try take(8)
    case 2: return (tag >> 3, try take(varint(atMost: 5)))
    case 5: _ = try take(4)
    default: throw Self.broken
    }
    return (tag >> 3, nil)
  }

  private mutating func take(_ byteCount: UInt64) throws(Status) -> UnsafeRawBufferPointer {
    guard byteCount <= UInt64(bytes.count - offset) else { throw Self.broken }
    let start = offset
    offset += Int(byteCount)
    return UnsafeRawBufferPointer(rebasing: bytes[start..<offset])
  }

  private mutating func varint(atMost byteCount: Int) throws(Status) -> UInt64 {
    var value: UInt64 = 0
    for position in 0..<byteCount {
      guard offset < bytes.count else { throw Self.broken }
      let byte = bytes[offset]
      offset += 1
      value |= UInt64(byte & 0x7F) << UInt64(7 * position)
      if byte < 0x80 { return value }
    }
    throw Self.broken
  }

  private static var broken: Status {
    Status(.invalidArgument, "METADATA_BROKEN", "the metadata is not the message that the method takes")
  }
}
