import ApusBase
import ApusWire
import Testing

@testable import ApusEngine
@testable import ApusServer

/// Which calls may wait, and what calls are thought to cost.
@Suite struct AdmissionTests {
  private static let second: UInt64 = 1_000_000_000
  private let start = Instant(nanoseconds: 1_000_000_000_000)

  private func deadline(_ nanoseconds: UInt64) -> Instant { start.advanced(by: nanoseconds) }

  // MARK: Admission

  @Test func callsThatTakeLongerThanTheyMayAreRefusedForThemselves() throws {
    let admission = Admission(threads: 1, mostNanoseconds: Self.second)
    func refusal(_ own: UInt64) -> (reason: String, retryAfter: UInt64, message: String)? {
      admission.refusal(queued: 0, own: own, deadline: deadline(1_000_000), at: start).map {
        ($0.reason, $0.retryAfterNanoseconds, $0.message)
      }
    }
    #expect(refusal(1_000_000) == nil)
    let refused = try #require(refusal(1_000_001))
    #expect(refused.reason == "DEADLINE_TOO_SHORT" && refused.retryAfter == 1_000_001)
    #expect(refused.message == "the call takes about 1001 µs, longer than its caller waits")
    let late = admission.refusal(queued: 0, own: 1, deadline: start, at: start)
    #expect(late?.code == .deadlineExceeded && late?.reason == "DEADLINE_TOO_SHORT")
  }

  @Test func callsThatWouldBeLateAreRefusedWithATimeToTryAgain() throws {
    var admission = Admission(threads: 1, mostNanoseconds: Self.second)
    #expect(
      admission.refusal(queued: 6_000_000, own: 4_000_000, deadline: deadline(12_500_000), at: start) == nil)
    let refused = try #require(
      admission.refusal(queued: 8_000_000, own: 5_000_000, deadline: deadline(12_500_000), at: start))
    #expect(refused.code == .resourceExhausted && refused.reason == "OVERLOADED")
    #expect(refused.retryAfterNanoseconds == 3_000_000)
    #expect(refused.message == "the call would wait too long behind others; try again")
    // A millisecond at least: who asks again at once is refused again.
    let close = admission.refusal(
      queued: 6_000_000, own: 4_000_001, deadline: deadline(12_500_000), at: start)
    #expect(close?.retryAfterNanoseconds == 1_000_000)
    // Who waits for nobody may fill all of the time.
    #expect(
      admission.refusal(queued: 0, own: 12_500_000, deadline: deadline(12_500_000), at: start) == nil)
    // What is being computed counts, as far as it should last.
    admission.began(0, expectedNanoseconds: 7_000_000, goesOn: false, at: start)
    #expect(admission.wait(behind: 0, at: start) == 7_000_000)
    #expect(admission.refusal(queued: 0, own: 4_000_000, deadline: deadline(10_000_000), at: start) != nil)
    let later = start.advanced(by: 2_000_000)
    #expect(admission.wait(behind: 1, at: later) == 5_000_001)
    #expect(admission.wait(behind: 0, at: start.advanced(by: Self.second)) == 0)
    admission.ended(0, at: start.advanced(by: 7_000_000))
    #expect(admission.wait(behind: 0, at: start) == 0)
  }

  @Test func threadsShareTheWork() {
    var admission = Admission(threads: 4, mostNanoseconds: Self.second)
    #expect(admission.wait(behind: 4000, at: start) == 1000)
    admission.began(2, expectedNanoseconds: 4000, goesOn: false, at: start)
    admission.began(3, expectedNanoseconds: 8000, goesOn: false, at: start)
    #expect(admission.wait(behind: 4000, at: start) == 4000)
  }

  /// A thread that shares its processor computes twice as much as it should for each batch.
  @Test func whatComesBetweenBatchesCounts() {
    var admission = Admission(threads: 1, mostNanoseconds: Self.second)
    var now = start
    for batch in 0..<2000 {
      admission.began(0, expectedNanoseconds: 300_000, goesOn: batch > 0, at: now)
      now = now.advanced(by: 600_000)
      admission.ended(0, at: now)
    }
    #expect(abs(admission.pace - 2) < 0.01)
    #expect(abs(Int(admission.wait(behind: 1_000_000, at: now)) - 2_000_000) < 20_000)
    // Of many short ones, a few that are interrupted count for as long as they are.
    for batch in 0..<50_000 {
      admission.began(0, expectedNanoseconds: 20_000, goesOn: true, at: now)
      now = now.advanced(by: batch % 100 == 0 ? 2_020_000 : 20_000)
      admission.ended(0, at: now)
    }
    #expect(abs(admission.pace - 2) < 0.1, "\(admission.pace)")
    // A break is no work.
    for _ in 0..<2000 {
      now = now.advanced(by: 1_000_000)
      admission.began(0, expectedNanoseconds: 300_000, goesOn: false, at: now)
      now = now.advanced(by: 300_000)
      admission.ended(0, at: now)
    }
    #expect(abs(admission.pace - 1) < 0.01)
    // A machine that stood still for a second.
    admission.began(0, expectedNanoseconds: 20_000, goesOn: true, at: now)
    admission.ended(0, at: now.advanced(by: Self.second))
    #expect(admission.pace < 1.25)
  }

  @Test func callsWithoutADeadlineWaitForSoLongAndNoLonger() throws {
    let admission = Admission(threads: 1, mostNanoseconds: Self.second)
    #expect(admission.refusal(queued: Self.second, own: .max / 2, deadline: .never, at: start) == nil)
    let refused = try #require(
      admission.refusal(queued: 3 * Self.second, own: 1, deadline: .never, at: start))
    #expect(refused.reason == "OVERLOADED" && refused.retryAfterNanoseconds == 2 * Self.second)
  }

  @Test func predictionsFillLessOfTheTimeAfterLateAnswers() {
    var admission = Admission(threads: 1, mostNanoseconds: Self.second)
    #expect(admission.share == 1)
    admission.answered(areLate: true, at: start)
    #expect(admission.share == 0.9)
    // Those that were let in together are late together: once in a while is enough.
    admission.answered(areLate: true, at: start.advanced(by: 9_999_999))
    #expect(admission.share == 0.9)
    // Nine tenths of four fifths, unless it waits for nobody.
    #expect(admission.refusal(queued: 700, own: 30, deadline: deadline(1000), at: start) != nil)
    #expect(admission.refusal(queued: 700, own: 20, deadline: deadline(1000), at: start) == nil)
    #expect(admission.refusal(queued: 0, own: 1000, deadline: deadline(1000), at: start) == nil)
    for step in 1...30 {
      admission.answered(areLate: true, at: start.advanced(by: 10_000_000 * UInt64(step)))
    }
    #expect(admission.share == 0.25)
    let recovery = (1...749).map { _ in
      admission.answered(areLate: false, at: start)
      return admission.share
    }
    #expect(recovery == recovery.sorted() && admission.share > 0.99 && admission.share < 1)
    for _ in 0..<5 { admission.answered(areLate: false, at: start) }
    #expect(admission.share == 1)
  }

  /// Those that were let in have a 32nd of their time for the way of their answers, which waits meanwhile.
  @Test func pausesAfterRefusalsAreNoLongerThanAnswersMayWait() {
    var pause = OverloadPause()
    #expect(!pause.isDue)
    pause.refused(.never, at: start)
    #expect(pause.isDue && pause.take() == 1_000_000 && !pause.isDue)
    pause.refused(deadline(3_200_000), at: start)
    pause.refused(deadline(Self.second), at: start)
    #expect(pause.take() == 100_000)
    pause.refused(start, at: start)
    #expect(pause.isDue && pause.take() == 1000)
    pause.refused(deadline(Self.second), at: start)
    #expect(pause.take() == 1_000_000)
  }

  @Test func loadIsAShare() {
    var admission = Admission(threads: 2, mostNanoseconds: Self.second)
    #expect(admission.load(queued: 0, at: start) == 0)
    #expect(admission.load(queued: Self.second, at: start) == 0.5)
    #expect(admission.load(queued: 200 * Self.second, at: start) == 1)
    admission.began(0, expectedNanoseconds: Self.second / 2, goesOn: false, at: start)
    #expect(admission.load(queued: 0, at: start) == 0.25)
    let none = Admission(threads: 1, mostNanoseconds: 0)
    #expect(none.load(queued: 0, at: start) == 0 && none.load(queued: 9, at: start) == 1)
  }

  // MARK: Cost

  private func cost(_ single: Double, _ inBlock: Double) -> ModelCost {
    ModelCost(RowCost(single: single, inBlock: inBlock))
  }

  @Test func costsAreAsPlanned() {
    let batching = cost(1000, 100)
    #expect(batching.gainsFromBatches && !cost(100, 100).gainsFromBatches && !cost(100, 96).gainsFromBatches)
    #expect(batching.nanoseconds(rows: 1) == 1000 && batching.nanoseconds(rows: 11) == 2000)
    #expect(batching.nanoseconds(waiting: 0, mostRows: 4) == 0)
    #expect(batching.nanoseconds(waiting: 4, mostRows: 4) == batching.nanoseconds(rows: 4))
    #expect(batching.nanoseconds(waiting: 8, mostRows: 4) == 2 * batching.nanoseconds(rows: 4))
    // A row by itself costs no more than each of many.
    #expect(cost(100, 120).nanoseconds(rows: 10) == 1000)
  }

  @Test func correctionFollowsWhatBatchesTake() {
    for ratio in [0.25, 0.5, 3, 20] {
      let cost = cost(100_000, 50_000)
      for _ in 0..<400 { cost.measured(rows: 10, nanoseconds: UInt64(550_000 * ratio)) }
      let now = Double(cost.nanoseconds(rows: 10))
      #expect(abs(now / (550_000 * ratio) - 1) < 0.1, "\(ratio): \(now)")
      for _ in 0..<400 { cost.measured(rows: 1, nanoseconds: 100_000) }
      #expect(abs(Double(cost.nanoseconds(rows: 1)) / 100_000 - 1) < 0.1)
    }
  }

  @Test func oneOutlierMovesItByAFifthAtMost() {
    for outlier in [0, 1, 1_000_000_000, UInt64.max] {
      let cost = cost(100_000, 50_000)
      for _ in 0..<100 { cost.measured(rows: 4, nanoseconds: 250_000) }
      let before = Double(cost.nanoseconds(rows: 4))
      cost.measured(rows: 4, nanoseconds: outlier)
      let after = Double(cost.nanoseconds(rows: 4))
      #expect(abs(after / before - 1) <= 0.2, "\(outlier): \(before) to \(after)")
    }
  }

  /// Nothing is measured where all calls are refused for what was measured once.
  @Test func whatWasMeasuredIsDoubtedWhereItRefusesAll() {
    let cost = cost(100_000, 100_000)
    for _ in 0..<50 { cost.measured(rows: 1, nanoseconds: 1_000_000) }
    #expect(cost.nanoseconds(rows: 1) > 900_000)
    var refused = 0
    while cost.nanoseconds(rows: 1) > 150_000, refused < 1000 {
      cost.doubted()
      refused += 1
    }
    #expect(refused > 50 && refused < 300)
    for _ in 0..<2000 { cost.doubted() }
    #expect(cost.nanoseconds(rows: 1) == 100_000)
    // Calls that are quicker than planned are not thought slower for it.
    for _ in 0..<50 { cost.measured(rows: 1, nanoseconds: 50_000) }
    let quick = cost.nanoseconds(rows: 1)
    cost.doubted()
    #expect(cost.nanoseconds(rows: 1) == quick)
  }

  @Test func rowsAreAtLeastOneAndFillTheTime() {
    let cost = cost(1000, 100)
    #expect(cost.rows(in: 0) == 1 && cost.rows(in: 999) == 1)
    for nanoseconds in [1000, 5000, 200_000] as [UInt64] {
      let rows = cost.rows(in: nanoseconds)
      #expect(cost.nanoseconds(rows: rows) <= nanoseconds && cost.nanoseconds(rows: rows + 1) > nanoseconds)
    }
    #expect(cost.rows(in: .max) >= 1)
    #expect(self.cost(0, 0).rows(in: 1000) >= 1)
  }

  @Test func hugeNumbersDoNotOverflow() {
    for cost in [cost(1e12, 1e12), cost(1e300, 1e300), cost(1e9, 1), cost(0, 0)] {
      for _ in 0..<2000 { cost.measured(rows: 1, nanoseconds: .max) }
      let one = cost.nanoseconds(rows: 1)
      let most = cost.nanoseconds(rows: .max)
      let waiting = cost.nanoseconds(waiting: .max / 2, mostRows: 1)
      #expect(most >= one && waiting >= one && cost.rows(in: .max) >= 1)
      for _ in 0..<2000 { cost.measured(rows: .max, nanoseconds: 0) }
      #expect(cost.nanoseconds(rows: 1) <= one && cost.rows(in: 1) >= 1)
    }
  }
}
