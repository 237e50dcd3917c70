import ApusAccess
import ApusBase
import ApusWire

/// What a reactor knows of a request that waits, with the answer that has been begun for it.
struct WaitingRequest {
  /// The connection; nil: it has closed, and nobody waits for the answer.
  var connection: SlotKey?
  var requestID: UInt64 = 0
  /// Of the request, for the access log.
  var frameBytes = 0
  /// Its place among the jobs of its connection.
  var index = 0
  var call = PreparedCall()
  /// With which it came.
  var catalog: Catalog?
  var firstByte = Instant(nanoseconds: 0)
  var received = Instant(nanoseconds: 0)
  /// Counts it as in flight.
  var standing: Standing?
  /// It is quick, but found no room in the reactor's turn.
  var isOverflowing = false
  /// It waits for a worker, not for the reactor itself.
  var isPooled = false
  /// Where its rows lie, if they do not lie in memory of their own.
  var ring: RowRing?
  /// The whole answer but for its times.
  var frame: UnsafeMutableRawPointer?
  /// The memory of answer and input, where it is a piece.
  var answerPiece: Piece?
  var inputPiece: Piece?
}
