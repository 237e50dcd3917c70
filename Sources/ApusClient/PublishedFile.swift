import ApusBase
import ApusDigest
import ApusIO
import ApusWire
import Glibc

/// A file of a version that is to be published, with its size and SHA-256.
package struct PublishedFile: Equatable, Sendable {
  /// As the version calls it, without a folder.
  package var name: String
  /// Where it lies here.
  package var path: String
  package var size: UInt64
  package var sha256: [UInt8]

  /// Reads the file once, piece by piece, for its size and SHA-256.
  ///
  /// - Throws: `ClientError.invalidInput` when it cannot be read or is no file.
  package init(name: String, path: String) throws(ClientError) {
    self.name = name
    self.path = path
    let file = try open(path, name)
    var hash = SHA256()
    var read: UInt64 = 0
    let piece = AlignedBuffer(byteCount: Self.hashedBytes)
    while true {
      let count = try readBytes(file, at: read, into: piece.bytes, name)
      if count == 0 { break }
      hash.update(UnsafeRawBufferPointer(rebasing: piece.bytes[..<count]))
      read += UInt64(count)
    }
    size = read
    sha256 = hash.finish()
  }

  private static let hashedBytes = 1 << 20

  var uploadFile: UploadFile { UploadFile(name: name, size: size, sha256: sha256) }

  /// The files of a folder as a version has them: regular ones, in byte order of their names, without hidden
  /// ones, folders, and what a server makes itself. Links are followed where they lead inside the folder.
  ///
  /// - Throws: `ClientError.invalidInput` for a folder or file that cannot be read, a link that leads
  ///   outside, and a folder with no files, or more than a version may have.
  package static func all(inFolder path: String) throws(ClientError) -> [PublishedFile] {
    guard let folder = resolved(path) else { throw unreadable(path, errno) }
    var files: [PublishedFile] = []
    for name in try names(folder) where !leftOut.contains(name) {
      guard let file = resolved(folder + "/" + name) else { throw unreadable(name, errno) }
      guard file.hasPrefix(folder == "/" ? "/" : folder + "/") else {
        throw .invalidInput("\(name) is a link that leads outside of its folder")
      }
      guard !isFolder(file) else { continue }
      guard files.count < BeginPublishRequest.maximumFiles else {
        throw .invalidInput(
          "\(path) has more than the \(BeginPublishRequest.maximumFiles) files that a version may have")
      }
      files.append(try PublishedFile(name: name, path: file))
    }
    guard !files.isEmpty else { throw .invalidInput("\(path) has no files to publish") }
    return files
  }

  /// Whether a folder lies here, links followed.
  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// A server makes these from the others.
  private static let leftOut: Set<String> = ["manifest.json", "model.plan"]
}

/// The files of a publication piece by piece, in the order of the files and, inside one, of its bytes. One
/// file is open at a time; an empty one has no piece.
struct PieceReader: ~Copyable {
  private let files: [PublishedFile]
  private var index = 0
  private var offset: UInt64 = 0
  private var file: Descriptor?

  init(_ files: [PublishedFile]) { self.files = files }

  struct Piece {
    let file: UInt32
    let offset: UInt64
    let byteCount: Int
  }

  /// Reads the next piece into `buffer`, which it fills except at a file's end.
  ///
  /// - Returns: nil after the last one.
  /// - Throws: `ClientError.invalidInput` for a file that can no longer be read, or has become shorter.
  mutating func next(into buffer: UnsafeMutableRawBufferPointer) throws(ClientError) -> Piece? {
    while index < files.count {
      let current = files[index]
      guard offset < current.size else {
        index += 1
        offset = 0
        file = nil
        continue
      }
      if offset == 0 { file = try open(current.path, current.name) }
      let wanted = Int(min(UInt64(buffer.count), current.size - offset))
      try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), current.name)
      defer { offset += UInt64(wanted) }
      return Piece(file: UInt32(index), offset: offset, byteCount: wanted)
    }
    return nil
  }

  private func fill(_ buffer: UnsafeMutableRawBufferPointer, _ name: String) throws(ClientError) {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let count: Int
      switch file {
      case .some(let file): count = try readBytes(file, at: offset + UInt64(filled), into: rest, name)
      case .none: count = 0
      }
      guard count > 0 else { throw .invalidInput("\(name) has become shorter while it was sent") }
      filled += count
    }
  }
}

// MARK: System calls

private func open(_ path: String, _ name: String) throws(ClientError) -> Descriptor {
  // A pipe that nobody writes to would block here.
  let number = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
  guard number >= 0 else { throw unreadable(name, errno) }
  let file = Descriptor(owning: number)
  var status = stat()
  guard fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
    throw .invalidInput("\(name) is not a file")
  }
  return file
}

private func readBytes(
  _ file: borrowing Descriptor, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer, _ name: String
) throws(ClientError) -> Int {
  while true {
    let count = pread(file.number, buffer.baseAddress, buffer.count, Int(clamping: offset))
    if count >= 0 { return count }
    guard errno == EINTR else { throw unreadable(name, errno) }
  }
}

private func resolved(_ path: String) -> String? {
  guard let real = realpath(path, nil) else { return nil }
  defer { free(real) }
  return String(cString: real)
}

private func names(_ folder: String) throws(ClientError) -> [String] {
  guard let stream = opendir(folder) else { throw unreadable(folder, errno) }
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

private func unreadable(_ name: String, _ number: Int32) -> ClientError {
  .invalidInput("cannot read \(name): \(String(cString: strerror(number)))")
}
