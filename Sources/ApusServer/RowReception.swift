import ApusBase
import ApusWire

/// Where the numbers of a call lie that waits: rows of its version's ring, or memory apart from them.
struct RowMemory {
  let start: UnsafeMutableRawPointer
  let owner: AnyObject
  let rows: Int
  /// nil: they lie apart, as long as their owner lives.
  var ring: RowRing?
}

/// The body of a call that will wait, received straight into the rows where it is computed. What stands
/// before it stays in the receive ring, and so does its last block of 64 bytes where it does not fill that:
/// what follows lies aligned in the ring, as if the body lay there, too.
///
/// Invariant of the unsafe code: `memory` spans `layout.bodyBytes` bytes of which the first `received` are
/// written, at most all of them, and nobody else has it. It is given back by the end of this, or has been
/// handed on.
struct RowReception: ~Copyable {
  let layout: FrameLayout
  private var memory: RowMemory?
  private var received = 0

  /// - Parameter memory: rows that were taken for a body under way.
  init(_ layout: FrameLayout, _ memory: RowMemory) {
    self.layout = layout
    self.memory = memory
  }

  deinit { drop(memory) }

  private func drop(_ memory: RowMemory?) {
    guard let memory, let ring = memory.ring else { return }
    ring.bodiesUnderWay -= 1
    ring.give(back: memory.start, rows: memory.rows)
  }

  /// Where the next bytes go; nil: to the ring.
  var rest: UnsafeMutableRawBufferPointer? {
    guard let memory, received < layout.directBytes else { return nil }
    return UnsafeMutableRawBufferPointer(start: memory.start + received, count: layout.directBytes - received)
  }

  /// Nothing is missing but, at most, what comes to the ring.
  var isDirectWhole: Bool { received >= layout.directBytes }
  var isWhole: Bool { received == layout.bodyBytes }
  var start: UnsafeRawPointer? { memory.map { UnsafeRawPointer($0.start) } }

  /// So many bytes were written to the front of `rest`.
  mutating func received(_ count: Int) {
    precondition(count >= 0 && count <= layout.directBytes - received)
    received += count
  }

  /// Takes the next bytes of the body from elsewhere.
  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count <= layout.bodyBytes - received)
    guard let memory, let source = bytes.baseAddress else { return }
    (memory.start + received).copyMemory(from: source, byteCount: bytes.count)
    received += bytes.count
  }

  /// Hands the rows on to a call that has so many of them in so many bytes; nil where those are others.
  mutating func keep(rows: Int, byteCount: Int) -> RowMemory? {
    guard memory?.rows == rows, byteCount == layout.bodyBytes, let memory = memory.take() else { return nil }
    memory.ring?.bodiesUnderWay -= 1
    return memory
  }

  func isIn(_ ring: RowRing) -> Bool { memory?.ring === ring }

  /// Goes on in memory apart, of as many bytes.
  ///
  /// - Returns: how many bytes were moved.
  mutating func move(to slab: Slab) -> Int {
    precondition(slab.byteCount >= layout.bodyBytes)
    guard let old = memory else { return 0 }
    slab.baseAddress.copyMemory(from: old.start, byteCount: received)
    memory = RowMemory(start: slab.baseAddress, owner: slab, rows: old.rows)
    drop(old)
    return received
  }
}

extension FrameLayout {
  /// Of the body, what is received straight into its rows.
  var directBytes: Int { bodyBytes & ~63 }
  /// Of the body, what comes to the ring behind all else.
  var tailBytes: Int { bodyBytes - directBytes }
  /// Of the frame, what comes to the ring in all.
  var ringBytes: Int { frameBytes - directBytes }
}

extension Connection {
  /// Where the rest of a body goes that has its rows; nil: there is none, or it has come.
  var rowRest: UnsafeMutableRawBufferPointer? {
    switch reception {
    case .some(let body): body.rest
    case .none: nil
    }
  }

  /// Where the body lies that has its rows.
  var receivedBody: UnsafeRawPointer? {
    switch reception {
    case .some(let body): body.start
    case .none: nil
    }
  }

  /// A body under way has rows of this ring.
  func receives(into ring: RowRing) -> Bool {
    switch reception {
    case .some(let body): body.isIn(ring)
    case .none: false
    }
  }
}
