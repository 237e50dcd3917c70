import ApusBase
import ApusEngine
import ApusFeatures
import ApusWire

/// A call that waits to be computed, or is, apart from the frame that it came with.
///
/// Its owner fills it in and gives it to a queue; whoever takes it from there computes and hands it back.
///
/// Invariant that makes it safe to share: the owner alone touches it before it is queued and after it was
/// handed back. Meanwhile the queue's fields are touched under the queue's lock, and `outcome` and the
/// answer's body by the thread that took it. The owners of its memory live as long as its question, so that a
/// thread that is late writes to memory that is still there.
final class Job: @unchecked Sendable {
  /// What is computed, from what memory to what memory.
  struct Question {
    let model: LoadedModel
    let rows: Int
    let form: AnswerForm
    /// `rows` rows of the model's inputs one after another, or texts.
    let input: UnsafeRawPointer
    let inputOwner: AnyObject
    /// Where the texts end that `input` holds; nil: it holds numbers.
    let texts: (ends: UnsafePointer<UInt32>, features: HashingFeatures)?
    /// Of the answer, `form.bodyBytes`.
    let body: UnsafeMutableRawPointer
    let bodyOwner: AnyObject
    /// The version that the call is mirrored to.
    let shadow: LoadedModel?
    /// One of its rows may be handed on to count the model's drift.
    let samplesDrift: Bool
    let terms: Terms
  }

  /// How it waits.
  struct Terms {
    let priority: CallPriority
    /// When its answer is of no use any more.
    let deadline: Instant
    /// When the call was whole.
    let received: Instant
    /// Most rows of a batch that it may be in; its own where it must be alone.
    let mostRows: Int
    /// The longest that it waits for others to be computed with.
    let mostDelayNanoseconds: UInt64
    /// Batches of its model that are computed at one time.
    let concurrency: Int
  }

  struct Outcome {
    var begun = Instant(nanoseconds: 0)
    var computed = Instant(nanoseconds: 0)
    var batchRows = 0
    /// Its rows were copied to be a matrix with others.
    var wasGathered = false
    /// The first job of a batch, by which it is counted.
    var opensBatch = false
    /// Why there is no result.
    var failure: Status?
  }

  var question: Question?
  var outcome = Outcome()
  /// Called by the thread that computed it.
  var handBack: (@Sendable (Job) -> Void)?

  // The queue's.
  var tag: UInt64 = 0
  var ticket: UInt64 = 0
  /// What its connection is charged for it, in nanoseconds.
  var work: UInt64 = 0
  var flow: Flow?
  /// In its heap; -1: it does not wait.
  var place = -1

  /// Of the time that a call has, a part is for its answer's way.
  static let wayShare: UInt64 = 32

  /// What its owner knows of the request.
  var request = WaitingRequest()
}

/// Jobs by whose turn it is: a binary heap that knows each one's place, so that one can be taken out.
struct JobHeap {
  private var jobs: ContiguousArray<Job> = []
  /// Of all jobs.
  private(set) var rows = 0

  var first: Job? { jobs.isEmpty ? nil : jobs[0] }
  var isEmpty: Bool { jobs.isEmpty }
  var count: Int { jobs.count }

  /// When the first of all of them came; `never` without any.
  var firstReceived: Instant {
    var first = Instant.never
    for place in 0..<jobs.count {
      if let received = jobs[place].question?.terms.received { first = min(first, received) }
    }
    return first
  }

  mutating func insert(_ job: Job) {
    rows += job.rows
    jobs.append(job)
    rise(from: jobs.count - 1)
  }

  mutating func remove(_ job: Job) {
    let place = job.place
    rows -= job.rows
    job.place = -1
    let last = jobs.removeLast()
    guard last !== job else { return }
    jobs[place] = last
    last.place = place
    rise(from: place)
    sink(from: last.place)
  }

  private mutating func rise(from start: Int) {
    var place = start
    let job = jobs[place]
    while place > 0, job.precedes(jobs[(place - 1) / 2]) {
      put(jobs[(place - 1) / 2], at: place)
      place = (place - 1) / 2
    }
    put(job, at: place)
  }

  private mutating func sink(from start: Int) {
    var place = start
    let job = jobs[place]
    while 2 * place + 1 < jobs.count {
      var child = 2 * place + 1
      if child + 1 < jobs.count, jobs[child + 1].precedes(jobs[child]) { child += 1 }
      guard jobs[child].precedes(job) else { break }
      put(jobs[child], at: place)
      place = child
    }
    put(job, at: place)
  }

  private mutating func put(_ job: Job, at place: Int) {
    jobs[place] = job
    job.place = place
  }
}

extension Job {
  var rows: Int { question?.rows ?? 0 }

  /// Whether it has the earlier turn of two jobs of one priority.
  fileprivate func precedes(_ other: Job) -> Bool {
    tag != other.tag ? tag < other.tag : ticket < other.ticket
  }
}
