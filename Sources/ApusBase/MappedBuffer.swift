import Glibc

/// Owner of zeroed, page-aligned memory straight from the kernel: pages cost nothing until they are touched,
/// and go back at once. For what is large or rare.
///
/// Invariant of the unsafe code here: `bytes` is a mapping of its own from `init` to `deinit`.
package struct MappedBuffer: ~Copyable, @unchecked Sendable {
  package let bytes: UnsafeMutableRawBufferPointer

  /// - Returns: nil when the kernel gives no memory.
  package init?(byteCount: Int) {
    let length = max(byteCount, 1)
    guard
      let start = mmap(
        nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      start != MAP_FAILED
    else { return nil }
    bytes = UnsafeMutableRawBufferPointer(start: start, count: length)
  }

  deinit { munmap(bytes.baseAddress, bytes.count) }

  package var baseAddress: UnsafeMutableRawPointer { bytes.baseAddress.unsafelyUnwrapped }
}
