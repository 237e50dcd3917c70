import ApusBase
import Testing

@testable import ApusServer

/// What connections that share a queue get of it, and are told of it before.
@Suite struct FlowTests {
  /// A flood waits behind itself: who sends little is let in before it, and the flood is told how long it
  /// will be with others beside it.
  @Test func connectionsAreToldOfTheirShares() throws {
    let model = try QueuedJobs.loaded()
    let own = model.cost.nanoseconds(rows: 1)
    var queue = JobQueue()
    let flood = Flow()
    let others = (0..<3).map { _ in Flow() }
    func wait(_ flow: Flow) -> Double {
      Double(queue.nanoseconds(before: .interactive, of: flow, taking: own)) / Double(own)
    }
    #expect(wait(flood) == 0)
    for _ in 0..<40 { queue.add(QueuedJobs.job(model, mostRows: 1), of: flood) }
    #expect(abs(wait(flood) - 40) < 0.1, "alone, it waits for what it has asked for")
    #expect(abs(wait(others[0]) - 1) < 0.01, "two share the time")
    for other in others { queue.add(QueuedJobs.job(model, mostRows: 1), of: other) }
    #expect(abs(wait(flood) - (4 * 41 - 1)) < 0.1)
    #expect(abs(wait(others[0]) - (4 * 2 - 1)) < 0.01)
    // Behind all others' batch work, and before none of the others' own.
    #expect(
      queue.nanoseconds(before: .batch, of: flood, taking: own) == queue.nanoseconds(before: .interactive))
    // Their calls are taken first, and the flood is alone again.
    for _ in 0..<4 { _ = queue.passing() }
    #expect(abs(wait(flood) - 39) < 0.1)
    while !queue.isEmpty { _ = queue.passing() }
    #expect(wait(flood) == 0)
  }

  /// Nor is it told of more than goes before them.
  @Test func aConnectionsBatchWorkDoesNotDelayItsOtherCalls() throws {
    let model = try QueuedJobs.loaded()
    let own = model.cost.nanoseconds(rows: 1)
    var queue = JobQueue()
    let (both, other) = (Flow(), Flow())
    for _ in 0..<20 { queue.add(QueuedJobs.job(model, .batch, mostRows: 1), of: both) }
    let theirs = (0..<3).map { _ in QueuedJobs.job(model, mostRows: 1) }
    for job in theirs { queue.add(job, of: other) }
    #expect(queue.nanoseconds(before: .interactive, of: both, taking: own) == own)
    let mine = QueuedJobs.job(model, mostRows: 1)
    queue.add(mine, of: both)
    #expect(same(queue.passing(), [theirs[0]]) && same(queue.passing(), [mine]))
  }

  /// What goes away uncomputed is not charged: a connection whose calls' time was over is not behind others.
  @Test func callsThatGoAwayCostTheirConnectionNoTurns() throws {
    let model = try QueuedJobs.loaded()
    var queue = JobQueue()
    let (unlucky, other) = (Flow(), Flow())
    let gone = (0..<10).map { _ in QueuedJobs.job(model, mostRows: 1) }
    for job in gone { queue.add(job, of: unlucky) }
    for job in gone { #expect(queue.remove(job) == true) }
    #expect(unlucky[.interactive].end == 0 && unlucky[.interactive].waiting == 0)
    let mine = QueuedJobs.job(model, mostRows: 1)
    queue.add(mine, of: unlucky)
    let theirs = (0..<2).map { _ in QueuedJobs.job(model, mostRows: 1) }
    for job in theirs { queue.add(job, of: other) }
    #expect(same(queue.passing(), [mine]) == true)
    // Those that stay keep their order.
    let more = (0..<5).map { _ in QueuedJobs.job(model, mostRows: 1) }
    for job in more[..<4] { queue.add(job, of: unlucky) }
    for job in more[..<2] { #expect(queue.remove(job) == true) }
    queue.add(more[4], of: unlucky)
    var order: [Job] = []
    while !queue.isEmpty { order += queue.passing() }
    let places = more[2...].compactMap { job in order.firstIndex { $0 === job } }
    #expect(places == places.sorted() && places.count == 3 && order.count == 5)
  }
}
