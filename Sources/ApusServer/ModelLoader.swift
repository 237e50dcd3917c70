import ApusBase
import ApusDigest
package import ApusEngine
import ApusFeatures
package import ApusModels

/// Makes a version of a folder ready to compute: reads it, lays out its weights, warms it up and holds it
/// against the samples that it ships.
package struct ModelLoader: Sendable {
  package var planning = Planning.measured
  /// Of what was measured before; nil: every plan measures for itself.
  package var plans: PlanCache?
  /// Whose signatures count.
  package var trusted = TrustedKeys()
  /// Whether a version that none of them signed is refused.
  package var requiresSignatures = false

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
    case loading, warming
    case checking = "checking samples"
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
    outcome.description.signedBy = signer(of: version) ?? ""
    switch version.state {
    case .failed(let reason): outcome.result = .failure(FailedModel(reason: reason))
    case .ready where requiresSignatures && outcome.description.signedBy.isEmpty:
      outcome.result = .failure(
        FailedModel(reason: "no trusted key has signed it; see `apus model sign`"))
    case .ready(let classifier):
      outcome.summary = classifier.summary
      do throws(ModelError) {
        let plan = try plan(classifier)
        step(.warming)
        Self.warmUp(plan)
        var reference: DriftReference?
        if let samples = version.samples {
          step(.checking)
          reference = try Self.check(samples, plan, version.features)
        }
        outcome.result = .success(LoadedModel(plan, labels: version.labels, drift: reference))
      } catch { outcome.result = .failure(FailedModel(reason: error.description)) }
    }
    return outcome
  }

  private func plan(_ classifier: Classifier) throws(ModelError) -> Plan {
    do {
      let plan = try Plan(classifier, planning: planning, known: plans?.costs ?? MeasuredCosts())
      plans?.keep(plan.costs)
      return plan
    } catch { throw ModelError(error.description) }
  }

  private func signer(of version: ModelVersion) -> String? {
    guard !trusted.isEmpty, let signatures = version.signatures else { return nil }
    do throws(ModelError) {
      let statement = try SignedStatement.bytes(model: version.name, files: version.files)
      return trusted.signer(of: statement, signatures: signatures)
    } catch { return nil }
  }

  /// Holds what the plan computes against what the samples expect.
  ///
  /// - Returns: what calls are compared with; nil where the samples are too few.
  private static func check(
    _ samples: Samples, _ plan: Plan, _ features: HashingFeatures?
  ) throws(ModelError) -> DriftReference? {
    var probabilities: [Float] = []
    var scores: [Float] = []
    let most = max(1, min(plan.blockRows, Self.mostFloats / plan.inputs))
    for first in stride(from: 0, to: samples.rows, by: most) {
      let rows = first..<min(first + most, samples.rows)
      let values = Self.values(samples.questions, rows, features)
      do throws(NumbersError) {
        probabilities += try plan.answers(to: values, rows: rows.count, .probabilities)
        scores += try plan.answers(to: values, rows: rows.count, .scores)
      } catch { throw ModelError("the samples cannot be computed: \(error.description)") }
    }
    try samples.check(probabilities: probabilities, scores: scores, classes: plan.outputs)
    let predicted = (0..<samples.rows).map { row in
      probabilities[row * plan.outputs..<(row + 1) * plan.outputs].indexOfLargest
    }
    return DriftReference(samples, predicted: predicted, classes: plan.outputs)
  }

  /// Numbers of samples that are made at one time, as texts may become many.
  private static let mostFloats = 1 << 20

  /// Invariant of the unsafe code: `values` holds `dimensions` numbers a row.
  private static func values(
    _ questions: Samples.Questions, _ rows: Range<Int>, _ features: HashingFeatures?
  ) -> [Float] {
    switch questions {
    case .inputs(let values, let width):
      return Array(values[rows.lowerBound * width..<rows.upperBound * width])
    case .texts(let texts):
      guard let features else { return [] }
      let scratch = FeatureScratch()
      var values = [Float](repeating: 0, count: rows.count * features.dimensions)
      values.withUnsafeMutableBufferPointer { values in
        guard let start = values.baseAddress else { return }
        for (place, text) in texts[rows].enumerated() {
          Array(text.utf8).withUnsafeBytes {
            _ = features.vector(of: $0, into: start + place * features.dimensions, scratch: scratch)
          }
        }
      }
      return values
    }
  }

  /// Computes a row and a full block, so that no page of the weights is touched for the first time by a call.
  private static func warmUp(_ plan: Plan) {
    for rows in [1, plan.blockRows] {
      // A model that does not allow zeros is warmed up as far as it goes.
      _ = try? plan.probabilities(of: [Float](repeating: 0, count: rows * plan.inputs), rows: rows)
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
    inputType = version.inputType
    features = version.features
    batchMaximum = version.batchMaximum
    schedule = version.schedule
    take(version.published)
    guard let classifier = version.classifier else { return }
    architecture = classifier.summary
    parameters = classifier.parameters
    classes = classifier.outputs
    signature = sha256(of: interface)
  }

  mutating func take(_ published: VersionManifest.Publication?) {
    publishedBy = published?.by ?? ""
    publishedNanoseconds = published?.nanoseconds ?? 0
    source = published?.source ?? ""
  }

  /// What callers rely on, as text: two versions with the same one can stand for each other.
  private var interface: String {
    let input = features == nil ? "\(inputType.name) \(inputShape)" : "utf8"
    return "input \(input)\noutput float32 [\(classes)]\n" + labels.map { "label \($0)\n" }.joined()
  }
}
