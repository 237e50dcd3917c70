import ApusAccess
import ApusIO
import ApusYAML
import ArgumentParser
import Glibc

/// A policy file on the disk. What cannot be done is written to standard error, and an `ExitCode` thrown.
struct PolicyFile {
  /// As the user wrote it, for messages.
  let path: String

  private static let maximumBytes = 16 << 20

  /// Reads the whole policy.
  func policy(failureStatus: Int32 = 1) throws(ExitCode) -> Policy {
    guard let contents = try read(path, failureStatus) else {
      throw failure("cannot read \(path): \(Self.reason(ENOENT))", status: failureStatus)
    }
    do { return try Policy(yaml: contents.text, source: path) } catch {
      throw failure(error.description, status: failureStatus)
    }
  }

  /// Puts a changed text in the place of the file's and gives the new policy. Others that edit wait, readers
  /// see the old text or the new one; the file keeps its mode and owner, and a link stays a link.
  func edit(
    createIfMissing: Bool, _ change: (String) throws(YAMLError) -> String
  ) throws(ExitCode) -> Policy {
    let target = try target()
    let folder = try openFolder(of: target)
    // Held until the folder is closed.
    guard flock(folder.number, LOCK_EX) == 0 else { throw cannot("lock the folder of") }
    let old = try read(target)
    guard old != nil || createIfMissing else { throw failure("cannot read \(path): \(Self.reason(ENOENT))") }
    let text: String
    let policy: Policy
    do {
      text = try change(old?.text ?? "")
      policy = try Policy(yaml: text, source: path)
    } catch { throw failure(error.description) }
    try write(text, to: target, like: old?.status)
    _ = fsync(folder.number)
    return policy
  }

  // MARK: Where it is

  /// The file that is meant, links followed; a file that is not there yet lies where the path says.
  private func target() throws(ExitCode) -> String {
    if let resolved = realpath(path, nil) {
      defer { free(resolved) }
      return String(cString: resolved)
    }
    guard errno == ENOENT else { throw cannot("open") }
    var status = stat()
    guard lstat(path, &status) != 0 else { throw failure("\(path) is a link to a file that is not there") }
    return path
  }

  private func openFolder(of target: String) throws(ExitCode) -> Descriptor {
    let end = target.lastIndex(of: "/").map { target.index(after: $0) }
    let folder = end.map { String(target[..<$0]) } ?? "."
    let number = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else { throw cannot("open the folder of") }
    return Descriptor(owning: number)
  }

  // MARK: Reading

  /// Nil where there is no file.
  private func read(
    _ target: String, _ failureStatus: Int32 = 1
  ) throws(ExitCode) -> (text: String, status: stat)? {
    let number = open(target, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard number >= 0 else {
      if errno == ENOENT { return nil }
      throw cannot("read", failureStatus)
    }
    let descriptor = Descriptor(owning: number)
    var status = stat()
    guard fstat(descriptor.number, &status) == 0 else { throw cannot("read", failureStatus) }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= Self.maximumBytes else {
      throw failure("\(path) is no file of at most \(Self.maximumBytes >> 20) MiB", status: failureStatus)
    }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count <= Self.maximumBytes {
      let count = Glibc.read(descriptor.number, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw cannot("read", failureStatus) }
      if count == 0 { break }
      bytes += chunk[..<count]
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw failure("\(path) is not a text in UTF-8", status: failureStatus)
    }
    warn(of: status.st_mode)
    return (text, status)
  }

  /// Whoever can write the policy can give himself anything.
  private func warn(of mode: mode_t) {
    guard mode & 0o022 != 0 else { return }
    printError(printable("apus: others may write \(path); take that from them: chmod go-w \(path)"))
  }

  // MARK: Writing

  /// Writes a file beside the target and renames it, so that there is a whole policy at every moment.
  ///
  /// - Parameter old: of the file that was there; nil: there was none, and only its owner may read it.
  private func write(_ text: String, to target: String, like old: stat?) throws(ExitCode) {
    let name = target.split(separator: "/").last ?? ""
    let temporary = target.dropLast(name.count) + ".\(name).apus-new"
    // Nobody else writes it, as the folder is locked: one that is there was left by a process that died.
    unlink(String(temporary))
    let number = open(String(temporary), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard number >= 0 else { throw cannot("write beside") }
    do throws(ExitCode) {
      try fill(Descriptor(owning: number), text, like: old)
      guard rename(String(temporary), target) == 0 else { throw cannot("replace") }
    } catch {
      unlink(String(temporary))
      throw error
    }
  }

  private func fill(_ file: borrowing Descriptor, _ text: String, like old: stat?) throws(ExitCode) {
    if let old {
      var new = stat()
      guard fstat(file.number, &new) == 0 else { throw cannot("write") }
      if new.st_uid != old.st_uid || new.st_gid != old.st_gid {
        guard fchown(file.number, old.st_uid, old.st_gid) == 0 else {
          throw failure("cannot keep the owner of \(path), which is user \(old.st_uid): edit it as that user")
        }
      }
      guard fchmod(file.number, old.st_mode & 0o7777) == 0 else { throw cannot("write") }
    }
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw cannot("write") }
      bytes = bytes.dropFirst(count)
    }
    guard fsync(file.number) == 0 else { throw cannot("write") }
  }

  // MARK: Errors

  /// The failure of the system call just made.
  private func cannot(_ action: String, _ status: Int32 = 1) -> ExitCode {
    failure("cannot \(action) \(path): \(Self.reason(errno))", status: status)
  }

  private static func reason(_ number: Int32) -> String { String(cString: strerror(number)) }
}
