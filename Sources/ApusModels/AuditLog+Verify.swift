import ApusBase
import Glibc

extension AuditLog {
  package enum Verification: Sendable, Equatable {
    /// How many lines there are, and the hash of the last, 32 bytes.
    case sound(entries: UInt64, last: [UInt8])
    /// The first line, from 1 on, that does not fit, and why.
    case broken(line: UInt64, reason: String)
  }

  /// Walks a log from front to back, in bounded memory; it may be written meanwhile.
  ///
  /// - Throws: where it cannot be read.
  package static func verify(path: String) throws(ModelError) -> Verification {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw ModelError("cannot open \(path): \(systemError())") }
    defer { close(descriptor) }
    var chain = Chain()
    var line: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw ModelError("cannot read \(path): \(systemError())") }
      if count == 0 { break }
      for byte in chunk[..<count] {
        if byte == UInt8(ascii: "\n") {
          if let reason = chain.problem(with: line) { return .broken(line: chain.place, reason: reason) }
          line.removeAll(keepingCapacity: true)
        } else {
          line.append(byte)
          guard line.count <= AuditEntry.maximumLineBytes else {
            return .broken(line: chain.place + 1, reason: "the line is longer than any entry")
          }
        }
      }
    }
    guard line.isEmpty else {
      return .broken(line: chain.place + 1, reason: "the last line is torn: it does not end with a line feed")
    }
    return .sound(entries: chain.place, last: chain.hash)
  }

  private struct Chain {
    var place: UInt64 = 0
    var hash = AuditEntry.noHash

    /// Nil: the line follows the one before.
    mutating func problem(with line: [UInt8]) -> String? {
      place += 1
      do {
        let entry = try AuditEntry(line: line)
        guard entry.sequence == place else {
          return "entry \(place) is missing: the line has the sequence \(entry.sequence)"
        }
        guard entry.previous == hash else { return "the line before it was changed: the hashes do not chain" }
        hash = entry.hash
        return nil
      } catch { return error.description }
    }
  }
}
