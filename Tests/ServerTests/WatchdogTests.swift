import ApusBase
import Glibc
import Testing

@testable import apus

@Suite struct WatchdogTests {
  @Test func theWatchdogIsFedAtHalfItsTimeWhileAllAnswer() throws {
    let start = Instant(nanoseconds: 1_000_000_000)
    func after(_ microseconds: UInt64) -> Instant { start.advanced(by: microseconds * 1000) }
    var watchdog = try #require(Watchdog(microseconds: "8000", process: "\(getpid())", now: start))
    #expect(!watchdog.isDue(at: after(3999), allAnswered: true))
    #expect(watchdog.isDue(at: after(4000), allAnswered: true))
    #expect(!watchdog.isDue(at: after(7999), allAnswered: true))
    #expect(!watchdog.isDue(at: after(8000), allAnswered: false))
    // It is looked at again soon, so that a late answer still comes in time.
    #expect(!watchdog.isDue(at: after(8499), allAnswered: true))
    #expect(watchdog.isDue(at: after(8500), allAnswered: true))
    #expect(watchdog.milliseconds(at: after(8500)) == 5)
    for text in [nil, "", "0", "-1", "x", "99999999999999999999"] {
      #expect(Watchdog(microseconds: text, process: nil, now: start) == nil)
    }
    #expect(Watchdog(microseconds: "8000", process: nil, now: start) != nil)
    #expect(Watchdog(microseconds: "8000", process: "1", now: start) == nil)
  }
}
