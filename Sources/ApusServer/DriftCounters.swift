import ApusBase
import ApusEngine
package import ApusModels
package import ApusWire

/// How often the classes and the bins of a version's reference were seen, since it was loaded.
package final class DriftCounters: Sendable {
  private struct Counts {
    var rows: UInt64 = 0
    var classes: [UInt64]
    var inputs: [[UInt64]]
  }

  /// Inputs of which each is told.
  private static let mostTold = 256

  private let reference: DriftReference
  private let counts: Locked<Counts>

  package init(_ reference: DriftReference) {
    self.reference = reference
    counts = Locked(
      Counts(
        classes: [UInt64](repeating: 0, count: reference.classes.count),
        inputs: reference.inputs.map { [UInt64](repeating: 0, count: $0.shares.count) }))
  }

  /// - Parameters:
  ///   - values: rows of the model's inputs, one after another.
  ///   - classes: the most probable class of each row.
  func add(_ values: [Float], classes: [Int]) {
    let width = classes.isEmpty ? 0 : values.count / classes.count
    counts.withLock { counts in
      for (row, number) in classes.enumerated() {
        counts.rows += 1
        counts.classes[number] += 1
        for (column, bins) in reference.inputs.enumerated() {
          counts.inputs[column][bins.bin(of: values[row * width + column])] += 1
        }
      }
    }
  }

  /// Rows that were looked at.
  var rows: UInt64 { counts.withLock { $0.rows } }

  /// All indices are 0 before the first row.
  package var drift: Drift {
    let seen = counts.withLock { $0 }
    var drift = Drift()
    guard seen.rows > 0 else { return drift }
    drift.rowsTotal = seen.rows
    drift.classes = populationStabilityIndex(
      expected: reference.classes, actual: DriftReference.shares(seen.classes))
    let inputs = zip(reference.inputs, seen.inputs).map { bins, counts in
      populationStabilityIndex(expected: bins.shares, actual: DriftReference.shares(counts))
    }
    for (place, index) in inputs.enumerated() where index > drift.largestInput {
      drift.largestInput = index
      drift.largestInputIndex = UInt32(place)
    }
    if inputs.count <= Self.mostTold { drift.inputs = inputs }
    return drift
  }

  /// Between two rows that one thread hands on, in nanoseconds: enough for shares, and nothing beside a call.
  static let periodNanoseconds: UInt64 = 1_000_000
}

extension Reactor {
  /// Hands on one row of a call that was answered.
  mutating func sampleDrift(_ row: UnsafeRawPointer, _ model: Int, at now: Instant) {
    guard let answering = catalog.models[model].loaded else { return }
    buffers.nextDriftSample = now.advanced(by: DriftCounters.periodNanoseconds)
    fleet.administration?.observer.observe(
      answering, shadow: nil, row, stride: answering.plan.inputs, rows: 1)
  }
}
