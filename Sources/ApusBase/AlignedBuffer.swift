import Glibc

/// Owner of zeroed memory whose address is a multiple of 64, the width of a cache line and of an AVX-512
/// register. Large ones are mappings, whose pages cost nothing until they are touched.
///
/// Invariant of the unsafe code here: `bytes` is valid from `init` to `deinit` and no one else frees it; it
/// is a mapping of its own exactly when it is of `mappedFrom` bytes or more. A pointer taken from it must not
/// outlive the owner.
public struct AlignedBuffer: ~Copyable, @unchecked Sendable {
  public let bytes: UnsafeMutableRawBufferPointer
  private static let mappedFrom = 64 << 10

  /// - Parameter byteCount: capacity; 0 gives a valid empty buffer.
  package init(byteCount: Int) {
    precondition(byteCount >= 0)
    let length = max(64, (byteCount + 63) & ~63)
    if length >= Self.mappedFrom {
      let start = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      precondition(start != MAP_FAILED, "no memory for a buffer")
      bytes = UnsafeMutableRawBufferPointer(start: start, count: length)
    } else {
      bytes = .allocate(byteCount: length, alignment: 64)
      _ = bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }
  }

  /// Asks for pages of 2 MiB, for memory that is filled whole and read often: reading it then takes a
  /// hundredth of the address translations. The kernel may decline, and a small buffer has none.
  package func preferLargePages() {
    guard bytes.count >= Self.mappedFrom else { return }
    _ = madvise(bytes.baseAddress, bytes.count, MADV_HUGEPAGE)
  }

  deinit {
    if bytes.count >= Self.mappedFrom { munmap(bytes.baseAddress, bytes.count) } else { bytes.deallocate() }
  }

  @inlinable public var baseAddress: UnsafeMutableRawPointer { bytes.baseAddress.unsafelyUnwrapped }

  /// The memory as 32-bit floats.
  @inlinable public var floats: UnsafeMutablePointer<Float> {
    baseAddress.assumingMemoryBound(to: Float.self)
  }
}
