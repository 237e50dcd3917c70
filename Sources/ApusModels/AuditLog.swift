import ApusBase
import Glibc

/// The audit log: lines of JSON that are only ever appended, each with the hash of the one before.
///
/// The chain shows a line that was changed or taken out, but not that lines are missing at the end, or that
/// all were written anew: whoever must know keeps the newest hash elsewhere.
package final class AuditLog: Sendable {
  /// Invariant: `descriptor` is open, and locked by this process alone, until `deinit`; the file's first
  /// `end` bytes are whole lines.
  private struct State {
    let descriptor: Int32
    var end: Int
    var last: (sequence: UInt64, hash: [UInt8])
    /// A line may lie behind `end` that could not be removed.
    var isBroken = false
  }

  private let state: Locked<State>

  /// Opens a log or makes one, for the owner alone. A last line that a crash cut short is removed: nobody was
  /// told that it was written.
  ///
  /// - Throws: where it cannot be opened, another process writes it, or its last line is damaged.
  package init(path: String) throws(ModelError) {
    let name = lastComponent(path)
    let flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
    let descriptor = Glibc.open(path, flags, 0o600)
    guard descriptor >= 0 else { throw ModelError("cannot open \(name): \(systemError())") }
    let opened: State
    do { opened = try Self.opened(descriptor, name) } catch {
      close(descriptor)
      throw error
    }
    state = Locked(opened)
  }

  deinit { state.withLock { _ = close($0.descriptor) } }

  private static func opened(_ descriptor: Int32, _ name: String) throws(ModelError) -> State {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw ModelError("\(name) is not a file")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw ModelError("another process writes \(name); a log has one server")
    }
    guard fstat(descriptor, &status) == 0 else { throw ModelError("cannot read \(name): \(systemError())") }
    let size = Int(status.st_size)
    var torn = LinesBackward(descriptor: descriptor, end: size)
    let rest = try torn.fragment()
    let end = size - rest
    if rest > 0, ftruncate(descriptor, off_t(end)) != 0 || fsync(descriptor) != 0 {
      throw ModelError("cannot remove the torn last line of \(name): \(systemError())")
    }
    var lines = LinesBackward(descriptor: descriptor, end: end)
    guard let line = try lines.next() else {
      return State(descriptor: descriptor, end: end, last: (0, AuditEntry.noHash))
    }
    do {
      let entry = try AuditEntry(line: line)
      return State(descriptor: descriptor, end: end, last: (entry.sequence, entry.hash))
    } catch { throw ModelError("the last line of \(name) is damaged; see apus audit verify: \(error)") }
  }

  /// Writes a line and waits until the disk has it.
  ///
  /// - Throws: where it could not be written; it is then not in the log.
  package func append(
    _ event: AuditEntry.Event, at nanoseconds: UInt64 = UTCTime.now
  ) throws(ModelError) -> AuditEntry {
    try state.withLock { state throws(ModelError) in
      guard !state.isBroken else { throw ModelError("the audit log is broken since an earlier error") }
      let (entry, line) = AuditEntry.make(event, after: state.last, at: nanoseconds)
      let bytes = line + [UInt8(ascii: "\n")]
      let count = bytes.withUnsafeBytes { write(state.descriptor, $0.baseAddress, $0.count) }
      guard count == bytes.count, fsync(state.descriptor) == 0 else {
        let reason = count >= 0 && count < bytes.count ? "no space is left" : systemError()
        state.isBroken = ftruncate(state.descriptor, off_t(state.end)) != 0
        throw ModelError("the audit log cannot be written: \(reason)")
      }
      state.end += bytes.count
      state.last = (entry.sequence, entry.hash)
      return entry
    }
  }

  /// The newest entries, newest first.
  ///
  /// - Parameter newest: how many at most; 10,000 are given at most.
  /// - Parameter model: nil: of all.
  /// - Throws: where a line on the way is damaged.
  package func entries(newest: Int, model: String? = nil) throws(ModelError) -> [AuditEntry] {
    let (descriptor, end) = state.withLock { ($0.descriptor, $0.end) }
    var lines = LinesBackward(descriptor: descriptor, end: end)
    var result: [AuditEntry] = []
    while result.count < min(newest, 10_000), let line = try lines.next() {
      let entry = try AuditEntry(line: line)
      if model == nil || entry.event.model == model { result.append(entry) }
    }
    return result
  }
}

/// Whole lines of a file from its end to its front, in bounded memory.
struct LinesBackward {
  private let descriptor: Int32
  /// Where `buffer` begins in the file.
  private var start: Int
  /// What was read and not given yet.
  private var buffer: [UInt8] = []
  private static let chunkBytes = 64 << 10

  init(descriptor: Int32, end: Int) {
    self.descriptor = descriptor
    start = end
  }

  /// Bytes behind the last line feed.
  ///
  /// - Throws: where they are more than a line.
  mutating func fragment() throws(ModelError) -> Int {
    try fill(until: 0)
    guard let feed = buffer.lastIndex(of: UInt8(ascii: "\n")) else { return buffer.count }
    return buffer.count - feed - 1
  }

  /// The next line without its line feed; nil at the front.
  mutating func next() throws(ModelError) -> [UInt8]? {
    if buffer.isEmpty, start == 0 { return nil }
    try fill(until: 1)
    if buffer.last == UInt8(ascii: "\n") { buffer.removeLast() }
    let first = buffer.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let line = Array(buffer[first...])
    buffer.removeSubrange(first...)
    return line
  }

  /// Reads until a line feed stands before the last `tail` bytes, or the file's front is there.
  private mutating func fill(until tail: Int) throws(ModelError) {
    while start > 0, !buffer.dropLast(tail).contains(UInt8(ascii: "\n")) {
      guard buffer.count <= AuditEntry.maximumLineBytes else {
        throw ModelError("the audit log has a line of over \(AuditEntry.maximumLineBytes >> 10) KiB")
      }
      let wanted = min(start, Self.chunkBytes)
      var chunk = [UInt8](repeating: 0, count: wanted)
      let count = pread(descriptor, &chunk, wanted, off_t(start - wanted))
      if count < 0 && errno == EINTR { continue }
      guard count == wanted else { throw ModelError("the audit log cannot be read: \(systemError())") }
      buffer = chunk + buffer
      start -= wanted
    }
  }
}
