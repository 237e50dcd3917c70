import Glibc

/// Copies bytes out of memory that is not needed any more, a mapping's, and gives its pages back as it goes,
/// so that never both are there whole. What lies there afterwards means nothing.
///
/// Invariant of the unsafe code here: the caller owns the mapping that `source` is a part of; `target` has
/// room for as many bytes.
package func moveReleasingPages(_ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer) {
  guard let base = source.baseAddress else { return }
  let pieceBytes = 1 << 20
  var moved = 0
  while moved < source.count {
    let count = min(pieceBytes, source.count - moved)
    (target + moved).copyMemory(from: base + moved, byteCount: count)
    releaseWholePages(base + moved, count)
    moved += count
  }
}

private func releaseWholePages(_ start: UnsafeRawPointer, _ byteCount: Int) {
  let pageBytes = UInt(sysconf(Int32(_SC_PAGESIZE)))
  let first = (UInt(bitPattern: start) + pageBytes - 1) / pageBytes * pageBytes
  let end = (UInt(bitPattern: start) + UInt(byteCount)) / pageBytes * pageBytes
  guard first < end else { return }
  madvise(UnsafeMutableRawPointer(bitPattern: first), Int(end - first), MADV_DONTNEED)
}
