import ApusBase
import ApusDigest
import Glibc

/// The files of a version that is being sent: in a hidden folder of the repository, where nobody looks for
/// models, until all of them are whole and `ModelRepository.place` shows them at once.
///
/// A file's bytes come in order; what has come is hashed as it is written.
package final class StagedVersion {
  package struct File: Sendable {
    package let name: String
    package let size: UInt64
    /// 32 bytes.
    package let sha256: [UInt8]

    /// - Throws: `ModelError` for a name that no file of a version may have, and for a digest that is none.
    package init(name: String, size: UInt64, sha256: [UInt8]) throws(ModelError) {
      guard VersionManifest.isFileName(name) || name == ManifestSignatures.fileName else {
        throw ModelError("a file of a version cannot be called '\(name)'")
      }
      guard sha256.count == 32 else { throw ModelError("the SHA-256 of \(name) has not 32 bytes") }
      self.name = name
      self.size = size
      self.sha256 = sha256
    }
  }

  /// Most bytes of a version.
  package static let maximumBytes: UInt64 = 64 << 30

  package let name: String
  package let version: UInt64
  package let files: [File]
  /// Holds the version's folder and nothing else.
  let container: String
  private let progress: [Progress]

  private final class Progress {
    var received: UInt64 = 0
    var hash: SHA256? = SHA256()
  }

  /// The folder with the files.
  package var folder: String { container + "/\(version)" }

  /// Makes the folder and empty files.
  ///
  /// - Throws: `ModelError`, also where the disk has no room for the files.
  init(
    repository: String, id: String, name: String, version: UInt64, files: [File]
  ) throws(ModelError) {
    let names = Set(files.map(\.name))
    guard !files.isEmpty, names.count == files.count else {
      throw ModelError("a version has at least one file, and no two of the same name")
    }
    var total: UInt64 = 0
    for file in files {
      guard file.size <= Self.maximumBytes, total + file.size <= Self.maximumBytes else {
        throw ModelError("the version has more than \(Self.maximumBytes >> 30) GiB")
      }
      total += file.size
    }
    self.name = name
    self.version = version
    self.files = files
    container = repository + "/.apus/incoming/" + id
    progress = files.map { _ in Progress() }
    try Durable.makeScratchFolder(container)
    try Durable.makeScratchFolder(folder)
    try Self.checkRoom(total, folder)
    for file in files {
      let path = folder + "/" + file.name
      let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
      guard descriptor >= 0 else { throw ModelError("cannot make \(file.name): \(systemError())") }
      close(descriptor)
    }
  }

  private static func checkRoom(_ bytes: UInt64, _ folder: String) throws(ModelError) {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return }
    let room = UInt64(status.f_bavail) * UInt64(status.f_frsize)
    guard bytes <= room else {
      throw ModelError("the version has \(bytes) bytes, and the disk has room for \(room)")
    }
  }

  /// Adds a piece to a file.
  ///
  /// - Returns: how many bytes of the file have come.
  /// - Throws: `ModelError` for a piece that is not the next one, or goes beyond the file's end.
  package func write(
    file index: Int, offset: UInt64, _ bytes: UnsafeRawBufferPointer
  ) throws(ModelError) -> UInt64 {
    guard files.indices.contains(index) else { throw ModelError("the version has no file \(index)") }
    let file = files[index]
    let received = progress[index].received
    guard offset == received else {
      throw ModelError("\(file.name): the next piece begins at \(received), not at \(offset)")
    }
    guard UInt64(bytes.count) <= file.size - received else {
      throw ModelError("\(file.name) has \(file.size) bytes; more were sent")
    }
    let path = folder + "/" + file.name
    let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { throw ModelError("cannot write \(file.name): \(systemError())") }
    defer { close(descriptor) }
    var rest = bytes
    while rest.count > 0 {
      let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw ModelError("cannot write \(file.name): \(systemError())") }
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
    }
    progress[index].hash?.update(bytes)
    progress[index].received = received + UInt64(bytes.count)
    return progress[index].received
  }

  /// Checks that every file has come as it was announced.
  ///
  /// - Throws: `ModelError` that names the first one that has not.
  package func verify() throws(ModelError) {
    for (index, file) in files.enumerated() {
      guard progress[index].received == file.size else {
        throw ModelError("\(file.name): \(progress[index].received) of \(file.size) bytes have come")
      }
      guard let hash = progress[index].hash.take(), hash.finish() == file.sha256 else {
        throw ModelError("\(file.name) did not come as it was sent: its SHA-256 is another one")
      }
    }
  }

  /// Returns when the bytes of all files are on disk; their names are when the manifest is, which comes last.
  /// For any thread, after `verify`.
  package static func sync(folder: String, names: [String]) throws(ModelError) {
    for name in names {
      let descriptor = open(folder + "/" + name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
      guard descriptor >= 0 else { throw ModelError("cannot open \(name): \(systemError())") }
      defer { close(descriptor) }
      guard fsync(descriptor) == 0 else { throw ModelError("cannot write \(name): \(systemError())") }
    }
  }

  /// Removes what has come.
  package func discard() { Durable.remove(container) }
}
