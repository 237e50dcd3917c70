/// What a receive or a send came to.
public enum Transfer: Equatable, Sendable {
  case bytes(Int)
  /// The kernel has nothing now, or no room.
  case wouldBlock
  /// The peer has closed its sending side.
  case end
  /// The connection is broken; the number is the kernel's.
  case failed(Int32)
}
