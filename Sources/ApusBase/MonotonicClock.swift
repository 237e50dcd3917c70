import CLinux

/// Tells the processor that a loop waits: what shares its core goes on at full speed meanwhile.
package func pauseProcessor() { clinux_pause() }

/// A point on the machine's monotonic clock (`CLOCK_MONOTONIC`), in nanoseconds.
public struct Instant: Comparable, Sendable {
  public var nanoseconds: UInt64

  @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// The time now.
  package static var now: Instant { Instant(nanoseconds: clinux_monotonic_ns()) }

  /// The end of time: a deadline that never passes.
  @inlinable public static var never: Instant { Instant(nanoseconds: .max) }

  @inlinable public static func < (left: Instant, right: Instant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  @inlinable public static func == (left: Instant, right: Instant) -> Bool {
    left.nanoseconds == right.nanoseconds
  }

  // The standard library's are generic.
  @inlinable public static func >= (left: Instant, right: Instant) -> Bool {
    left.nanoseconds >= right.nanoseconds
  }
  @inlinable public static func <= (left: Instant, right: Instant) -> Bool {
    left.nanoseconds <= right.nanoseconds
  }
  @inlinable public static func > (left: Instant, right: Instant) -> Bool {
    left.nanoseconds > right.nanoseconds
  }

  /// Keeps the processor busy until this time, without a system call.
  package func spin() { while Instant.now < self { pauseProcessor() } }

  /// When a time-out from now on has passed; 0: never.
  package static func deadline(after nanoseconds: UInt64) -> Instant {
    nanoseconds == 0 ? .never : now.advanced(by: nanoseconds)
  }

  /// Nanoseconds until this deadline: 0 when it has passed, the most there are when it never does.
  package var nanosecondsLeft: UInt64 { self == .never ? .max : since(.now) }

  /// Nanoseconds from `earlier` to here; 0 when `earlier` is later.
  @inlinable public func since(_ earlier: Instant) -> UInt64 {
    nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
  }

  /// This time and so many nanoseconds more, or `never` where that overflows.
  @inlinable public func advanced(by nanoseconds: UInt64) -> Instant {
    let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
    return overflow ? .never : Instant(nanoseconds: sum)
  }
}
