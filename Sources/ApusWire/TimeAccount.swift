/// Where a call's time went in the server, in nanoseconds.
public struct TimeAccount: Equatable, Sendable {
  package var receive: UInt64 = 0
  package var queue: UInt64 = 0
  package var compute: UInt64 = 0
  package var encode: UInt64 = 0
  package var total: UInt64 = 0
  package var batchRows: UInt32 = 0

  package init() {}
}

/// Protobuf lets a varint be longer than it must be (protobuf.dev/programming-guides/encoding). The account
/// is written as six-byte varints, so an answer's size, and with it the place of its body, is known before
/// its arithmetic. It is the last field of `ClassifyResponse`: see `AnswerTail`.
extension TimeAccount {
  /// Bytes of the whole field: tag, length, and six fields of a tag and six bytes.
  @inlinable public static var encodedBytes: Int { 2 + 6 * 7 }
  private static let fieldTag: UInt8 = 10 << 3 | 2
  private static let largest: UInt64 = 1 << 42 - 1

  /// Writes the field `time` of `ClassifyResponse`. Times over 73 minutes are written as that.
  @inline(__always)
  package func write(to bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: Self.fieldTag, as: UInt8.self)
    bytes.storeBytes(of: UInt8(Self.encodedBytes - 2), toByteOffset: 1, as: UInt8.self)
    Self.writeField(1, receive, bytes + 2)
    Self.writeField(2, queue, bytes + 9)
    Self.writeField(3, compute, bytes + 16)
    Self.writeField(4, encode, bytes + 23)
    Self.writeField(5, total, bytes + 30)
    Self.writeField(6, UInt64(batchRows), bytes + 37)
  }

  @inline(__always)
  private static func writeField(_ number: UInt64, _ value: UInt64, _ bytes: UnsafeMutableRawPointer) {
    let value = min(value, largest)
    var spread: UInt64 = number << 3
    spread |= (value & 0x7F | 0x80) << 8
    spread |= (value >> 7 & 0x7F | 0x80) << 16
    spread |= (value >> 14 & 0x7F | 0x80) << 24
    spread |= (value >> 21 & 0x7F | 0x80) << 32
    spread |= (value >> 28 & 0x7F | 0x80) << 40
    spread |= (value >> 35 & 0x7F) << 48
    bytes.storeBytes(of: UInt32(truncatingIfNeeded: spread).littleEndian, as: UInt32.self)
    bytes.storeBytes(
      of: UInt16(truncatingIfNeeded: spread >> 32).littleEndian, toByteOffset: 4, as: UInt16.self)
    bytes.storeBytes(of: UInt8(truncatingIfNeeded: spread >> 48), toByteOffset: 6, as: UInt8.self)
  }

  /// Reads what `write(to:)` wrote; nil when the bytes have another form, which protobuf-c then reads.
  @inline(__always)
  package init?(reading bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Self.encodedBytes, bytes[0] == Self.fieldTag,
      bytes[1] == UInt8(Self.encodedBytes - 2)
    else { return nil }
    guard
      let receive = Self.readField(1, bytes, 2), let queue = Self.readField(2, bytes, 9),
      let compute = Self.readField(3, bytes, 16), let encode = Self.readField(4, bytes, 23),
      let total = Self.readField(5, bytes, 30), let rows = Self.readField(6, bytes, 37)
    else { return nil }
    self.receive = receive
    self.queue = queue
    self.compute = compute
    self.encode = encode
    self.total = total
    batchRows = UInt32(truncatingIfNeeded: rows)
  }

  @inline(__always)
  private static func readField(_ number: UInt8, _ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64? {
    guard bytes[offset] == number << 3 else { return nil }
    let low = UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 1, as: UInt32.self)))
    let high = UInt64(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 5, as: UInt16.self)))
    guard low & 0x8080_8080 == 0x8080_8080, high & 0x8080 == 0x0080 else { return nil }
    var value = low & 0x7F
    value |= (low >> 8 & 0x7F) << 7
    value |= (low >> 16 & 0x7F) << 14
    value |= (low >> 24 & 0x7F) << 21
    value |= (high & 0x7F) << 28
    value |= (high >> 8 & 0x7F) << 35
    return value
  }
}
