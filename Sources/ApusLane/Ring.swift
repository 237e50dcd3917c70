public import ApusBase
import ApusWire
public import Glibc
public import Synchronization

/// What both sides of a ring share beside its bytes. Each word has cache lines of its own, two of them, as
/// processors fetch lines in pairs: a side that writes one word does not take the others from its peer.
///
/// Invariant of the unsafe code here: `base` is aligned to 64 and covers `LaneLayout.controlBytes` that stay
/// mapped for as long as a reader or writer uses them.
public struct RingWords {
  public let base: UnsafeMutableRawPointer

  package init(base: UnsafeMutableRawPointer) { self.base = base }

  @inlinable public func word<Value>(_ offset: Int, _: Value.Type) -> UnsafeMutablePointer<Atomic<Value>> {
    (base + offset).assumingMemoryBound(to: Atomic<Value>.self)
  }

  /// Bytes that were ever written.
  @inlinable public var written: UnsafeMutablePointer<Atomic<UInt64>> { word(0, UInt64.self) }
  /// Bytes that were ever read.
  @inlinable public var read: UnsafeMutablePointer<Atomic<UInt64>> { word(128, UInt64.self) }
  /// 1: the reader wants a bell for the next bytes.
  @inlinable public var readerSleeps: UnsafeMutablePointer<Atomic<UInt32>> { word(256, UInt32.self) }
  /// 1: the writer wants a bell for the next room.
  @inlinable public var writerWaits: UnsafeMutablePointer<Atomic<UInt32>> { word(384, UInt32.self) }
}

/// The side of a ring that takes bytes out. What it has read it keeps to itself: the word that says so is for
/// the writer alone.
///
/// Invariant of the unsafe code in this file: `data` covers `byteCount` bytes, a power of two, that stay
/// mapped for as long as the value is used; the other side may change them at any time, so they are copied
/// once and used from the copy.
public struct RingReader {
  public let words: RingWords
  public let data: UnsafeRawPointer
  public let byteCount: Int
  public var position: UInt64 = 0

  /// Whether there is something, or a lie about it.
  @inlinable @inline(__always)
  public var hasArrived: Bool { words.written.pointee.load(ordering: .relaxed) != position }

  /// Copies what has come.
  ///
  /// - Parameter writerWaits: set where the writer waits for the room that this makes.
  @inlinable @inline(__always)
  public mutating func receive(
    into space: UnsafeMutableRawBufferPointer, writerWaits: inout Bool
  ) -> Transfer {
    let arrived = words.written.pointee.load(ordering: .acquiring) &- position
    if arrived == 0 { return .wouldBlock }
    guard arrived <= UInt64(byteCount), let target = space.baseAddress else { return .failed(EPROTO) }
    let count = min(Int(arrived), space.count)
    let start = Int(position & UInt64(byteCount - 1))
    let first = min(count, byteCount - start)
    target.copyMemory(from: data + start, byteCount: first)
    if first < count { (target + first).copyMemory(from: data, byteCount: count - first) }
    position &+= UInt64(count)
    // The word must be seen before the flag is looked at, or both sides could wait for each other.
    words.read.pointee.store(position, ordering: .sequentiallyConsistent)
    if words.writerWaits.pointee.load(ordering: .sequentiallyConsistent) != 0 {
      words.writerWaits.pointee.store(0, ordering: .relaxed)
      writerWaits = true
    }
    return .bytes(count)
  }
}

/// The side of a ring that puts bytes in.
public struct RingWriter {
  public let words: RingWords
  public let data: UnsafeMutableRawPointer
  public let byteCount: Int
  public var position: UInt64 = 0
  /// The reader's position as it was seen last.
  public var readPosition: UInt64 = 0

  /// Copies what there is room for; `wouldBlock` where there is none: a bell tells of the next room.
  ///
  /// - Parameter readerSleeps: set where the reader wants a bell.
  @inlinable @inline(__always)
  public mutating func send(_ bytes: UnsafeRawBufferPointer, readerSleeps: inout Bool) -> Transfer {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return .bytes(0) }
    if room < bytes.count { look() }
    if room == 0 { waitForRoom() }
    guard room >= 0 else { return .failed(EPROTO) }
    guard room > 0 else { return .wouldBlock }
    let count = min(room, bytes.count)
    let start = Int(position & UInt64(byteCount - 1))
    let first = min(count, byteCount - start)
    (data + start).copyMemory(from: source, byteCount: first)
    if first < count { data.copyMemory(from: source + first, byteCount: count - first) }
    position &+= UInt64(count)
    words.written.pointee.store(position, ordering: .sequentiallyConsistent)
    if words.readerSleeps.pointee.load(ordering: .sequentiallyConsistent) != 0 {
      words.readerSleeps.pointee.store(0, ordering: .relaxed)
      readerSleeps = true
    }
    return .bytes(count)
  }

  /// Free bytes, as far as is known; negative where the reader lies.
  @inlinable @inline(__always)
  public var room: Int {
    let unread = position &- readPosition
    return unread <= UInt64(byteCount) ? byteCount - Int(unread) : -1
  }

  @inlinable public mutating func look() { readPosition = words.read.pointee.load(ordering: .acquiring) }

  /// Asks for a bell, and looks once more: the room may have come before the wish was seen.
  @usableFromInline mutating func waitForRoom() {
    words.writerWaits.pointee.store(1, ordering: .sequentiallyConsistent)
    readPosition = words.read.pointee.load(ordering: .sequentiallyConsistent)
    if room > 0 { words.writerWaits.pointee.store(0, ordering: .relaxed) }
  }
}
