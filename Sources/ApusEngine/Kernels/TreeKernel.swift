import CApusKernels
import Glibc

/// Classifiers of decision trees, eight trees at a time.
struct TreeClassifierKernel: StepKernel {
  private let classifier: TreeEnsembleClassifier
  private let walk: TreeWalk

  init?(_ classifier: TreeEnsembleClassifier, _ types: KernelTypes) {
    guard let walk = TreeWalk(classifier.ensemble, targets: classifier.classLabels.count, types) else {
      return nil
    }
    self.classifier = classifier
    self.walk = walk
  }

  func scratchBytes(rows: Int) -> Int { walk.scratchBytes(rows: rows) }

  func run(rows: Int, _ run: borrowing StepRun) {
    let labels = run.memory.address(run.step.outputs[0].location).assumingMemoryBound(to: Int64.self)
    let results = run.memory.address(run.step.outputs[1].location).assumingMemoryBound(to: Float.self)
    walk.run(rows: rows, run, results) { row, scores in labels[row] = classifier.finish(scores) }
  }

  var description: String { "\(classifier.name), \(walk.trees) trees, eight at a time" }
}

/// Sums and means of decision trees, eight trees at a time.
struct TreeRegressorKernel: StepKernel {
  private let regressor: TreeEnsembleRegressor
  private let walk: TreeWalk

  init?(_ regressor: TreeEnsembleRegressor, _ types: KernelTypes) {
    guard regressor.aggregate == .sum || regressor.aggregate == .average,
      let walk = TreeWalk(regressor.ensemble, targets: regressor.targets, types)
    else { return nil }
    self.regressor = regressor
    self.walk = walk
  }

  func scratchBytes(rows: Int) -> Int { walk.scratchBytes(rows: rows) }

  func run(rows: Int, _ run: borrowing StepRun) {
    walk.run(rows: rows, run, run.output) { _, scores in regressor.finish(scores.values) }
  }

  var description: String { "\(regressor.name), \(walk.trees) trees, eight at a time" }
}

/// The walk of all rows through an ensemble, for rows of features in float32.
private struct TreeWalk: Sendable {
  private let groups: TreeGroups
  private let columns: Int
  private let targets: Int
  private let count: Extent

  init?(_ ensemble: TreeEnsemble, targets: Int, _ types: KernelTypes) {
    guard types.isFloat32(0), let shape = types.inputs[0]?.shape, shape.count == 2, !shape[1].isPerRow else {
      return nil
    }
    columns = shape[1].count
    count = shape[0]
    self.targets = targets
    groups = TreeGroups(ensemble, targets: targets)
  }

  var trees: Int { groups.trees }

  func scratchBytes(rows: Int) -> Int {
    let rows = count.resolved(rows: rows)
    return rows * (groups.slots * MemoryLayout<Int32>.stride + targets)
  }

  /// Sums each row's weights in `results`, and gives them to `finish`.
  @inline(__always)
  func run(
    rows: Int, _ run: borrowing StepRun, _ results: UnsafeMutablePointer<Float>,
    _ finish: (Int, TreeScores<Float>) -> Void
  ) {
    guard let input = run.floats(0) else { return }
    let rows = count.resolved(rows: rows)
    let slots = run.scratch.assumingMemoryBound(to: Int32.self)
    let there = (run.scratch + rows * groups.slots * MemoryLayout<Int32>.stride)
      .assumingMemoryBound(to: UInt8.self)
    memset(results, 0, rows * targets * MemoryLayout<Float>.stride)
    for target in 0..<targets { there[target] = groups.fixedPresence?[target] ?? 0 }
    let hangsOnRow = groups.fixedPresence == nil
    if hangsOnRow { memset(there, 0, rows * targets) }
    groups.add(
      rows: rows, input, columns: columns, rowSlots: slots, sums: results, targets: targets,
      there: hangsOnRow ? there : nil)
    for row in 0..<rows {
      finish(
        row,
        TreeScores(
          values: UnsafeMutableBufferPointer(start: results + row * targets, count: targets),
          there: hangsOnRow ? there + row * targets : there))
    }
  }
}
