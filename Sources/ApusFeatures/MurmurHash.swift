/// MurmurHash3_32 with seed 0 (Austin Appleby, MurmurHash3_x86_32), fed piece by piece.
struct MurmurHash {
  private var state: UInt32 = 0
  /// The last 0 to 3 bytes, which make no whole word yet, lowest first.
  private var tail: UInt32 = 0
  private var byteCount: UInt32 = 0

  private static func mixed(_ word: UInt32) -> UInt32 {
    let product = word &* 0xCC9E_2D51
    return (product << 15 | product >> 17) &* 0x1B87_3593
  }

  mutating func feed(_ byte: UInt8) {
    tail |= UInt32(byte) << (8 * (byteCount & 3))
    byteCount &+= 1
    guard byteCount & 3 == 0 else { return }
    state ^= Self.mixed(tail)
    state = (state << 13 | state >> 19) &* 5 &+ 0xE654_6B64
    tail = 0
  }

  /// Feeds a scalar's UTF-8.
  mutating func feed(_ scalar: Unicode.Scalar) {
    let value = scalar.value
    if value < 0x80 { return feed(UInt8(value)) }
    if value < 0x800 {
      feed(UInt8(0xC0 | value >> 6))
    } else {
      if value < 0x10000 {
        feed(UInt8(0xE0 | value >> 12))
      } else {
        feed(UInt8(0xF0 | value >> 18))
        feed(UInt8(0x80 | value >> 12 & 0x3F))
      }
      feed(UInt8(0x80 | value >> 6 & 0x3F))
    }
    feed(UInt8(0x80 | value & 0x3F))
  }

  /// The hash of what was fed so far, as a signed number.
  var value: Int32 {
    var hash = state
    if byteCount & 3 != 0 { hash ^= Self.mixed(tail) }
    hash ^= byteCount
    hash = (hash ^ hash >> 16) &* 0x85EB_CA6B
    hash = (hash ^ hash >> 13) &* 0xC2B2_AE35
    return Int32(bitPattern: hash ^ hash >> 16)
  }
}
