import ApusBase
import Foundation
import Synchronization
import Testing

@testable import ApusAccess

@Suite("Rates and calls in flight")
struct UsageTests {
  private let start: UInt64 = 1_000_000_000_000

  private func at(_ nanoseconds: UInt64) -> Instant { Instant(nanoseconds: start + nanoseconds) }

  @Test("Without limits everything is granted")
  func unlimited() {
    let usage = Usage()
    for calls in [0, 1, 1_000_000, Int.max] {
      #expect(usage.take(calls: calls, rowsPerCall: 1000, .none, now: at(0)) == (calls, 0))
    }
    #expect(usage.enter(1_000_000, limit: nil) == 1_000_000)
  }

  @Test("A full bucket gives one second's worth, then one call for each interval")
  func rate() {
    let usage = Usage()
    let limits = CallLimits(callsPerSecond: 10)
    #expect(usage.take(calls: 25, rowsPerCall: 1, limits, now: at(0)) == (10, 100_000_000))
    #expect(usage.take(calls: 1, rowsPerCall: 1, limits, now: at(99_999_999)) == (0, 1))
    #expect(usage.take(calls: 2, rowsPerCall: 1, limits, now: at(100_000_000)) == (1, 100_000_000))
    #expect(usage.take(calls: 1, rowsPerCall: 1, limits, now: at(150_000_000)) == (0, 50_000_000))
    #expect(usage.take(calls: 5, rowsPerCall: 1, limits, now: at(450_000_000)) == (3, 50_000_000))
    #expect(usage.take(calls: 99, rowsPerCall: 1, limits, now: at(60_000_000_000)).granted == 10)
    #expect(usage.take(calls: 0, rowsPerCall: 1, limits, now: at(60_000_000_000)) == (0, 0))
    #expect(usage.take(calls: -1, rowsPerCall: 1, limits, now: at(60_000_000_000)) == (0, 0))
  }

  @Test("A burst of its own, and rates that are no whole numbers")
  func burst() {
    let usage = Usage()
    let limits = CallLimits(callsPerSecond: 0.5, burst: 3)
    #expect(usage.take(calls: 4, rowsPerCall: 1, limits, now: at(0)) == (3, 2_000_000_000))
    #expect(usage.take(calls: 1, rowsPerCall: 1, limits, now: at(2_000_000_000)) == (1, 0))
    // Without a burst a rate below 1 still lets one call through.
    let slow = Usage()
    #expect(
      slow.take(calls: 2, rowsPerCall: 1, CallLimits(callsPerSecond: 0.25), now: at(0)) == (1, 4_000_000_000))
    #expect(
      slow.take(calls: 1, rowsPerCall: 1, CallLimits(callsPerSecond: 0.25), now: at(4_000_000_000)) == (1, 0))
  }

  @Test(
    "A whole second's worth fits exactly, for rates whose interval is no whole number", arguments: 1...2000)
  func exactBurst(rate: Int) {
    let limits = CallLimits(callsPerSecond: Double(rate))
    #expect(Usage().take(calls: rate + 1, rowsPerCall: 1, limits, now: at(0)).granted == rate)
    #expect(Usage().take(calls: rate, rowsPerCall: 1, limits, now: at(0)) == (rate, 0))
    let rows = CallLimits(rowsPerSecond: Double(rate))
    #expect(Usage().take(calls: 1, rowsPerCall: rate, rows, now: at(0)) == (1, 0))
    #expect(Usage().take(calls: rate + 1, rowsPerCall: 1, rows, now: at(0)).granted == rate)
  }

  @Test("Rows are counted for each call, and a batch is granted in part")
  func rows() {
    let usage = Usage()
    let limits = CallLimits(rowsPerSecond: 1000)
    #expect(usage.take(calls: 7, rowsPerCall: 300, limits, now: at(0)) == (3, 200_000_000))
    #expect(usage.take(calls: 1, rowsPerCall: 100, limits, now: at(0)) == (1, 0))
    #expect(usage.take(calls: 1, rowsPerCall: 0, limits, now: at(0)) == (1, 0))
    #expect(usage.take(calls: 1, rowsPerCall: 1, limits, now: at(0)) == (0, 1_000_000))
  }

  @Test("A call larger than the bucket is granted when nothing is owed, and paid off afterwards")
  func largeCall() {
    let usage = Usage()
    let limits = CallLimits(rowsPerSecond: 1000)
    #expect(usage.take(calls: 3, rowsPerCall: 5000, limits, now: at(0)) == (1, 5_000_000_000))
    #expect(usage.take(calls: 1, rowsPerCall: 1, limits, now: at(3_999_999_999)) == (0, 1_000_001))
    #expect(usage.take(calls: 1, rowsPerCall: 1, limits, now: at(4_001_000_000)) == (1, 0))
    #expect(usage.take(calls: 1, rowsPerCall: 5000, limits, now: at(4_999_000_000)).granted == 0)
    #expect(usage.take(calls: 1, rowsPerCall: 5000, limits, now: at(6_000_000_000)) == (1, 0))
  }

  @Test("Both rates hold, and a call that one refuses costs nothing of the other")
  func bothRates() {
    let usage = Usage()
    let limits = CallLimits(callsPerSecond: 10, rowsPerSecond: 100)
    #expect(usage.take(calls: 10, rowsPerCall: 50, limits, now: at(0)) == (2, 500_000_000))
    for _ in 0..<100 { #expect(usage.take(calls: 1, rowsPerCall: 50, limits, now: at(0)).granted == 0) }
    #expect(usage.take(calls: 10, rowsPerCall: 0, limits, now: at(0)) == (8, 100_000_000))
    #expect(usage.take(calls: 1, rowsPerCall: 1, limits, now: at(0)) == (0, 100_000_000))
  }

  @Test("Who waits as long as is said is granted", arguments: [0.3, 1, 7, 333, 1e6, 3e8])
  func retryAfter(rate: Double) {
    var random = SystemRandomNumberGenerator()
    let usage = Usage()
    let limits = CallLimits(callsPerSecond: rate, rowsPerSecond: rate * 3.7, burst: 2)
    var now: UInt64 = 0
    var refused = 0
    for _ in 0..<1000 {
      let rows = Int.random(in: 0...9, using: &random)
      let (granted, wait) = usage.take(calls: 1, rowsPerCall: rows, limits, now: at(now))
      if granted == 1 { continue }
      refused += 1
      #expect(wait > 0)
      now += wait
      #expect(usage.take(calls: 1, rowsPerCall: rows, limits, now: at(now)).granted == 1)
    }
    #expect(refused > 0)
  }

  @Test("The largest numbers overflow nothing")
  func extremes() {
    for limits in [
      CallLimits(callsPerSecond: 1e-6, rowsPerSecond: 1e-6, burst: 1e12),
      CallLimits(callsPerSecond: 1e12, rowsPerSecond: 1e12, burst: 1),
      CallLimits(callsPerSecond: 1e12, burst: 1e12),
    ] {
      let usage = Usage()
      for now in [0, 1, start, .max / 2, .max - 1, .max] {
        for calls in [1, Int.max] {
          for rows in [0, 1, Int.max] {
            let (granted, _) = usage.take(
              calls: calls, rowsPerCall: rows, limits, now: Instant(nanoseconds: now))
            #expect((0...calls).contains(granted))
          }
        }
      }
    }
    // 10^12 calls at once are asked for, which the rate pays off in 31,000 years; the bucket holds 104 days.
    let patient = Usage()
    let limits = CallLimits(callsPerSecond: 1, burst: 1e12)
    #expect(patient.take(calls: .max, rowsPerCall: 1, limits, now: at(0)).granted == 9_007_199)
  }

  @Test("An instant from before another thread's is taken without harm")
  func staleInstant() {
    let usage = Usage()
    let limits = CallLimits(callsPerSecond: 10)
    #expect(usage.take(calls: 10, rowsPerCall: 1, limits, now: at(5_000_000_000)).granted == 10)
    #expect(usage.take(calls: 1, rowsPerCall: 1, limits, now: at(4_000_000_000)) == (0, 1_100_000_000))
  }

  @Test("Threads together never get more than the rate, and all of it when they ask often enough")
  func threads() {
    let usage = Usage()
    let limits = CallLimits(callsPerSecond: 1_000_000, rowsPerSecond: 3_000_000, burst: 50)
    let clock = Atomic<UInt64>(start)
    let calls = Atomic<Int>(0)
    let rows = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      for step in 0..<50_000 {
        // The clock of all threads, in which each sees the others' steps.
        let now = clock.wrappingAdd(UInt64(step % 7) * 20, ordering: .relaxed).newValue
        let rowsPerCall = (step + thread) % 6
        let wanted = 1 + step % 3
        let granted = usage.take(
          calls: wanted, rowsPerCall: rowsPerCall, limits, now: Instant(nanoseconds: now)
        ).granted
        calls.wrappingAdd(granted, ordering: .relaxed)
        rows.wrappingAdd(granted * rowsPerCall, ordering: .relaxed)
      }
    }
    let seconds = Double(clock.load(ordering: .relaxed) - start) / 1e9
    let granted = (calls: calls.load(ordering: .relaxed), rows: rows.load(ordering: .relaxed))
    #expect(Double(granted.calls) <= 1e6 * seconds + 50)
    #expect(Double(granted.rows) <= 3e6 * seconds + 3e6)
    // Refusals must have happened, or this has tested nothing; and most of what the rate allows was had.
    #expect(Double(granted.calls) > 0.5 * 1e6 * seconds)
    #expect(granted.calls < 4 * 50_000)
  }

  @Test("Threads that empty a bucket together get exactly what was in it")
  func exactTogether() {
    let usage = Usage()
    let limits = CallLimits(callsPerSecond: 1, rowsPerSecond: 400_000, burst: 100_000)
    let now = at(0)
    let calls = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      var granted = 0
      while usage.take(calls: 1, rowsPerCall: 1, limits, now: now).granted == 1 { granted += 1 }
      calls.wrappingAdd(granted, ordering: .relaxed)
    }
    #expect(calls.load(ordering: .relaxed) == 100_000)
  }

  @Test("Roundings never add up to more than the rate, even where a call takes 3⅓ ns")
  func rounding() {
    let usage = Usage()
    let limits = CallLimits(callsPerSecond: 3e8, burst: 10)
    var granted = 0
    for step in 0..<300_000 as Range<UInt64> {
      granted += usage.take(calls: 1, rowsPerCall: 1, limits, now: at(step * 3)).granted
    }
    #expect(granted <= 270_010 && granted > 200_000)
  }

  @Test("One thread that asks all the time gets exactly the rate")
  func exactRate() {
    let usage = Usage()
    let limits = CallLimits(callsPerSecond: 1000, burst: 5)
    var granted = 0
    for step in 0..<2_000_000 as Range<UInt64> {
      granted += usage.take(calls: 1, rowsPerCall: 1, limits, now: at(step * 1000)).granted
    }
    // 5 at once, and one for each full millisecond of the 1.999999 seconds after.
    #expect(granted == 5 + 1999)
  }

  @Test("Calls in flight are given back, and never exceed the limit")
  func inFlight() {
    let usage = Usage()
    #expect(usage.enter(3, limit: 5) == 3)
    #expect(usage.enter(3, limit: 5) == 2)
    #expect(usage.enter(1, limit: 5) == 0)
    #expect(usage.enter(1, limit: 4) == 0)
    usage.leave(2)
    #expect(usage.enter(9, limit: 5) == 2)
    usage.leave(5)
    #expect(usage.enter(0, limit: 5) == 0 && usage.enter(-1, limit: nil) == 0)
    let inside = Atomic<Int>(0)
    let worst = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      for step in 0..<50_000 {
        let granted = usage.enter(1 + (step + thread) % 4, limit: 7)
        let now = inside.wrappingAdd(granted, ordering: .sequentiallyConsistent).newValue
        worst.max(now, ordering: .relaxed)
        inside.wrappingSubtract(granted, ordering: .sequentiallyConsistent)
        usage.leave(granted)
      }
    }
    #expect(worst.load(ordering: .relaxed) <= 7)
    #expect(usage.enter(100, limit: 7) == 7)
  }
}
