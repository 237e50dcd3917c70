import ApusBase

/// Memory of one job's own, for what is too large or too rare to be kept ready. It is counted as what its
/// connection holds.
final class Slab: @unchecked Sendable {
  private var memory: MappedBuffer?
  private var lease: MemoryLease?
  let byteCount: Int
  let baseAddress: UnsafeMutableRawPointer

  /// Takes memory over as it is.
  init(_ memory: consuming MappedBuffer, _ lease: consuming MemoryLease) {
    byteCount = memory.bytes.count
    baseAddress = memory.baseAddress
    self.memory = consume memory
    self.lease = consume lease
  }

  /// Gives the memory away, when nobody else uses it any more; its lease is to be taken, too.
  func take() -> MappedBuffer? { memory.take() }

  func takeLease() -> MemoryLease? { lease.take() }
}

/// Rows of calls of one version that wait, one behind the other in the order they came, so that those of a
/// batch are a matrix as they lie. One thread takes and gives back; others only read rows that were taken.
///
/// Invariant: rows `tail` up to `head`, counted without end, are in use or given back out of turn, which
/// `isFree` tells of each; `head - tail` is at most `capacity`.
final class RowRing: @unchecked Sendable {
  let rowBytes: Int
  private let capacity: Int
  private let memory: MappedBuffer
  private var head = 0
  private var tail = 0
  private var isFree: ContiguousArray<Bool>
  /// Calls that have rows and are not whole.
  var bodiesUnderWay = 0

  private static let mostBytes = 8 << 20
  private static let mostRows = 4096

  /// - Returns: nil for rows of which it would hold too few.
  init?(rowBytes: Int) {
    capacity = min(Self.mostRows, Self.mostBytes / max(1, rowBytes))
    guard capacity >= 64, let memory = MappedBuffer(byteCount: capacity * rowBytes) else { return nil }
    self.rowBytes = rowBytes
    self.memory = consume memory
    isFree = ContiguousArray(repeating: false, count: capacity)
  }

  /// - Returns: the place of the first of so many rows; nil when there is no room.
  func take(rows: Int) -> Int? {
    if head == tail { (head, tail) = (0, 0) }
    let place = head % capacity
    let skipped = place + rows > capacity ? capacity - place : 0
    guard head - tail + skipped + rows <= capacity else { return nil }
    for index in 0..<skipped { isFree[place + index] = true }
    head += skipped + rows
    return (head - rows) % capacity
  }

  /// The same for a call that is not whole. Half of the rows are kept for those that are: nobody knows when
  /// these go on.
  func takeForBody(rows: Int) -> Int? {
    guard head - tail + rows <= capacity / 2, let place = take(rows: rows) else { return nil }
    bodiesUnderWay += 1
    return place
  }

  func address(of place: Int) -> UnsafeMutableRawPointer { memory.baseAddress + place * rowBytes }

  func give(back address: UnsafeRawPointer, rows: Int) {
    let place = (address - UnsafeRawPointer(memory.baseAddress)) / rowBytes
    for index in place..<place + rows { isFree[index] = true }
    while tail < head, isFree[tail % capacity] {
      isFree[tail % capacity] = false
      tail += 1
    }
  }
}

/// Memory in pieces of one size, for answers and texts of calls that wait. One thread takes and gives back.
final class Pieces: @unchecked Sendable {
  let pieceBytes: Int
  private let memory: MappedBuffer
  private var free: ContiguousArray<Int32> = []
  /// Pieces that have ever been used: the first ones.
  private var touched = 0
  private let capacity: Int

  init?(pieceBytes: Int, capacity: Int) {
    guard let memory = MappedBuffer(byteCount: capacity * pieceBytes) else { return nil }
    self.memory = consume memory
    self.pieceBytes = pieceBytes
    self.capacity = capacity
    free.reserveCapacity(capacity)
  }

  func take() -> UnsafeMutableRawPointer? {
    if let place = free.popLast() { return memory.baseAddress + Int(place) * pieceBytes }
    guard touched < capacity else { return nil }
    touched += 1
    return memory.baseAddress + (touched - 1) * pieceBytes
  }

  func give(back piece: UnsafeMutableRawPointer) {
    free.append(Int32((piece - memory.baseAddress) / pieceBytes))
  }
}

/// One of them.
struct Piece {
  let start: UnsafeMutableRawPointer
  let owner: Pieces

  /// Once, when nobody uses it any more.
  func giveBack() { owner.give(back: start) }
}

/// Pieces of three sizes, for nearly all of them.
struct PieceMemory {
  private let small: Pieces
  private let medium: Pieces
  private let large: Pieces

  /// - Parameter calls: that may wait.
  init?(calls: Int) {
    guard let small = Pieces(pieceBytes: 2 << 10, capacity: calls),
      let medium = Pieces(pieceBytes: 32 << 10, capacity: max(16, calls / 16)),
      let large = Pieces(pieceBytes: 256 << 10, capacity: max(16, calls / 128))
    else { return nil }
    (self.small, self.medium, self.large) = (small, medium, large)
  }

  /// - Returns: nil where there is none so large, or none left.
  func take(_ byteCount: Int) -> Piece? {
    let pieces =
      byteCount <= small.pieceBytes ? small : byteCount <= medium.pieceBytes ? medium : large
    guard byteCount <= pieces.pieceBytes, let start = pieces.take() else { return nil }
    return Piece(start: start, owner: pieces)
  }
}
