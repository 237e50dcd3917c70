/// The `most` largest of `count` numbers, largest first; equal ones by index, NaN last.
func selectBest(
  _ values: UnsafePointer<Float>, count: Int, into best: UnsafeMutablePointer<Float>,
  _ indices: UnsafeMutablePointer<UInt32>, most: Int
) {
  var kept = 0
  for index in 0..<count {
    let value = values[index]
    if kept == most, !(value > best[most - 1]) && !best[most - 1].isNaN { continue }
    if kept == most, value.isNaN { continue }
    var place = kept < most ? kept : most - 1
    while place > 0, value > best[place - 1] || (best[place - 1].isNaN && !value.isNaN) {
      best[place] = best[place - 1]
      indices[place] = indices[place - 1]
      place -= 1
    }
    best[place] = value
    indices[place] = UInt32(index)
    if kept < most { kept += 1 }
  }
}

/// Whether two pieces of memory hold the same bytes.
@inline(__always)
func equal(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ byteCount: Int) -> Bool {
  var offset = 0
  while offset + 8 <= byteCount {
    let a = left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    let b = right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    if a != b { return false }
    offset += 8
  }
  while offset < byteCount {
    let a = left.load(fromByteOffset: offset, as: UInt8.self)
    if a != right.load(fromByteOffset: offset, as: UInt8.self) { return false }
    offset += 1
  }
  return true
}
