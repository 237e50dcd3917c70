import ApusBase
import Glibc
import Testing

@testable import ApusCommand

@Suite struct WatchdogTests {
  @Test func theWatchdogIsFedAtHalfItsTimeWhileAllAnswer() throws {
    let start = Instant(nanoseconds: 1_000_000_000)
    func after(_ microseconds: UInt64) -> Instant { start.advanced(by: microseconds * 1000) }
    var watchdog = try #require(Watchdog(microseconds: "8000", process: "\(getpid())", now: start))
    // A late answer is looked for again soon, so that it still comes in time.
    let turns: [(at: UInt64, allAnswered: Bool)] = [
      (3999, true), (4000, true), (7999, true), (8000, false), (8499, true), (8500, true),
    ]
    let fed = turns.filter { watchdog.isDue(at: after($0.at), allAnswered: $0.allAnswered) }.map(\.at)
    #expect(fed == [4000, 8500])
    #expect(watchdog.milliseconds(at: after(8500)) == 5)
    for text in [nil, "", "0", "-1", "x", "99999999999999999999"] {
      #expect(Watchdog(microseconds: text, process: nil, now: start) == nil)
    }
    #expect(Watchdog(microseconds: "8000", process: nil, now: start) != nil)
    #expect(Watchdog(microseconds: "8000", process: "1", now: start) == nil)
  }
}
