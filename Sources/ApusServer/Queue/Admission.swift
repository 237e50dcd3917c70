import ApusBase
import ApusWire

/// Decides which calls may wait: those that can be in time, as far as the measured cost of what goes before
/// them tells. What cannot is refused at once, when the caller can still do something else; what is let in is
/// answered.
///
/// The limit adapts: where calls that were let in come late, predictions may fill less of the time that calls
/// have, by a tenth each time, and more again while they are in time (additive increase, multiplicative
/// decrease; Chiu and Jain, 1989).
struct Admission {
  /// What one thread is at.
  private struct Work {
    /// When its batch should end.
    var expectedEnd = Instant(nanoseconds: 0)
    var expectedNanoseconds: UInt64 = 0
    /// Since when it has been at this batch, what came between it and the one before included.
    var since = Instant(nanoseconds: 0)
    var lastEnd = Instant(nanoseconds: 0)
  }

  private var threads: ContiguousArray<Work>
  /// What the last batches should have taken, and what they took with all that came between them, in
  /// nanoseconds: threads have other work, too, and share processors.
  private var expected = Self.firstNanoseconds
  private var spent = Self.firstNanoseconds
  /// Of the time that calls have, the share that a prediction may fill.
  private(set) var share = 1.0
  private var nextDecrease = Instant(nanoseconds: 0)
  /// The longest wait of a call without a deadline.
  private let mostNanoseconds: UInt64

  /// Before anything is known, batches take what they should.
  private static let firstNanoseconds = 10e6
  /// How far back `expected` and `spent` look: half as far after so much.
  private static let pastNanoseconds = 100e6
  /// A machine that stood still once tells nothing of what follows.
  private static let longestGap = 10e6
  private static let mostPace = 64.0
  private static let leastShare = 0.25
  private static let decrease = 0.9
  /// Of that, what a call that waits may fill: an answer needs time for its way back, and predictions err.
  private static let filled = 0.8
  private static let increase = 0.001
  private static let betweenDecreases: UInt64 = 10_000_000

  init(threads: Int, mostNanoseconds: UInt64) {
    self.threads = ContiguousArray(repeating: Work(), count: threads)
    self.mostNanoseconds = mostNanoseconds
  }

  /// - Parameter goesOn: whether there was more to do when the thread ended its batch before.
  mutating func began(_ thread: Int, expectedNanoseconds: UInt64, goesOn: Bool, at now: Instant) {
    threads[thread].expectedNanoseconds = expectedNanoseconds
    threads[thread].expectedEnd = now.advanced(by: expectedNanoseconds)
    threads[thread].since = goesOn ? threads[thread].lastEnd : now
  }

  mutating func ended(_ thread: Int, at now: Instant) {
    let own = Double(max(threads[thread].expectedNanoseconds, 1))
    expected += own
    spent += min(Double(now.since(threads[thread].since)), own * pace + Self.longestGap)
    if expected > Self.pastNanoseconds { (expected, spent) = (expected / 2, spent / 2) }
    threads[thread].expectedEnd = Instant(nanoseconds: 0)
    threads[thread].lastEnd = now
  }

  /// What batches take of what their arithmetic should.
  var pace: Double { min(max(spent / expected, 1), Self.mostPace) }

  /// How long a call waits, as predicted, behind so much queued work.
  func wait(behind queued: UInt64, at now: Instant) -> UInt64 {
    var work = queued
    for thread in 0..<threads.count { work += threads[thread].expectedEnd.since(now) }
    return UInt64(Double(work) * pace) / UInt64(threads.count)
  }

  /// Why a call is not let in; nil: it is.
  ///
  /// - Parameters:
  ///   - queued: work that goes before it.
  ///   - own: what it takes.
  func refusal(queued: UInt64, own: UInt64, deadline: Instant, at now: Instant) -> Status? {
    let wait = wait(behind: queued, at: now)
    guard deadline != .never else {
      return wait <= mostNanoseconds ? nil : .overloaded(retryAfter: wait - mostNanoseconds)
    }
    let left = deadline.since(now)
    if own > left { return .deadlineTooShort(needed: own) }
    if wait == 0 { return nil }
    let most = UInt64(Double(left) * share * Self.filled)
    return wait + own <= most ? nil : .overloaded(retryAfter: wait + own - most)
  }

  /// Calls were answered, some of them perhaps after their deadline.
  mutating func answered(areLate: Bool, at now: Instant) {
    if !areLate {
      share = min(1, share + Self.increase)
    } else if now >= nextDecrease {
      share = max(Self.leastShare, share * Self.decrease)
      nextDecrease = now.advanced(by: Self.betweenDecreases)
    }
  }

  /// Of the work that may wait, how much does: 0 idle, 1 saturated.
  func load(queued: UInt64, at now: Instant) -> Float {
    Float(min(1, Double(wait(behind: queued, at: now)) / Double(max(1, mostNanoseconds))))
  }
}
