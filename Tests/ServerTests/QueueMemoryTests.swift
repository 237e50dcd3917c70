import ApusBase
import Testing

@testable import ApusServer

/// Where the rows and the answers of waiting calls lie.
@Suite struct QueueMemoryTests {
  private struct Taken {
    let place: Int
    let rows: Int
    let mark: UInt8
  }

  /// Each row is written when it is taken, and must be as it was when it is given back.
  @Test(arguments: [1 << 17, 40_000]) func rowsThatAreInUseNeverOverlap(rowBytes: Int) throws {
    var random = Xorshift(seed: UInt64(rowBytes))
    let ring = try #require(RowRing(rowBytes: rowBytes))
    let capacity = (8 << 20) / rowBytes
    var taken: [Taken] = []
    var isUsed = [Bool](repeating: false, count: capacity)
    var wraps = 0
    var last = 0
    var refusals = 0
    for step in 0..<6000 {
      let isFilling = step / 200 % 2 == 0
      if !taken.isEmpty, random.next(in: 0...9) < (isFilling ? 3 : 7) {
        let next = taken.remove(at: random.next(in: 0...1) == 0 ? 0 : random.next(in: 0...taken.count - 1))
        for row in next.place..<next.place + next.rows {
          let bytes = ring.address(of: row).assumingMemoryBound(to: UInt8.self)
          try #require(bytes[0] == next.mark && bytes[rowBytes - 1] == next.mark, "step \(step)")
          isUsed[row] = false
        }
        ring.give(back: ring.address(of: next.place), rows: next.rows)
      } else {
        let rows = random.next(in: 1...9)
        guard let place = ring.take(rows: rows) else {
          try #require(!taken.isEmpty, "an empty ring has room")
          refusals += 1
          continue
        }
        try #require(place >= 0 && place + rows <= capacity, "rows lie one behind the other")
        wraps += place < last ? 1 : 0
        last = place
        for row in place..<place + rows {
          try #require(!isUsed[row], "step \(step): row \(row) is in use")
          isUsed[row] = true
          let bytes = ring.address(of: row).assumingMemoryBound(to: UInt8.self)
          (bytes[0], bytes[rowBytes - 1]) = (UInt8(step & 255), UInt8(step & 255))
        }
        taken.append(Taken(place: place, rows: rows, mark: UInt8(step & 255)))
      }
    }
    #expect(wraps > 3 && refusals > 3, "\(wraps) wraps, \(refusals) refusals")
  }

  @Test func aFullRingGivesNothingUntilItsOldestRowsAreBack() throws {
    let ring = try #require(RowRing(rowBytes: 1 << 17))
    for place in 0..<64 { #expect(ring.take(rows: 1) == place) }
    #expect(ring.take(rows: 1) == nil)
    ring.give(back: ring.address(of: 5), rows: 1)
    #expect(ring.take(rows: 1) == nil, "out of turn")
    for place in 0..<5 { ring.give(back: ring.address(of: place), rows: 1) }
    #expect(ring.take(rows: 7) == nil)
    #expect(ring.take(rows: 6) == 0)
    for place in 6..<64 { ring.give(back: ring.address(of: place), rows: 1) }
    ring.give(back: ring.address(of: 0), rows: 6)
    #expect(ring.take(rows: 64) == 0, "an empty one is whole again")
    #expect(ring.take(rows: 1) == nil)
  }

  /// Bodies that are not whole may stay so for long.
  @Test func bodiesUnderWayLeaveHalfOfTheRowsToCallsThatAreWhole() throws {
    let ring = try #require(RowRing(rowBytes: 1 << 17))
    #expect(ring.takeForBody(rows: 33) == nil && ring.bodiesUnderWay == 0)
    #expect(ring.takeForBody(rows: 32) == 0 && ring.bodiesUnderWay == 1)
    #expect(ring.takeForBody(rows: 1) == nil)
    #expect(ring.take(rows: 32) == 32)
  }

  @Test func whatDoesNotFitBeforeTheEndBeginsAtTheFront() throws {
    let ring = try #require(RowRing(rowBytes: 1 << 17))
    #expect(ring.take(rows: 30) == 0 && ring.take(rows: 30) == 30)
    ring.give(back: ring.address(of: 0), rows: 30)
    #expect(ring.take(rows: 10) == 0)
    #expect(ring.take(rows: 20) == 10 && ring.take(rows: 1) == nil)
    ring.give(back: ring.address(of: 30), rows: 30)
    // The rows that were skipped at the end are free with those before them.
    #expect(ring.take(rows: 34) == 30)
    #expect(ring.take(rows: 1) == nil)
    #expect(ring.take(rows: 65) == nil)
  }

  @Test func ringsAreForRowsOfWhichTheyHoldMany() {
    #expect(RowRing(rowBytes: (1 << 17) + 64) == nil)
    #expect(RowRing(rowBytes: 64)?.take(rows: 4096) == 0)
    #expect(RowRing(rowBytes: 64)?.take(rows: 4097) == nil)
  }

  @Test func piecesAreEachTakenOnce() throws {
    let pieces = try #require(Pieces(pieceBytes: 2048, capacity: 100))
    var random = Xorshift(seed: 5)
    var taken: Set<UnsafeMutableRawPointer> = []
    for _ in 0..<3000 {
      if random.next(in: 0...1) == 0, let piece = taken.randomElement() {
        taken.remove(piece)
        pieces.give(back: piece)
      } else if let piece = pieces.take() {
        try #require(taken.insert(piece).inserted && taken.count <= 100)
        memsetPiece(piece)
      } else {
        try #require(taken.count == 100)
      }
    }
    while pieces.take() != nil {}
    for piece in taken { pieces.give(back: piece) }
    var places: Set<UnsafeMutableRawPointer> = []
    while let piece = pieces.take() { places.insert(piece) }
    #expect(places == taken)
    let sorted = places.sorted()
    for (one, next) in zip(sorted, sorted.dropFirst()) { #expect(next - one >= 2048) }
  }

  /// All of it may be written.
  private func memsetPiece(_ piece: UnsafeMutableRawPointer) {
    piece.initializeMemory(as: UInt8.self, repeating: 1, count: 2048)
  }
}
