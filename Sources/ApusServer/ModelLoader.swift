import ApusBase
package import ApusEngine
package import ApusModels

/// Makes a version of a folder ready to compute: reads it, lays out its weights, warms it up and holds it
/// against the samples that it ships.
package struct ModelLoader: Sendable {
  package var planning = Planning.measured

  package init() {}

  /// What came of it.
  package struct Outcome: Sendable {
    package var description = ModelDescription()
    package var result: Result<LoadedModel, FailedModel>
    /// What was assumed in loading, a line each for a person.
    package var notes: [String] = []
    /// What it does, in short.
    package var summary = ""
  }

  /// What is under way, for whoever waits.
  package enum Step: String, Sendable {
    case loading, warming, checking = "checking samples"
  }

  /// - Parameter step: told when a step begins.
  package func load(
    _ entry: ModelRepository.Entry, from repository: ModelRepository, step: (Step) -> Void = { _ in }
  ) -> Outcome {
    step(.loading)
    let version = repository.load(entry)
    var outcome = Outcome(result: .failure(FailedModel(reason: "not loaded")))
    outcome.description = ModelDescription(version)
    outcome.notes = version.notes
    switch version.state {
    case .failed(let reason): outcome.result = .failure(FailedModel(reason: reason))
    case .ready(let network):
      outcome.summary = network.summary
      let plan = Plan(network, planning: planning)
      step(.warming)
      Self.warmUp(plan)
      outcome.result = .success(LoadedModel(plan, labels: version.labels))
    }
    return outcome
  }

  /// Computes a row and a full block, so that no page of the weights is touched for the first time by a call.
  private static func warmUp(_ plan: Plan) {
    for rows in [1, plan.blockRows] {
      _ = plan.probabilities(of: [Float](repeating: 0, count: rows * plan.inputs), rows: rows)
    }
  }
}

extension Plan {
  /// The probabilities of rows, one after another; for what is no call.
  func probabilities(of values: [Float], rows: Int) -> [Float] {
    let workspace = AlignedBuffer(byteCount: 4 * workspaceFloats)
    let count = rows * outputs
    return [Float](unsafeUninitializedCapacity: count) { output, initialized in
      guard let output = output.baseAddress else { return }
      values.withUnsafeBufferPointer { input in
        guard let input = input.baseAddress else { return }
        logits(
          input: input, inputStride: inputs, rows: rows, output: output, outputStride: outputs,
          workspace: workspace.floats)
        probabilities(
          logits: output, logitsStride: outputs, rows: rows, output: output, outputStride: outputs)
      }
      initialized = count
    }
  }
}

/// Why a version could not be loaded.
package struct FailedModel: Error, Sendable {
  package let reason: String
  package init(reason: String) { self.reason = reason }
}

extension ModelDescription {
  init(_ version: ModelVersion) {
    format = version.format
    digest = version.digest
    labels = version.labels
    inputShape = version.inputShape
    features = version.features
    batchMaximum = version.batchMaximum
    guard let network = version.network else { return }
    architecture = network.summary
    parameters = network.parameters
    classes = network.outputs
  }
}
