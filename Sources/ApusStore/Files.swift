import ApusIO
import Glibc

/// The few things that are done with files and folders. Every function throws `StoreError` of kind `local`.
enum Files {
  static func failure(_ operation: String) -> StoreError {
    let number = errno
    let advice = number == ENOSPC ? "; make room on the disk" : ""
    return StoreError(.local, "cannot \(operation): \(String(cString: strerror(number)))\(advice)")
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// The size of a regular file; nil where there is none.
  static func byteCount(_ path: String) -> Int? {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int(status.st_size)
  }

  /// Makes a folder and those above it, where they are missing.
  static func makeFolder(_ path: String) throws(StoreError) {
    guard mkdir(path, 0o755) != 0, errno != EEXIST else { return }
    let parent = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
    guard errno == ENOENT, !parent.isEmpty else { throw failure("make the folder \(path)") }
    try makeFolder(String(parent))
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw failure("make the folder \(path)") }
  }

  /// Names in a folder, hidden ones too, in no order; none where there is no folder.
  static func names(_ path: String) -> [String] {
    guard let stream = opendir(path) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  static func rename(_ old: String, to new: String) throws(StoreError) {
    guard Glibc.rename(old, new) == 0 else { throw failure("move \(old) to \(new)") }
  }

  /// Makes sure that a folder's entries, or a file's bytes, outlive a loss of power.
  static func synchronize(_ path: String) throws(StoreError) {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw failure("open \(path)") }
    let file = Descriptor(owning: number)
    guard fsync(file.number) == 0 else { throw failure("write \(path)") }
  }

  /// Removes a file, or a folder and what is in it; links are removed, not followed.
  static func remove(_ path: String) {
    guard unlink(path) != 0, errno == EISDIR || errno == EPERM else { return }
    for name in names(path) { remove(path + "/" + name) }
    rmdir(path)
  }

  /// nil where there is no such file, or a longer one.
  static func read(_ path: String, atMost limit: Int) -> [UInt8]? { try? fileBytes(path, atMost: limit) }

  /// Puts a whole file in the place of another: whoever reads it sees the old or the new one.
  ///
  /// - Parameter scratch: a path on the same disk that is nobody else's.
  static func replace(_ path: String, _ bytes: [UInt8], by scratch: String) throws(StoreError) {
    let number = open(scratch, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard number >= 0 else { throw failure("write \(scratch)") }
    let file = Descriptor(owning: number)
    try withBytes(bytes) { (bytes) throws(StoreError) in try write(bytes, to: file.number, scratch) }
    guard fsync(file.number) == 0 else { throw failure("write \(scratch)") }
    try rename(scratch, to: path)
  }

  static func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, _ path: String) throws(StoreError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Glibc.write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure("write \(path)") }
      rest = rest.dropFirst(count)
    }
  }

  /// Gives all bytes of a file, from its place on, piece by piece.
  static func readAll(
    _ file: Int32, _ path: String, _ take: (UnsafeRawBufferPointer) -> Void
  ) throws(StoreError) {
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { piece.deallocate() }
    while true {
      let count = Glibc.read(file, piece.baseAddress, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure("read \(path)") }
      if count == 0 { return }
      take(UnsafeRawBufferPointer(rebasing: piece[..<count]))
    }
  }

  /// The digest of a file.
  static func digest(_ path: String, _ kind: FileHash.Kind) throws(StoreError) -> String {
    let number = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard number >= 0 else { throw failure("open \(path)") }
    let file = Descriptor(owning: number)
    var hash = FileHash(kind)
    try readAll(file.number, path) { hash.add($0) }
    return hash.digits()
  }
}
