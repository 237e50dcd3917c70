import CLinux

/// A receive ring whose memory is mapped twice in a row, so that what wraps around its end is still in one
/// piece.
///
/// When the ring runs empty it starts again at its beginning: light traffic stays within the same few cache
/// lines, and touches only the first pages.
///
/// Invariant of the unsafe code here: `base` spans `2 × capacity` bytes of which byte `i` and byte `capacity
/// + i` are the same memory, `0 ≤ start < capacity` and `0 ≤ count ≤ capacity`; so `[start, start + count)`
/// and the free space behind it are always inside the mapping.
public struct MirroredRing: ~Copyable {
  @usableFromInline let base: UnsafeMutableRawPointer
  public let capacity: Int
  @usableFromInline var start = 0
  /// Bytes received and not consumed.
  @usableFromInline package internal(set) var count = 0

  /// - Parameter capacity: in bytes, a multiple of the page size.
  /// - Returns: nil when the kernel gives no memory or no mapping.
  package init?(capacity: Int) {
    guard let base = clinux_mirror_map(capacity) else { return nil }
    self.base = base
    self.capacity = capacity
  }

  deinit { clinux_mirror_unmap(base, capacity) }

  /// The bytes received and not consumed, in one piece. Valid until `consume` or the ring's end.
  @inlinable public var readable: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base + start, count: count)
  }

  /// The free space, in one piece.
  @inlinable public var writable: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base + start + count, count: capacity - count)
  }

  /// Says that `byteCount` bytes were written to the front of `writable`.
  @inlinable public mutating func received(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= capacity - count)
    count += byteCount
  }

  /// Takes the last `byteCount` readable bytes back, as if they had not been received. Some are left.
  package mutating func takeBack(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount < count)
    count -= byteCount
  }

  /// Gives the first `byteCount` readable bytes back.
  @inlinable public mutating func consume(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= count)
    count -= byteCount
    start += byteCount
    if start >= capacity { start -= capacity }
    if count == 0 { start = 0 }
  }
}
