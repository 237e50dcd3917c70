package import ApusIO
import CLinux
import Glibc

/// Owner of a mapping of memory that other processes may hold, too.
///
/// Invariant of the unsafe code here: `bytes` is a mapping of its own from `init` to `deinit`, of memory that
/// nobody can make smaller: no access to it can fail.
package struct SharedMemory: ~Copyable, @unchecked Sendable {
  package let bytes: UnsafeMutableRawBufferPointer

  /// Maps the start of shared memory; nobody could make it smaller, as `byteCount(of:)` has checked, or the
  /// process trusts whoever passed it.
  package init(
    mapping descriptor: borrowing Descriptor, byteCount: Int, isWritable: Bool
  ) throws(SystemError) {
    guard let base = clinux_map_shared(descriptor.number, byteCount, isWritable ? 1 : 0) else {
      throw SystemError("map shared memory", errorNumber: errno)
    }
    bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
  }

  deinit { clinux_unmap(bytes.baseAddress, bytes.count) }

  /// Makes zeroed memory that keeps its size for good.
  package static func make(byteCount: Int) throws(SystemError) -> Descriptor {
    let seals = Int32(CLINUX_SEAL_SHRINK | CLINUX_SEAL_GROW | CLINUX_SEAL_SEAL)
    let number = clinux_shared_memory("apus", byteCount, seals, 0)
    guard number >= 0 else { throw SystemError("make shared memory", errorNumber: -number) }
    return Descriptor(owning: number)
  }

  /// The size of memory that another process has passed.
  ///
  /// - Throws: EMEDIUMTYPE where it is no memfd of ordinary pages: the pages of a file, or huge ones, may be
  ///   missing when they are read. EPERM where F_SEAL_SHRINK is not set (memfd_create(2)).
  package static func byteCount(of descriptor: borrowing Descriptor) throws(SystemError) -> Int {
    let byteCount = clinux_shared_memory_bytes(descriptor.number)
    guard byteCount >= 0 else { throw SystemError("take shared memory", errorNumber: Int32(-byteCount)) }
    return Int(byteCount)
  }

  package var baseAddress: UnsafeMutableRawPointer { bytes.baseAddress.unsafelyUnwrapped }
}
