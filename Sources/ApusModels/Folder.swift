import Glibc

/// A folder whose entries must lie inside of it, wherever symbolic links lead.
struct Folder {
  /// Absolute, without symbolic links.
  let path: String

  enum Kind { case file, folder, other }

  struct Entry {
    let name: String
    let kind: Kind
    /// Absolute, without symbolic links.
    let path: String
  }

  init(path: String) throws(ModelError) {
    guard let resolved = Self.resolve(path) else {
      throw ModelError("cannot open the folder \(path): \(systemError())")
    }
    guard Self.kind(of: resolved) == .folder else { throw ModelError("\(path) is not a folder") }
    self.path = resolved
  }

  /// Names of the entries in byte order, without hidden ones.
  func names() throws(ModelError) -> [String] {
    guard let stream = opendir(path) else {
      throw ModelError("cannot read the folder \(lastComponent(path)): \(systemError())")
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The entry of this name, links followed.
  ///
  /// - Throws: for a link that leads outside of the folder or nowhere.
  func entry(_ name: String) throws(ModelError) -> Entry {
    guard let resolved = Self.resolve(path + "/" + name) else {
      throw ModelError("cannot open \(name): \(systemError())")
    }
    guard resolved.hasPrefix(path == "/" ? "/" : path + "/") else {
      throw ModelError("\(name) is a link that leads outside of its folder")
    }
    return Entry(name: name, kind: Self.kind(of: resolved), path: resolved)
  }

  /// Other when its files are others, or have been written to; of names, places on disk, lengths and times,
  /// without a look into them.
  var fingerprint: Int {
    var hasher = Hasher()
    for name in (try? names()) ?? [] {
      var status = stat()
      guard stat(path + "/" + name, &status) == 0 else { continue }
      hasher.combine(name)
      for number in [
        Int(status.st_ino), Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
        status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
      ] { hasher.combine(number) }
    }
    return hasher.finalize()
  }

  private static func resolve(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  private static func kind(of path: String) -> Kind {
    var status = stat()
    guard stat(path, &status) == 0 else { return .other }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .file
    case S_IFDIR: return .folder
    default: return .other
    }
  }
}
