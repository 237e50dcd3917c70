import CLinux
import Glibc

/// Changes of files that a crash at any instruction leaves undone or done, never half done.
package enum Durable {
  /// Replaces a file by rename, when all of it is on disk.
  static func write(_ bytes: [UInt8], to path: String) throws(ModelError) {
    let temporary = path + ".new"
    do {
      let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
      guard descriptor >= 0 else { throw ModelError("cannot write \(temporary): \(systemError())") }
      defer { close(descriptor) }
      try writeAll(bytes, descriptor, temporary)
      guard fsync(descriptor) == 0 else { throw ModelError("cannot write \(temporary): \(systemError())") }
    }
    guard rename(temporary, path) == 0 else { throw ModelError("cannot write \(path): \(systemError())") }
    try sync(folder: parent(path))
  }

  /// Replaces a file by rename; after a crash it may be the old one, or gone.
  static func writeScratch(_ bytes: [UInt8], to path: String) throws(ModelError) {
    try makeScratchFolder(parent(path))
    let temporary = "\(path).\(getpid())"
    do {
      let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
      guard descriptor >= 0 else { throw ModelError("cannot write \(temporary): \(systemError())") }
      defer { close(descriptor) }
      try writeAll(bytes, descriptor, temporary)
    }
    guard rename(temporary, path) == 0 else { throw ModelError("cannot write \(path): \(systemError())") }
  }

  static func writeAll(_ bytes: [UInt8], _ descriptor: Int32, _ name: String) throws(ModelError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw ModelError("cannot write \(name): \(systemError())") }
      rest = rest.dropFirst(count)
    }
  }

  /// Makes a folder, and those above it, unless they are there.
  static func makeFolder(_ path: String) throws(ModelError) {
    guard try makeScratchFolder(path) else { return }
    try sync(folder: parent(path))
  }

  /// The same for what a crash may take away: nothing waits for the disk.
  ///
  /// - Returns: false where the folder was there.
  @discardableResult
  static func makeScratchFolder(_ path: String) throws(ModelError) -> Bool {
    if mkdir(path, 0o755) == 0 { return true }
    guard errno != EEXIST else { return false }
    guard errno == ENOENT, path.contains("/") else {
      throw ModelError("cannot make the folder \(path): \(systemError())")
    }
    try makeFolder(parent(path))
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
      throw ModelError("cannot make the folder \(path): \(systemError())")
    }
    return true
  }

  /// Moves a file or folder to where nothing is. A file system with a journal, which this needs, moves in one
  /// transaction: when the new entry is on disk, the old one is gone.
  ///
  /// - Returns: false where something is there already.
  static func move(_ from: String, to: String) throws(ModelError) -> Bool {
    let result = clinux_rename_new(from, to)
    if result != 0 {
      if result == -EEXIST { return false }
      throw ModelError("cannot move \(lastComponent(from)) to \(to): \(String(cString: strerror(-result)))")
    }
    try sync(folder: parent(to))
    return true
  }

  /// Returns when a folder's entries are on disk.
  static func sync(folder path: String) throws(ModelError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ModelError("cannot open the folder \(path): \(systemError())") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw ModelError("cannot write to \(path): \(systemError())") }
  }

  /// Removes a file, or a folder and all that is in it; links are removed, not followed. What cannot be
  /// removed stays.
  package static func remove(_ path: String) {
    guard unlink(path) != 0, errno == EISDIR || errno == EPERM else { return }
    if let stream = opendir(path) {
      var names: [String] = []
      while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { names.append(name) }
      }
      closedir(stream)
      for name in names { remove(path + "/" + name) }
    }
    rmdir(path)
  }

  static func parent(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
