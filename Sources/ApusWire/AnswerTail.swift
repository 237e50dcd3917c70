/// What stands at the end of every Classify answer's metadata and changes from one to the next: the fields
/// `load` and `time` of `ClassifyResponse`. It has the same length whatever its numbers are, so an answer's
/// size is known before them, and it can be read alone when everything before it is as in the last answer.
public struct AnswerTail: Equatable, Sendable {
  /// How busy the server is: 0 idle, 1 saturated.
  package let load: Float
  package let time: TimeAccount

  @inlinable public static var encodedBytes: Int { loadBytes + TimeAccount.encodedBytes }
  /// A tag and a binary32.
  @inlinable static var loadBytes: Int { 5 }
  private static let loadTag: UInt8 = 9 << 3 | 5

  package init(load: Float, time: TimeAccount) {
    self.load = load
    self.time = time
  }

  /// Writes both fields. A load that is no number is written as 0, and one outside of 0 to 1 as the nearer
  /// of these.
  @inline(__always)
  package static func write(load: Float, _ account: TimeAccount, to bytes: UnsafeMutableRawPointer) {
    let load = load > 0 ? min(load, 1) : 0
    bytes.storeBytes(of: loadTag, as: UInt8.self)
    bytes.storeBytes(of: load.bitPattern.littleEndian, toByteOffset: 1, as: UInt32.self)
    account.write(to: bytes + loadBytes)
  }

  /// Reads what `write` wrote; nil when the bytes have another form.
  @inline(__always)
  package init?(reading bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Self.encodedBytes, bytes[0] == Self.loadTag,
      let time = TimeAccount(reading: UnsafeRawBufferPointer(rebasing: bytes[Self.loadBytes...]))
    else { return nil }
    load = Float(
      bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
    self.time = time
  }

  /// Reads the tail of a whole answer's metadata; nil where it ends in another form, or where what looks like
  /// a load is the end of another field.
  package init?(endOf metadata: UnsafeRawBufferPointer) {
    let start = metadata.count - Self.encodedBytes
    guard start >= 0 else { return nil }
    var walk = FieldWalk(metadata)
    while walk.offset < start {
      guard (try? walk.next()) != nil else { return nil }
    }
    guard walk.offset == start else { return nil }
    self.init(reading: UnsafeRawBufferPointer(rebasing: metadata[start...]))
  }
}
