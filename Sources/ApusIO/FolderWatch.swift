package import ApusBase
import Glibc

/// Notices that somebody changes the files below a folder, and when they have come to rest (inotify, man 7
/// inotify). Folders that are linked to are not followed, hidden entries not looked at.
///
/// Files come to rest when nothing has happened for `quietNanoseconds` and no file that was written to is
/// still open for writing. A copy that goes on for long is not waited for without end.
package struct FolderWatch: ~Copyable {
  package static let quietNanoseconds: UInt64 = 1_000_000_000
  package static let longestNanoseconds: UInt64 = 300_000_000_000

  private static let mask = UInt32(
    IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR
      | IN_DONT_FOLLOW)
  private static let bufferBytes = 16 << 10
  private static let eventBytes = 16

  private struct Watched {
    let path: String
    /// Folders between it and the one that is watched.
    let depth: Int
  }

  private struct OpenFile: Hashable {
    let folder: Int32
    let name: String
  }

  private let inotify: Descriptor
  private let root: String
  private let depth: Int
  private var folders: [Int32: Watched] = [:]
  private var written: Set<OpenFile> = []
  /// Since when there are changes that were not told, and the last of them.
  private var unrest: (first: Instant, last: Instant)?

  /// - Parameter depth: how many levels of folders below `path` are watched, too.
  /// - Throws: where the system has no watch left (`fs.inotify.max_user_watches`, `max_user_instances`).
  package static func begin(_ path: String, depth: Int) throws(SystemError) -> FolderWatch {
    let number = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
    let inotify = Descriptor(owning: try check(number < 0 ? -errno : number, "watch a folder"))
    var watch = FolderWatch(path, depth, inotify)
    try watch.add(Watched(path: path, depth: 0))
    return watch
  }

  private init(_ root: String, _ depth: Int, _ inotify: consuming Descriptor) {
    self.root = root
    self.depth = depth
    self.inotify = inotify
  }

  /// Can be read when something has happened.
  package var number: Int32 { inotify.number }

  /// How long to wait until the files may have come to rest; -1: until something happens.
  package func milliseconds(at now: Instant) -> Int32 {
    guard let unrest else { return -1 }
    let quiet = written.isEmpty ? unrest.last.advanced(by: Self.quietNanoseconds) : .never
    let end = min(quiet, unrest.first.advanced(by: Self.longestNanoseconds))
    return end <= now ? 0 : Int32(end.since(now) / 1_000_000) + 1
  }

  /// Takes in what has happened.
  ///
  /// - Returns: true once when the files have changed and come to rest.
  package mutating func hasComeToRest(at now: Instant) -> Bool {
    readEvents(at: now)
    guard milliseconds(at: now) == 0 else { return false }
    unrest = nil
    written = []
    return true
  }

  // MARK: Folders

  private mutating func add(_ folder: Watched) throws(SystemError) {
    let number = inotify_add_watch(inotify.number, folder.path, Self.mask)
    guard number >= 0 else {
      // It may be gone again, or a link.
      if folder.depth > 0, [ENOENT, ENOTDIR, EACCES, ELOOP].contains(errno) { return }
      throw SystemError("watch the folder \(folder.path)", errorNumber: errno)
    }
    folders[number] = folder
    guard folder.depth < depth else { return }
    for name in Self.folders(in: folder.path) {
      try add(Watched(path: folder.path + "/" + name, depth: folder.depth + 1))
    }
  }

  private static func folders(in path: String) -> [String] {
    guard let stream = opendir(path) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      guard entry.pointee.d_type == DT_DIR || entry.pointee.d_type == DT_UNKNOWN else { continue }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }

  // MARK: Events

  private mutating func readEvents(at now: Instant) {
    var buffer = [UInt8](repeating: 0, count: Self.bufferBytes)
    while true {
      let count = buffer.withUnsafeMutableBytes { read(inotify.number, $0.baseAddress, $0.count) }
      guard count > 0 else { return }
      buffer.withUnsafeBytes { take(UnsafeRawBufferPointer(rebasing: $0[..<count]), at: now) }
    }
  }

  /// Whole events, as the kernel gives no half one: each has four words, the last of which is the length of
  /// the name, with zeros behind it, that follows.
  private mutating func take(_ bytes: UnsafeRawBufferPointer, at now: Instant) {
    var offset = 0
    while offset + Self.eventBytes <= bytes.count {
      let folder = bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)
      let mask = bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
      let length = Int(bytes.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
      let name = bytes[(offset + Self.eventBytes)...].prefix(length).prefix { $0 != 0 }
      take(folder, Int32(bitPattern: mask), String(decoding: name, as: UTF8.self), at: now)
      offset += Self.eventBytes + length
    }
  }

  private mutating func take(_ folder: Int32, _ mask: Int32, _ name: String, at now: Instant) {
    if mask & IN_IGNORED != 0 {
      folders[folder] = nil
      written = written.filter { $0.folder != folder }
      return
    }
    guard !name.hasPrefix(".") else { return }
    unrest = (unrest?.first ?? now, now)
    if mask & IN_Q_OVERFLOW != 0 {
      // What was missed may have been a folder.
      try? add(Watched(path: root, depth: 0))
    } else if mask & Int32(bitPattern: UInt32(IN_ISDIR)) != 0 {
      guard mask & (IN_CREATE | IN_MOVED_TO) != 0, let parent = folders[folder], parent.depth < depth
      else { return }
      try? add(Watched(path: parent.path + "/" + name, depth: parent.depth + 1))
    } else if mask & IN_MODIFY != 0 {
      written.insert(OpenFile(folder: folder, name: name))
    } else if mask & (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM) != 0 {
      written.remove(OpenFile(folder: folder, name: name))
    }
  }
}
