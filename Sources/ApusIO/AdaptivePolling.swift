/// How long a thread polls before it sleeps, as the kernel's halt polling decides it (docs.kernel.org,
/// virt/kvm/halt-polling): the window grows when what was waited for came soon, and shrinks when it took
/// long. A thread without traffic has no window and so uses no processor time. A pause in steady traffic, as
/// when the scheduler lets another process go first for some milliseconds, halves the window only: closing it
/// would make the next calls pay a wake-up each.
///
/// Polling that always ends in vain, although something comes as soon as the thread sleeps, keeps the peer
/// from the processor that both share: then the thread sleeps at once, and tries polling again after a while.
package struct AdaptivePolling: Sendable {
  private let maximumNanoseconds: UInt64
  private static let firstNanoseconds: UInt64 = 10_000
  private static let pauseNanoseconds: UInt64 = 10_000_000
  /// Windows in a row that passed in vain.
  private var vainWindows = 0
  private static let mostVainWindows = 16
  /// Sleeps without polling that are still to come.
  private var sleepsToCome = 0
  private static let sleepsWithoutPolling = 256
  /// The time for which to poll before the next sleep; 0: sleep at once.
  package private(set) var windowNanoseconds: UInt64 = 0

  package init(maximumNanoseconds: UInt64) { self.maximumNanoseconds = maximumNanoseconds }

  /// Something came while polling.
  package mutating func succeeded() {
    vainWindows = 0
    grow()
  }

  /// The window passed in vain; `woke` tells what followed.
  package mutating func failed() { vainWindows += 1 }

  /// Something came after sleeping so long, behind the window if there was one.
  package mutating func woke(afterNanoseconds slept: UInt64) {
    let (waited, overflow) = slept.addingReportingOverflow(windowNanoseconds)
    if overflow || waited > max(Self.pauseNanoseconds, 2 * maximumNanoseconds) {
      windowNanoseconds = 0
    } else if waited > 2 * maximumNanoseconds {
      halve()
    } else {
      wokeSoon()
    }
  }

  private mutating func wokeSoon() {
    if sleepsToCome > 0 {
      sleepsToCome -= 1
      if sleepsToCome == 0 { grow() }
    } else if vainWindows >= Self.mostVainWindows {
      // One window more in vain will do the next time.
      vainWindows = Self.mostVainWindows - 1
      sleepsToCome = Self.sleepsWithoutPolling
      windowNanoseconds = 0
    } else {
      grow()
    }
  }

  private mutating func halve() {
    windowNanoseconds /= 2
    if windowNanoseconds < Self.firstNanoseconds { windowNanoseconds = 0 }
  }

  private mutating func grow() {
    windowNanoseconds = min(maximumNanoseconds, max(Self.firstNanoseconds, windowNanoseconds * 2))
  }
}
