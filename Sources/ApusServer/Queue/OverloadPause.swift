import ApusBase

/// How long a thread does not look for further calls after it has refused some because too many wait. Who
/// sends too much sends more at once: then a look at what has come takes little of the time that those who
/// were let in need. Their answers wait meanwhile, so it is no longer than calls have for the way of these.
struct OverloadPause {
  /// 0: no call has been refused.
  private var nanoseconds: UInt64 = 0
  private static let mostNanoseconds: UInt64 = 1_000_000
  private static let leastNanoseconds: UInt64 = 1000

  var isDue: Bool { nanoseconds > 0 }

  /// A call of such a deadline was refused.
  mutating func refused(_ deadline: Instant, at now: Instant) {
    let way = deadline == .never ? Self.mostNanoseconds : deadline.since(now) / Job.wayShare
    let longest = isDue ? nanoseconds : Self.mostNanoseconds
    nanoseconds = max(Self.leastNanoseconds, min(longest, way))
  }

  /// The time of the pause, once.
  mutating func take() -> UInt64 {
    defer { nanoseconds = 0 }
    return nanoseconds
  }
}
