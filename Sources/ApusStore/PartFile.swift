import ApusIO
import Glibc

/// A file of which a part has come, perhaps in an earlier process: `FILE.part`, and beside it `.FILE.etag`
/// with the ETag of the object that the part is of.
final class PartFile: BodySink {
  let file: StoreFile
  /// What is here.
  private(set) var byteCount = 0
  /// Of the object, with its quotes; nil where the rest of the object cannot be asked for.
  private(set) var tag: String?

  private let path: String
  private let tagPath: String
  private let descriptor: Descriptor
  private var hash: FileHash
  private var problem: StoreError?
  /// Whether bytes of an earlier answer are in it.
  private var isResumed = false
  private var hasForeignTag = false

  /// Opens what is there, or an empty file, and hashes it again.
  ///
  /// - Parameters:
  ///   - folder: must exist.
  /// - Throws: `StoreError`.
  init(_ file: StoreFile, in folder: String) throws(StoreError) {
    self.file = file
    path = "\(folder)/\(file.name).part"
    tagPath = "\(folder)/.\(file.name).etag"
    hash = file.newHash
    let number = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard number >= 0 else { throw Files.failure("write \(path)") }
    descriptor = Descriptor(owning: number)
    try Files.readAll(number, path) { piece in
      hash.add(piece)
      byteCount += piece.count
    }
    tag = Files.read(tagPath, atMost: 1024).map { String(decoding: $0, as: UTF8.self) }
    isResumed = byteCount > 0
    if byteCount > file.byteCount { try restart() }
  }

  /// Whether what is here is of use: nothing, all, or the beginning of an object that has a name.
  var canResume: Bool { byteCount == 0 || byteCount == file.byteCount || tag != nil }

  /// Forgets what has come.
  func restart() throws(StoreError) {
    guard ftruncate(descriptor.number, 0) == 0, lseek(descriptor.number, 0, SEEK_SET) == 0 else {
      throw Files.failure("write \(path)")
    }
    unlink(tagPath)
    tag = nil
    byteCount = 0
    hash = file.newHash
    isResumed = false
  }

  /// What was wrong with the answer, once.
  func takeProblem() -> StoreError? {
    defer { problem = nil }
    return problem
  }

  func begin(_ response: HTTPResponse) -> Bool {
    hasForeignTag = response.hasForeignTag
    do throws(StoreError) {
      if response.status == 206 {
        guard response.contentRange == "bytes \(byteCount)-\(file.byteCount - 1)/\(file.byteCount)" else {
          throw StoreError(.changed, "another part came than was asked for")
        }
        isResumed = true
        return true
      }
      if byteCount > 0 { try restart() }
      if let count = response.contentLength, count != file.byteCount {
        throw StoreError(
          .unusable, "it has \(count) bytes, and should have \(file.byteCount); was it replaced?")
      }
      try keep(response.tag)
      return true
    } catch {
      problem = error
      return false
    }
  }

  /// A weak ETag does not tell bytes apart.
  private func keep(_ tag: String?) throws(StoreError) {
    guard let tag, tag.hasPrefix("\""), tag.utf8.count <= 1024,
      tag.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
    else { return }
    try Files.replace(tagPath, Array(tag.utf8), by: tagPath + ".new")
    self.tag = tag
  }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count <= file.byteCount - byteCount else {
      problem = StoreError(.unusable, "it has more than \(file.byteCount) bytes; was it replaced?")
      return false
    }
    do throws(StoreError) { try Files.write(bytes, to: descriptor.number, path) } catch {
      problem = error
      return false
    }
    hash.add(bytes)
    byteCount += bytes.count
    return true
  }

  /// Makes it the whole file, if it is.
  ///
  /// - Returns: false where what is here was put together and is not it: then it must come again.
  /// - Throws: `StoreError` where it came in one piece and is not it.
  func check(_ url: String) throws(StoreError) -> Bool {
    guard byteCount == file.byteCount else {
      throw StoreError(
        .unreachable, "\(url) ended after \(byteCount) of \(file.byteCount) bytes; it is asked again")
    }
    let digits = hash.digits()
    guard hasForeignTag && file.digest.md5 != nil || file.isExpected(digits) else {
      if isResumed { return false }
      unlink(path)
      unlink(tagPath)
      throw StoreError(
        .unusable,
        "\(url) has the digest \(digits), and should have \(file.digest); publish it again under a new "
          + "version")
    }
    guard fsync(descriptor.number) == 0 else { throw Files.failure("write \(path)") }
    try Files.rename(path, to: String(path.dropLast(".part".count)))
    unlink(tagPath)
    return true
  }
}

extension StoreFile {
  fileprivate var newHash: FileHash { FileHash(digest.md5 == nil ? .sha256 : .md5) }

  /// Whether a file of this digest and of the right size is this one, as far as the store says.
  fileprivate func isExpected(_ digits: String) -> Bool {
    switch digest {
    case .sha256(let expected): digits == expected
    case .tag: digest.md5.map { digits == $0 } ?? true
    }
  }

  /// Whether a file of this machine is this one, as far as the store says.
  func matches(_ path: String) throws(StoreError) -> Bool {
    guard Files.byteCount(path) == byteCount else { return false }
    switch digest {
    case .sha256(let expected): return try Files.digest(path, .sha256) == expected
    case .tag:
      guard let expected = digest.md5 else { return true }
      return try Files.digest(path, .md5) == expected
    }
  }
}
