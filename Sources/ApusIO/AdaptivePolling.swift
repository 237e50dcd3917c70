/// How long a thread polls before it sleeps, as the kernel's halt polling decides it (docs.kernel.org,
/// virt/kvm/halt-polling): the window grows when a wake-up came soon after going to sleep, and shrinks when
/// polling found nothing. A thread without traffic has no window and so uses no processor time. A pause in
/// steady traffic, as when the scheduler lets another process go first for some milliseconds, halves the
/// window only: closing it would make the next calls pay a wake-up each.
package struct AdaptivePolling: Sendable {
  private let maximumNanoseconds: UInt64
  private static let firstNanoseconds: UInt64 = 10_000
  private static let pauseNanoseconds: UInt64 = 10_000_000
  /// The time for which to poll before the next sleep; 0: sleep at once.
  package private(set) var windowNanoseconds: UInt64 = 0

  package init(maximumNanoseconds: UInt64) { self.maximumNanoseconds = maximumNanoseconds }

  /// Something came while polling.
  package mutating func succeeded() { grow() }

  /// The window passed in vain.
  package mutating func failed() {
    windowNanoseconds /= 2
    if windowNanoseconds < Self.firstNanoseconds { windowNanoseconds = 0 }
  }

  /// Something came after sleeping so long.
  package mutating func woke(afterNanoseconds slept: UInt64) {
    if slept <= 2 * maximumNanoseconds {
      grow()
    } else if slept <= Self.pauseNanoseconds {
      failed()
    } else {
      windowNanoseconds = 0
    }
  }

  private mutating func grow() {
    windowNanoseconds = min(maximumNanoseconds, max(Self.firstNanoseconds, windowNanoseconds * 2))
  }
}
