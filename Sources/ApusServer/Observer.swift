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
    /// Rows of the model's inputs, one after another, as floats.
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

  /// Copies the rows of a call that was answered, `stride` elements of the model's type apart.
  func observe(
    _ model: LoadedModel, shadow: LoadedModel?, _ input: UnsafeRawPointer, stride: Int, rows: Int
  ) {
    take(model, shadow, rows) { Self.floats(input, model.plan, stride, rows) }
  }

  /// Takes the rows of a call that was answered.
  func observe(
    _ model: LoadedModel, shadow: LoadedModel?, values: @autoclosure () -> [Float], rows: Int
  ) {
    take(model, shadow, rows, values)
  }

  private func take(
    _ model: LoadedModel, _ shadow: LoadedModel?, _ rows: Int, _ values: () -> [Float]
  ) {
    let byteCount = rows * model.plan.inputs * 4
    let isFirst: Bool? = inbox.withLock { inbox in
      guard !inbox.isStopped, inbox.bytes + byteCount <= Self.mostBytes else { return nil }
      inbox.bytes += byteCount
      inbox.waiting.append(Observation(model: model, shadow: shadow, values: values(), rows: rows))
      return inbox.waiting.count == 1
    }
    if isFirst == nil { shadow?.observed.dropped.add(1, ordering: .relaxed) }
    if isFirst == true { wakeUp.signal() }
  }

  /// Rows as floats, one after another.
  ///
  /// Invariant: `input` covers `rows` rows of the plan's inputs, `stride` elements apart.
  private static func floats(_ input: UnsafeRawPointer, _ plan: Plan, _ stride: Int, _ rows: Int) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(rows * plan.inputs)
    for row in 0..<rows {
      let start = input + row * stride * plan.inputElement.byteCount
      if plan.inputElement == .float32 {
        let floats = start.assumingMemoryBound(to: Float.self)
        values.append(contentsOf: UnsafeBufferPointer(start: floats, count: plan.inputs))
      } else {
        for place in 0..<plan.inputs { values.append(plan.inputElement.float(at: place, of: start)) }
      }
    }
    return values
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
  /// The most probable class of each row; empty for rows that the model does not allow.
  fileprivate func classes(of values: [Float], rows: Int) -> [Int] {
    guard let answers = try? plan.probabilities(of: values, rows: rows) else { return [] }
    return (0..<rows).map { row in
      answers[row * plan.outputs..<(row + 1) * plan.outputs].indexOfLargest
    }
  }
}
