import ApusBase
import ApusEngine
package import ApusIO
import ApusModels
import Glibc
import Synchronization

/// What a version's calls are compared with beside answering them, counted since it was loaded.
final class ObservationCounters: Sendable {
  /// Rows that another version answered and this one computed as well.
  let shadowRows = Atomic<UInt64>(0)
  /// Of these, how often another class was the most probable.
  let disagreements = Atomic<UInt64>(0)
  /// Calls that were not mirrored because too many were waiting.
  let dropped = Atomic<UInt64>(0)
}

/// Looks at calls after they were answered: a thread of low priority computes them by another version too,
/// and counts. Whoever answers calls copies their rows, and nothing else; what is too much is dropped.
package final class Observer: Sendable {
  struct Observation {
    let model: LoadedModel
    /// The version that the call is mirrored to; nil: none.
    let shadow: LoadedModel?
    /// Rows of the model's inputs, one after another.
    let values: [Float]
    let rows: Int
  }

  private struct Inbox {
    var waiting: [Observation] = []
    var bytes = 0
    var isStopped = false
  }

  /// Rows that may wait, in bytes.
  private static let mostBytes = 8 << 20

  private let inbox = Locked(Inbox())
  private let wakeUp: WakeUp

  package init() throws(SystemError) { wakeUp = try WakeUp() }

  /// Copies the rows of a call that was answered, `stride` floats apart.
  func observe(
    _ model: LoadedModel, shadow: LoadedModel?, _ input: UnsafePointer<Float>, stride: Int, rows: Int
  ) {
    let width = model.plan.inputs
    let byteCount = rows * width * 4
    let isFirst: Bool? = inbox.withLock { inbox in
      guard !inbox.isStopped, inbox.bytes + byteCount <= Self.mostBytes else { return nil }
      var values: [Float] = []
      values.reserveCapacity(rows * width)
      for row in 0..<rows {
        values.append(contentsOf: UnsafeBufferPointer(start: input + row * stride, count: width))
      }
      inbox.bytes += byteCount
      inbox.waiting.append(Observation(model: model, shadow: shadow, values: values, rows: rows))
      return inbox.waiting.count == 1
    }
    if isFirst == nil { shadow?.observed.dropped.add(1, ordering: .relaxed) }
    if isFirst == true { wakeUp.signal() }
  }

  /// Serves until `stop`.
  func run() {
    while true {
      let (waiting, isStopped) = inbox.withLock { inbox in
        let taken = (inbox.waiting, inbox.isStopped)
        inbox.waiting = []
        inbox.bytes = 0
        return taken
      }
      if isStopped { return }
      for observation in waiting { look(at: observation) }
      guard waiting.isEmpty else { continue }
      var entry = pollfd(fd: wakeUp.descriptor.number, events: Int16(POLLIN), revents: 0)
      _ = poll(&entry, 1, -1)
      wakeUp.drain()
    }
  }

  func stop() {
    inbox.withLock { inbox in
      inbox.isStopped = true
      inbox.waiting = []
    }
    wakeUp.signal()
  }

  private func look(at observation: Observation) {
    let answered = observation.model.classes(of: observation.values, rows: observation.rows)
    observation.model.drift?.add(observation.values, classes: answered)
    guard let shadow = observation.shadow else { return }
    // Another shape is another answer, for each row.
    let mirrored =
      shadow.plan.inputs == observation.model.plan.inputs
      ? shadow.classes(of: observation.values, rows: observation.rows) : []
    let agreed = zip(answered, mirrored).count { $0 == $1 }
    shadow.observed.shadowRows.add(UInt64(observation.rows), ordering: .relaxed)
    shadow.observed.disagreements.add(UInt64(observation.rows - agreed), ordering: .relaxed)
  }
}

extension LoadedModel {
  /// The most probable class of each row.
  fileprivate func classes(of values: [Float], rows: Int) -> [Int] {
    let answers = plan.probabilities(of: values, rows: rows)
    return (0..<rows).map { row in
      answers[row * plan.outputs..<(row + 1) * plan.outputs].indexOfLargest
    }
  }
}
