import ApusBase
import ApusEngine
import ApusWire
import Foundation

@testable import ApusServer

/// Jobs as a reactor makes them. Unless a test gives them memory, nobody may read it: they are for queues
/// alone.
enum QueuedJobs {
  static func loaded() throws -> LoadedModel {
    let layer = try Network.Layer(
      name: "0", inputs: 4, outputs: 3, weights: [Float](repeating: 0, count: 12),
      bias: [Float](repeating: 0, count: 3), activation: .none)
    let classifier = try Classifier(Network(layers: [layer], output: .softmax))
    return try LoadedModel(Plan(classifier, planning: .fixed(.sgemm)), labels: [])
  }

  final class Owner {}
  nonisolated(unsafe) private static let memory = UnsafeMutableRawPointer.allocate(
    byteCount: 64, alignment: 64)

  static func job(
    _ model: LoadedModel, rows: Int = 1, _ priority: CallPriority = .interactive, mostRows: Int = 8,
    received: UInt64 = 0, delay: UInt64 = 0, concurrency: Int = .max, deadline: Instant = .never,
    input: UnsafeRawPointer? = nil, body: UnsafeMutableRawPointer? = nil, owner: AnyObject = Owner()
  ) -> Job {
    let job = Job()
    job.question = Job.Question(
      model: model, rows: rows,
      form: AnswerForm(
        rows: rows, classes: 3, allClasses: 3, hasIndices: false, hasScores: false, version: 1),
      input: input ?? UnsafeRawPointer(memory), inputOwner: owner, texts: nil, body: body ?? memory,
      bodyOwner: owner,
      shadow: nil, samplesDrift: false,
      terms: Job.Terms(
        priority: priority, deadline: deadline, received: Instant(nanoseconds: received), mostRows: mostRows,
        mostDelayNanoseconds: delay, concurrency: concurrency))
    return job
  }
}

/// Whether these are the same jobs in the same order.
func same(_ jobs: [Job], _ expected: [Job]) -> Bool {
  jobs.count == expected.count && zip(jobs, expected).allSatisfy { $0 === $1 }
}

extension JobQueue {
  /// Adds a call of a connection whose earlier work ends there, in virtual time.
  ///
  /// - Returns: where it ends with this.
  mutating func add(_ job: Job, before: UInt64) -> UInt64 {
    let flow = Flow()
    let priority = job.question?.terms.priority ?? .interactive
    flow[priority].end = before
    add(job, of: flow)
    return flow[priority].end
  }

  /// The next batch; empty when none is ready.
  mutating func next(at nanoseconds: UInt64 = 0, all: Bool = false) -> [Job] {
    var jobs = ContiguousArray<Job>()
    return take(&jobs, at: Instant(nanoseconds: nanoseconds), all: all) == .batch ? Array(jobs) : []
  }

  /// The next batch, which ends at once.
  mutating func passing(at nanoseconds: UInt64 = 0, all: Bool = false) -> [Job] {
    let jobs = next(at: nanoseconds, all: all)
    if let model = jobs.first?.question?.model { ended(model) }
    return jobs
  }

  /// When something is ready, where nothing is.
  mutating func time(at nanoseconds: UInt64) -> Instant? {
    var jobs = ContiguousArray<Job>()
    guard case .nothing(let time) = take(&jobs, at: Instant(nanoseconds: nanoseconds)) else { return nil }
    return time
  }
}
