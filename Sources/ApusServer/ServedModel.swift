package import ApusBase
package import ApusEngine
package import ApusFeatures
package import ApusModels
package import ApusWire
import Glibc
import Synchronization

/// A version in memory, ready to compute. It never changes and is shared by the catalogs that it is in.
///
/// Invariant of the unsafe code here: `labelStrings` holds `plan.outputs` C strings that live as long as
/// this.
package final class LoadedModel: @unchecked Sendable {
  let plan: Plan
  /// The labels, or the indices as text.
  let labelStrings: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  let observed = ObservationCounters()
  /// nil for a version without samples, or with too few.
  let drift: DriftCounters?
  let cost: ModelCost
  /// Its quick calls that workers have, as the reactors had no time for them.
  let overflowing = Atomic<Int>(0)

  package init(_ plan: Plan, labels: [String], drift: DriftReference? = nil) {
    self.plan = plan
    cost = ModelCost(plan.nanosecondsPerRow)
    self.drift = drift.map { DriftCounters($0) }
    labelStrings = .allocate(capacity: plan.outputs)
    for index in 0..<plan.outputs {
      labelStrings[index] = strdup(index < labels.count ? labels[index] : String(index))
    }
  }

  deinit {
    for index in 0..<plan.outputs { free(labelStrings[index]) }
    labelStrings.deallocate()
  }
}

/// What is known of a version whatever state it is in.
package struct ModelDescription: Sendable {
  package var format = ""
  /// SHA-256, 32 bytes; empty where the files could not be read.
  package var digest: [UInt8] = []
  package var labels: [String] = []
  /// Without the batch dimension.
  package var inputShape: [Int] = []
  package var inputType = DataType.float32
  package var classes = 0
  /// How a text becomes an input; nil for a model of tensors alone.
  package var features: HashingFeatures?
  package var architecture = ""
  package var parameters = 0
  /// Most rows of a call, and of a batch.
  package var batchMaximum = 0
  /// How its batches come about.
  package var schedule = ModelSchedule()
  /// SHA-256 over inputs, outputs and labels; empty where they are not known.
  package var signature: [UInt8] = []
  /// Identity as a policy names it; empty: the folder was placed by hand.
  package var publishedBy = ""
  /// Since 1970; 0: the folder was placed by hand.
  package var publishedNanoseconds: UInt64 = 0
  /// What it was published from, as the publisher said.
  package var source = ""
  /// Id of the trusted key that signed it; empty: none.
  package var signedBy = ""

  package init() {}
}

/// How a version is reached, and what callers are told of it.
package struct ModelStanding: Sendable, Equatable {
  package var aliases: [String] = []
  /// Why callers should leave this version; empty: it is current.
  package var deprecated = ""
  /// Since when, since 1970; 0: it is current, or nobody knows.
  package var deprecatedNanoseconds: UInt64 = 0
  /// Share of the model's calls without version that it gets, in 1/10,000.
  package var weight: UInt32 = 0
  /// The model's calls without version are mirrored to it.
  package var isShadow = false

  package init() {}
}

/// One version of a model as the reactors see it. It never changes after it was made: a new state is a new
/// one.
package final class ServedModel: Sendable {
  package let name: String
  package let version: UInt64
  package let description: ModelDescription
  package let standing: ModelStanding
  package let state: ModelState
  /// Why it failed; nil when it did not.
  package let failure: String?
  /// nil unless it is ready.
  let loaded: LoadedModel?
  /// `sha256:` and its digits: made once, as every answer of HTTP holds it.
  package let digestText: String
  let nameBytes: [UInt8]

  package init(
    name: String, version: UInt64, _ description: ModelDescription, _ standing: ModelStanding = .init(),
    state: ModelState, failure: String? = nil, loaded: LoadedModel? = nil
  ) {
    self.name = name
    self.version = version
    self.description = description
    self.standing = standing
    self.state = state
    self.failure = failure
    self.loaded = loaded
    digestText = "sha256:" + hexadecimal(description.digest)
    nameBytes = Array(name.utf8)
  }

  package var format: String { description.format }
  package var digest: [UInt8] { description.digest }
  package var labels: [String] { description.labels }
  package var inputShape: [Int] { description.inputShape }
  package var features: HashingFeatures? { description.features }
  package var batchMaximum: Int { description.batchMaximum }
  var plan: Plan? { loaded?.plan }

  /// What a call may hold, for a message.
  var taken: String {
    let shape = (["rows"] + inputShape.map { String($0) }).joined(separator: ", ")
    return (features == nil ? "" : "texts (utf8), or ") + "\(description.inputType.name) of shape (\(shape))"
  }
}
