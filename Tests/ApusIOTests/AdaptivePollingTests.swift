import ApusIO
import Testing

@Suite struct AdaptivePollingTests {
  @Test func theWindowDoublesUpToItsBound() {
    var polling = AdaptivePolling(maximumNanoseconds: 50_000)
    #expect(polling.windowNanoseconds == 0)
    var windows: [UInt64] = []
    for _ in 0..<5 {
      polling.succeeded()
      windows.append(polling.windowNanoseconds)
    }
    #expect(windows == [10_000, 20_000, 40_000, 50_000, 50_000])
  }

  @Test func whatComesSoonAfterTheWindowMakesItGrow() {
    var polling = AdaptivePolling(maximumNanoseconds: 50_000)
    var windows: [UInt64] = []
    for _ in 0..<4 {
      polling.failed()
      polling.woke(afterNanoseconds: 20_000)
      windows.append(polling.windowNanoseconds)
    }
    #expect(windows == [10_000, 20_000, 40_000, 50_000])
  }

  @Test func pausesHalveTheWindowAndThenCloseIt() {
    var polling = AdaptivePolling(maximumNanoseconds: 50_000)
    for _ in 0..<4 { polling.succeeded() }
    var windows: [UInt64] = []
    for _ in 0..<4 {
      polling.failed()
      polling.woke(afterNanoseconds: 4_000_000)
      windows.append(polling.windowNanoseconds)
    }
    #expect(windows == [25_000, 12_500, 0, 0])
  }

  @Test func aShortWaitOpensTheWindowAPauseHalvesItAndALongSleepClosesIt() {
    var polling = AdaptivePolling(maximumNanoseconds: 50_000)
    polling.woke(afterNanoseconds: 100_000)
    #expect(polling.windowNanoseconds == 10_000)
    polling.woke(afterNanoseconds: 90_000)
    #expect(polling.windowNanoseconds == 20_000)
    polling.woke(afterNanoseconds: 80_001)
    #expect(polling.windowNanoseconds == 10_000)
    polling.woke(afterNanoseconds: 9_990_000)
    #expect(polling.windowNanoseconds == 0)
    for _ in 0..<4 { polling.succeeded() }
    polling.woke(afterNanoseconds: 9_950_001)
    #expect(polling.windowNanoseconds == 0)
    for _ in 0..<4 { polling.succeeded() }
    polling.woke(afterNanoseconds: .max)
    #expect(polling.windowNanoseconds == 0)
  }

  @Test func pollingThatAlwaysFailsIsLeftForAWhile() {
    var polling = AdaptivePolling(maximumNanoseconds: 50_000)
    func pollInVain() {
      polling.failed()
      polling.woke(afterNanoseconds: 5_000)
    }
    polling.succeeded()
    for _ in 0..<15 { pollInVain() }
    #expect(polling.windowNanoseconds == 50_000)
    pollInVain()
    #expect(polling.windowNanoseconds == 0)
    for _ in 0..<255 { polling.woke(afterNanoseconds: 5_000) }
    #expect(polling.windowNanoseconds == 0)
    polling.woke(afterNanoseconds: 5_000)
    #expect(polling.windowNanoseconds == 10_000)
    pollInVain()
    #expect(polling.windowNanoseconds == 0, "one trial in vain is enough")
    for _ in 0..<256 { polling.woke(afterNanoseconds: 5_000) }
    polling.succeeded()
    for _ in 0..<15 { pollInVain() }
    #expect(polling.windowNanoseconds > 0, "one success, and it is as at first")
  }

  @Test(arguments: [0, 1, 5_000] as [UInt64])
  func aSmallBoundIsNeverPassed(_ bound: UInt64) {
    var polling = AdaptivePolling(maximumNanoseconds: bound)
    for step in 0..<100 {
      if step % 3 == 0 { polling.woke(afterNanoseconds: 0) } else { polling.succeeded() }
      #expect(polling.windowNanoseconds == bound)
    }
    polling.woke(afterNanoseconds: .max)
    #expect(polling.windowNanoseconds == 0)
  }

  @Test func largeBoundsDoNotOverflow() {
    var polling = AdaptivePolling(maximumNanoseconds: 1 << 62)
    for _ in 0..<100 { polling.succeeded() }
    #expect(polling.windowNanoseconds == 1 << 62)
    polling.woke(afterNanoseconds: 5)
    #expect(polling.windowNanoseconds == 1 << 62)
    polling.woke(afterNanoseconds: .max)
    #expect(polling.windowNanoseconds == 0)
  }
}
