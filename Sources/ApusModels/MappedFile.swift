import Glibc

/// Owner of a file's bytes, mapped read-only.
///
/// Invariant of the unsafe code here: `bytes` is valid from `init` to `deinit` and nobody writes there; a
/// pointer taken from it must not outlive the owner. A file that is cut short by another process while it is
/// mapped ends this one (SIGBUS): files of a model folder are replaced by renaming, never rewritten in
/// place.
package struct MappedFile: ~Copyable, @unchecked Sendable {
  package let bytes: UnsafeRawBufferPointer

  /// Maps a regular file.
  ///
  /// - Parameter path: a path whose last component is not a symbolic link.
  package init(path: String) throws(ModelError) {
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { throw ModelError("cannot open \(lastComponent(path)): \(systemError())") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw ModelError("cannot read \(lastComponent(path)): \(systemError())")
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw ModelError("\(lastComponent(path)) is not a file") }
    guard status.st_size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let address = mmap(nil, status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address, address != MAP_FAILED else {
      throw ModelError("cannot map \(lastComponent(path)): \(systemError())")
    }
    bytes = UnsafeRawBufferPointer(start: address, count: status.st_size)
  }

  /// Takes pages out of this process's memory, but not those that it shares with other bytes. They are read
  /// from the file again when they are asked for, as nobody writes there.
  package func forget(_ part: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress, let first = part.baseAddress, first >= start,
      first + part.count <= start + bytes.count
    else { return }
    let page = Int(getpagesize())
    let lower = (first - start + page - 1) / page * page
    let upper = (first - start + part.count) / page * page
    guard upper > lower else { return }
    madvise(UnsafeMutableRawPointer(mutating: start + lower), upper - lower, MADV_DONTNEED)
  }

  deinit {
    if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
  }
}

/// Why a model, a manifest or the folder of models cannot be used; one line for a person.
package struct ModelError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String

  /// - Parameter description: names in it may come from a file or folder; control characters become spaces.
  package init(_ description: String) {
    self.description = String(
      String.UnicodeScalarView(
        description.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : $0 }))
  }
}

/// The text of the last system call's error.
func systemError() -> String { String(cString: strerror(errno)) }

/// `c` of `/a/b/c`: messages go to clients, and do not tell where a server keeps its files.
func lastComponent(_ path: String) -> String { String(path.split(separator: "/").last ?? "/") }
