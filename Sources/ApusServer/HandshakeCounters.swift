import Synchronization

/// What became of TLS handshakes since the start.
final class HandshakeCounters: Sendable {
  /// Ended well, resumed ones included.
  let completed = Atomic<UInt64>(0)
  let resumed = Atomic<UInt64>(0)
  /// Refused, broken off, or not ended in time.
  let failed = Atomic<UInt64>(0)
  /// Of those, the ones in which the client showed no certificate that is trusted here.
  let untrusted = Atomic<UInt64>(0)
}
