import ApusBase
package import ApusIO
import Glibc

/// Memory of another process's, which tensors are read from as they lie. It may change at any time.
package final class SharedRegion: Sendable {
  private let memory: SharedMemory

  /// - Parameter byteCount: to be mapped.
  /// - Throws: EMEDIUMTYPE or EPERM for memory that may vanish, as `SharedMemory.byteCount` tells; EFBIG for
  ///   less memory than that.
  package init(_ descriptor: borrowing Descriptor, byteCount: Int) throws(SystemError) {
    guard byteCount > 0, try SharedMemory.byteCount(of: descriptor) >= byteCount else {
      throw SystemError("take shared memory", errorNumber: EFBIG)
    }
    memory = try SharedMemory(mapping: descriptor, byteCount: byteCount, isWritable: false)
  }

  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory.bytes) }
}
