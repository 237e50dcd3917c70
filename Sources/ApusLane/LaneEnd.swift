public import ApusBase
package import ApusIO
package import ApusWire
import Glibc
import Synchronization

/// One side of a lane: a ring to read, a ring to write, and whether a bell is owed to the peer. The bell is a
/// byte on the socket: unlike an eventfd, whose flags both processes share, it can never block who rings it.
public struct LaneEnd: ~Copyable, @unchecked Sendable {
  package enum Side: Sendable { case server, client }

  private let memory: SharedMemory
  public var reader: RingReader
  public var writer: RingWriter
  /// The peer has asked for a bell, which has not been rung.
  public var owesBell = false
  /// This side has asked for a bell for the next bytes.
  package private(set) var isArmed = false
  /// The socket may hold bells, or the peer's end.
  package var isSocketDue = false
  /// The peer has gone; what it wrote before can still be read.
  package var peerHasEnded = false
  /// The peer has been asked for a descriptor: no other time is one taken off the socket.
  package private(set) var awaitsDescriptor = false
  private var passed: Descriptor?
  /// Bells that this side has rung and not counted.
  public var bells: UInt64 = 0

  /// - Throws: EPROTO for a layout that does not lie in the memory.
  package init(
    _ descriptor: borrowing Descriptor, _ layout: LaneLayout, as side: Side
  ) throws(SystemError) {
    guard layout.isValid else { throw SystemError("open a lane", errorNumber: EPROTO) }
    memory = try SharedMemory(mapping: descriptor, byteCount: layout.memoryBytes, isWritable: true)
    let incoming = side == .server ? layout.requests : layout.answers
    let outgoing = side == .server ? layout.answers : layout.requests
    let base = memory.baseAddress
    reader = RingReader(
      words: RingWords(base: base + incoming.controlOffset), data: base + incoming.dataOffset,
      byteCount: incoming.byteCount)
    writer = RingWriter(
      words: RingWords(base: base + outgoing.controlOffset), data: base + outgoing.dataOffset,
      byteCount: outgoing.byteCount)
  }

  package var memoryBytes: Int { memory.bytes.count }

  /// Whether there is something to receive.
  @inlinable @inline(__always)
  public var hasArrived: Bool { reader.hasArrived }

  /// Copies what has come; EPROTO where the peer's words make no sense. `space` is not empty.
  @inlinable @inline(__always)
  public mutating func receive(into space: UnsafeMutableRawBufferPointer) -> Transfer {
    reader.receive(into: space, writerWaits: &owesBell)
  }

  /// Copies what there is room for. After `wouldBlock` a bell will tell of room.
  @inlinable @inline(__always)
  public mutating func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    writer.send(bytes, readerSleeps: &owesBell)
  }

  /// Whether the peer is to be told now, once.
  @inlinable @inline(__always)
  public mutating func takeOwedBell() -> Bool {
    guard owesBell else { return false }
    owesBell = false
    bells += 1
    return true
  }

  /// Bells that were rung since the last time.
  @inlinable @inline(__always)
  public mutating func takeBellCount() -> UInt64 {
    guard bells > 0 else { return 0 }
    defer { bells = 0 }
    return bells
  }

  /// Asks for a bell when the next bytes come.
  ///
  /// - Returns: false where there are some already: this side must not sleep.
  package mutating func arm() -> Bool {
    isArmed = true
    reader.words.readerSleeps.pointee.store(1, ordering: .sequentiallyConsistent)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard hasArrived else { return true }
    disarm()
    return false
  }

  package mutating func disarm() {
    isArmed = false
    reader.words.readerSleeps.pointee.store(0, ordering: .relaxed)
  }
}

// MARK: - Descriptors

extension LaneEnd {
  package mutating func awaitDescriptor() { awaitsDescriptor = true }

  /// Keeps the descriptor that was awaited.
  package mutating func take(_ descriptor: consuming Descriptor) {
    awaitsDescriptor = false
    passed = consume descriptor
  }

  /// The descriptor that has come, once.
  package mutating func takePassed() -> Descriptor? { passed.take() }
}
