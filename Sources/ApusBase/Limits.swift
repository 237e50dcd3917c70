/// Every bound that holds in a server or client: what the peer may send, and how much memory a pool takes.
///
/// The memory of a server is, at most, `reactors × (answerBufferBytes + pendingCalls × 64 B + waiting)
/// + connections × (receiveRingBytes + backlog) + lanes × 2 × laneRingBytes + slabBytes`, and what clients
/// share with it. A backlog is at most `answerBufferBytes` or counted in `slabBytes`. What waits takes
/// `queuedCalls` × 6 KiB in pieces of three sizes, and 8 MiB of rows for each version that is called; what
/// finds no room there is counted in `slabBytes`.
package struct Limits: Sendable {
  /// Longest metadata of one frame, in bytes.
  package var metadataBytes = 64 << 10
  /// Longest body of one frame, in bytes.
  package var bodyBytes = 64 << 20
  /// Calls that one connection may have in flight; further ones wait in the socket.
  package var callsInFlight = 1024
  /// Health watches that one connection may have at one time.
  package var watchesPerConnection = 8
  /// Inputs of one call that are computed together.
  package var batchRows = 65_536
  /// Calls of one reactor's connections that may wait to be computed.
  package var queuedCalls = 4096
  /// Longest time that a call without a deadline is let in to wait, as predicted, in nanoseconds.
  package var queueNanoseconds: UInt64 = 1_000_000_000
  /// Connections that one server holds.
  package var connections = 16_384
  /// Receive ring of one connection, in bytes: a power of two, a multiple of the page size. A frame over half
  /// of it gets memory of its own.
  package var receiveRingBytes = 256 << 10
  /// Buffer of one reactor in which answers are made, in bytes.
  package var answerBufferBytes = 256 << 10
  /// Arena of one decoded metadata, in bytes: decoded fields are larger than their encoding.
  package var metadataArenaBytes = 256 << 10
  /// Bytes of all large frames, of large answers and of answers that are not taken, which a server holds at
  /// one time.
  package var slabBytes = 256 << 20
  /// The share of one connection: the longest call, and the longest answer to it.
  package var connectionSlabBytes = 129 << 20
  /// A frame that has begun must be whole within this time, in nanoseconds.
  package var frameTimeoutNanoseconds: UInt64 = 10_000_000_000
  /// A peer that does not read its answers for so long is closed, in nanoseconds.
  package var writeTimeoutNanoseconds: UInt64 = 30_000_000_000
  /// Time for running calls after SIGTERM, in nanoseconds.
  package var drainNanoseconds: UInt64 = 10_000_000_000
  /// Time for reading and discarding after the last answer of a closing connection, in nanoseconds.
  package var lingerNanoseconds: UInt64 = 1_000_000_000

  /// Lanes that one server holds; 0: none are opened.
  package var lanes = 256
  /// Each ring of a lane, in bytes, at most: a power of two.
  package var laneRingBytes = 1 << 20
  /// Regions that one connection may have registered.
  package var regionsPerConnection = 64
  /// Bytes of these regions together. The pages of a region count as the server's from when it reads them.
  package var regionBytes = 1 << 30

  /// TLS handshakes under way at one time.
  package var handshakes = 256
  /// A TLS handshake must end within this time, in nanoseconds, and a caller must have said who it is where a
  /// policy asks.
  package var handshakeTimeoutNanoseconds: UInt64 = 10_000_000_000

  package init() {}
}
