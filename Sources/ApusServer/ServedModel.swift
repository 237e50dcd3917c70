import ApusBase
package import ApusEngine
package import ApusFeatures
import ApusWire
import Glibc

/// One version of a model as the reactors see it. It never changes after it was made.
package final class ServedModel: @unchecked Sendable {
  package let name: String
  package let version: UInt64
  package let format: String
  package let digest: [UInt8]
  /// `sha256:` and its digits: made once, as every answer of HTTP holds it.
  package let digestText: String
  package let labels: [String]
  package let aliases: [String]
  package let architecture: String
  package let parameters: Int
  package let batchMaximum: Int
  /// Without the batch dimension.
  package let inputShape: [Int]
  /// How a text becomes an input; nil for a model of tensors alone.
  package let features: HashingFeatures?
  /// Why it failed; nil when it is ready.
  package let failure: String?
  let plan: Plan?
  /// The labels, or the indices as text, as C strings that live as long as the model.
  let labelStrings: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  let nameBytes: [UInt8]

  package init(
    name: String, version: UInt64, format: String, digest: [UInt8], labels: [String], aliases: [String],
    inputShape: [Int], features: HashingFeatures? = nil, batchMaximum: Int,
    state: Result<Network, FailedModel>, planning: Planning = .measured
  ) {
    self.name = name
    self.version = version
    self.format = format
    self.digest = digest
    digestText = "sha256:" + hexadecimal(digest)
    self.labels = labels
    self.aliases = aliases
    self.inputShape = inputShape
    self.features = features
    self.batchMaximum = batchMaximum
    nameBytes = Array(name.utf8)
    switch state {
    case .success(let network):
      architecture = network.summary
      parameters = network.parameters
      let classes = network.outputs
      plan = Plan(network, planning: planning)
      failure = nil
      labelStrings = .allocate(capacity: classes)
      for index in 0..<classes {
        labelStrings[index] = strdup(index < labels.count ? labels[index] : String(index))
      }
    case .failure(let failed):
      architecture = ""
      parameters = 0
      plan = nil
      failure = failed.reason
      labelStrings = .allocate(capacity: 0)
    }
  }

  /// What a call may hold, for a message.
  var taken: String {
    let shape = (["rows"] + inputShape.map { String($0) }).joined(separator: ", ")
    return (features == nil ? "" : "texts (utf8), or ") + "float32 of shape (\(shape))"
  }

  deinit {
    for index in 0..<(plan?.outputs ?? 0) { free(labelStrings[index]) }
    labelStrings.deallocate()
  }
}

/// Why a version could not be loaded.
package struct FailedModel: Error, Sendable {
  package let reason: String
  package init(reason: String) { self.reason = reason }
}

/// All versions of all models, by name. Immutable: a reactor holds one for as long as calls use it.
package final class Catalog: Sendable {
  /// By name, then version.
  package let models: [ServedModel]

  package init(_ models: [ServedModel]) {
    self.models = models.sorted {
      $0.nameBytes == $1.nameBytes
        ? $0.version < $1.version : $0.nameBytes.lexicographicallyPrecedes($1.nameBytes)
    }
  }

  /// The index of the version that a call names: by number, by alias, or the newest that is ready.
  ///
  /// - Throws: NOT_FOUND, or UNAVAILABLE when the version failed to load.
  func find(_ selector: ModelSelector) throws(Status) -> Int {
    let versions = range(ofName: selector.name)
    guard !versions.isEmpty else {
      throw Status(.notFound, "MODEL_NOT_FOUND", "there is no model '\(printable(selector.name))' here")
    }
    var found: Int?
    for index in versions {
      let model = models[index]
      if selector.version != 0 {
        if model.version == selector.version { found = index }
      } else if !selector.alias.isEmpty {
        if model.aliases.contains(where: { matches($0, selector.alias) }) { found = index }
      } else if model.plan != nil {
        found = index
      }
    }
    if found == nil, selector.version == 0, selector.alias.isEmpty { found = versions.upperBound - 1 }
    guard let found else {
      throw Status(
        .notFound, "VERSION_NOT_FOUND",
        "model '\(models[versions.lowerBound].name)' has no such version or alias")
    }
    guard models[found].plan != nil else {
      throw Status(
        .unavailable, "MODEL_FAILED",
        "model '\(models[found].name)' version \(models[found].version) could not be loaded; "
          + "see `apus models`")
    }
    return found
  }

  /// The versions of one name; empty when there is none.
  func range(ofName name: UnsafeRawBufferPointer) -> Range<Int> {
    var low = 0
    var high = models.count
    while low < high {
      let middle = (low + high) / 2
      if compare(models[middle].nameBytes, name) < 0 { low = middle + 1 } else { high = middle }
    }
    var end = low
    while end < models.count, compare(models[end].nameBytes, name) == 0 { end += 1 }
    return low..<end
  }

  private func compare(_ left: [UInt8], _ right: UnsafeRawBufferPointer) -> Int {
    let common = min(left.count, right.count)
    for index in 0..<common where left[index] != right[index] { return left[index] < right[index] ? -1 : 1 }
    return left.count - right.count
  }

  private func matches(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
    text.utf8.elementsEqual(bytes)
  }
}

/// A name from a client for a message: cut, and without what a terminal would act on.
func printable(_ bytes: UnsafeRawBufferPointer) -> String {
  String(decoding: bytes.prefix(64).map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
}
