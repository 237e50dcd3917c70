import Glibc

/// A number by a `printf` format for one double, in the C locale.
func formatted(_ value: Double, _ format: String) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 400) { buffer in
    let written = withVaList([value]) { vsnprintf(buffer.baseAddress, buffer.count, format, $0) }
    let bytes = buffer.prefix(min(max(Int(written), 0), buffer.count - 1)).map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
