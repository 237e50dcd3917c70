/// Owner of zeroed memory whose address is a multiple of 64, the width of a cache line and of an AVX-512 register.
///
/// Invariant of the unsafe code here: `bytes` is valid from `init` to `deinit` and no one else frees it; a pointer
/// taken from it must not outlive the owner.
package struct AlignedBuffer: ~Copyable, @unchecked Sendable {
  package let bytes: UnsafeMutableRawBufferPointer

  /// - Parameter byteCount: capacity; 0 gives a valid empty buffer.
  package init(byteCount: Int) {
    precondition(byteCount >= 0)
    bytes = .allocate(byteCount: max(64, (byteCount + 63) & ~63), alignment: 64)
    _ = bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { bytes.deallocate() }

  @inlinable package var baseAddress: UnsafeMutableRawPointer { bytes.baseAddress.unsafelyUnwrapped }

  /// The memory as 32-bit floats.
  @inlinable package var floats: UnsafeMutablePointer<Float> { baseAddress.assumingMemoryBound(to: Float.self) }
}
