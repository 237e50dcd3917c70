package import ApusBase
import Synchronization

/// What one identity has used, shared by all threads without a lock.
///
/// Rates are kept by the generic cell rate algorithm (ATM Forum, Traffic Management 4.0, section 4.4.2): one
/// word for each holds the theoretical arrival time, at which all that was granted will have been paid off at
/// the allowed rate. It may lie ahead of now by what a burst takes to pay off.
///
/// A usage belongs to one set of limits: where they change, a new one begins.
package final class Usage: Sendable {
  /// Theoretical arrival times, in nanoseconds of the monotonic clock.
  private let calls = Atomic<UInt64>(0)
  private let rows = Atomic<UInt64>(0)
  private let inFlight = Atomic<Int>(0)

  package init() {}

  /// Takes calls of `rowsPerCall` rows each.
  ///
  /// A single call of more rows than there are in a burst is granted when nothing else is owed, and paid off
  /// afterwards: otherwise it would be refused for ever. A call that another thread was quicker to take rows
  /// for may be counted without being granted; never the other way round.
  ///
  /// - Returns: how many of the calls, the first ones, are granted, and, where not all are, after how many
  ///   nanoseconds the next may be; 0 where all are.
  package func take(
    calls wanted: Int, rowsPerCall: Int, _ limits: CallLimits, now: Instant
  ) -> (granted: Int, retryAfterNanoseconds: UInt64) {
    let callPace = limits.callsPerSecond.map { rate in
      Pace(rate: rate, burst: limits.burst ?? rate, unitsPerCall: 1)
    }
    let rowPace = limits.rowsPerSecond.flatMap { rate in
      rowsPerCall > 0 ? Pace(rate: rate, burst: rate, unitsPerCall: rowsPerCall) : nil
    }
    var granted = max(0, wanted)
    if let callPace { granted = callPace.fitting(granted, calls.load(ordering: .relaxed), now) }
    if let rowPace { granted = rowPace.fitting(granted, rows.load(ordering: .relaxed), now) }
    if let callPace { granted = callPace.take(granted, from: calls, now) }
    if let rowPace { granted = rowPace.take(granted, from: rows, now) }
    guard granted < wanted else { return (granted, 0) }
    let wait = max(
      callPace?.wait(calls.load(ordering: .relaxed), now) ?? 0,
      rowPace?.wait(rows.load(ordering: .relaxed), now) ?? 0)
    return (granted, max(wait, 1))
  }

  /// How many of the calls may be in flight now, under the limit; `leave` gives them back.
  package func enter(_ calls: Int, limit: Int?) -> Int {
    var current = inFlight.load(ordering: .relaxed)
    while true {
      let granted = limit.map { max(0, min(calls, $0 - current)) } ?? max(0, calls)
      guard granted > 0 else { return 0 }
      let (exchanged, original) = inFlight.weakCompareExchange(
        expected: current, desired: current + granted, ordering: .relaxed)
      if exchanged { return granted }
      current = original
    }
  }

  /// Gives back calls that `enter` granted, when they have been answered.
  package func leave(_ calls: Int) { inFlight.wrappingSubtract(calls, ordering: .relaxed) }
}

/// The arithmetic of one rate, for calls that cost so many of its units each.
private struct Pace {
  private let rate: Double
  private let unitsPerCall: Double
  /// How far the theoretical arrival time may be ahead of now, in nanoseconds.
  private let window: UInt64

  init(rate: Double, burst: Double, unitsPerCall: Int) {
    self.rate = rate
    self.unitsPerCall = Double(unitsPerCall)
    // Up to 2⁵³, 104 days, a Double holds nanoseconds exactly.
    window = min(Self.nanoseconds(max(1, burst), rate), 1 << 53)
  }

  /// Time in which so many units are paid off, rounded up, so that roundings never add up to more than the
  /// rate; at most 2⁶², 146 years.
  private static func nanoseconds(_ units: Double, _ rate: Double) -> UInt64 {
    UInt64(min((units * 1e9 / rate).rounded(.up), 0x1p62))
  }

  private func cost(_ calls: Int) -> UInt64 { Self.nanoseconds(Double(calls) * unitsPerCall, rate) }

  /// How many of the calls may be taken.
  func fitting(_ wanted: Int, _ arrival: UInt64, _ now: Instant) -> Int {
    let ahead = arrival > now.nanoseconds ? arrival - now.nanoseconds : 0
    if ahead == 0, cost(1) > window { return min(wanted, 1) }
    let room = window > ahead ? window - ahead : 0
    guard cost(wanted) > room else { return wanted }
    // Fewer than `wanted`, which costs more than there is room; the division may have rounded up.
    var count = Int(min(Double(room) * rate / 1e9 / unitsPerCall, Double(wanted - 1)))
    while count > 0, cost(count) > room { count -= 1 }
    return count
  }

  /// Takes as many of the calls as fit, and gives their number.
  func take(_ wanted: Int, from arrival: borrowing Atomic<UInt64>, _ now: Instant) -> Int {
    var current = arrival.load(ordering: .relaxed)
    while true {
      let count = fitting(wanted, current, now)
      guard count > 0 else { return 0 }
      let next = Instant(nanoseconds: max(current, now.nanoseconds)).advanced(by: cost(count)).nanoseconds
      let (exchanged, original) = arrival.weakCompareExchange(
        expected: current, desired: next, ordering: .relaxed)
      if exchanged { return count }
      current = original
    }
  }

  /// Nanoseconds until one call fits, if nobody else takes it.
  func wait(_ arrival: UInt64, _ now: Instant) -> UInt64 {
    let room = max(window, cost(1)) - cost(1)
    let start = arrival > room ? arrival - room : 0
    return start > now.nanoseconds ? start - now.nanoseconds : 0
  }
}
