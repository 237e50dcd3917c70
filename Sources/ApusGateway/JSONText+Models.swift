import ApusAccess
import ApusBase
import ApusWire

/// Versions of models as `GET /v1/models` tells them: with the names of `apus models --json`, and what else
/// ListModels says where there is something to say.
extension JSONText {
  init(models: [ModelInfo]) {
    self.init()
    object {
      $0.key("models")
      $0.array { text in for model in models { text.write(model) } }
    }
  }

  private mutating func write(_ model: ModelInfo) {
    object {
      $0.member("name", model.name)
      $0.member("version", integer: model.version)
      $0.member("state", model.state.name)
      $0.member("reason", model.reason)
      $0.member("format", model.format)
      $0.member("digest", Self.hash(model.digest))
      $0.key("aliases")
      $0.array { text in for alias in model.aliases { text.string(alias) } }
      $0.writeForm(model)
      $0.writeStanding(model)
      $0.writePublication(model)
    }
  }

  /// What the version takes and gives.
  private mutating func writeForm(_ model: ModelInfo) {
    memberIfAny("signature", Self.hash(model.signature))
    memberIfAny("architecture", model.architecture)
    memberIfAny("parameters", integer: model.parameters)
    memberIfAny("max_batch_rows", integer: model.maximumBatchRows)
    memberIfAny("memory_bytes", integer: model.memoryBytes)
  }

  /// What was decided about it; its weight in per cent.
  private mutating func writeStanding(_ model: ModelInfo) {
    memberIfAny("deprecated", model.deprecated)
    if model.weight > 0 {
      key("weight")
      number(Float(model.weight) / 100)
    }
    if model.isShadow {
      key("shadow")
      boolean(true)
    }
  }

  private mutating func writePublication(_ model: ModelInfo) {
    memberIfAny("published_by", model.publishedBy)
    if model.publishedNanoseconds > 0 {
      member("published_at", Timestamp.text(Int64(model.publishedNanoseconds / 1_000_000_000)))
    }
    memberIfAny("source", model.source)
    memberIfAny("signed_by", model.signedBy)
  }

  private mutating func memberIfAny(_ name: StaticString, _ text: String) {
    if !text.isEmpty { member(name, text) }
  }

  private mutating func memberIfAny(_ name: StaticString, integer: some BinaryInteger) {
    if integer != 0 { member(name, integer: integer) }
  }

  /// `sha256:` and its digits; empty for none.
  private static func hash(_ bytes: [UInt8]) -> String { bytes.isEmpty ? "" : "sha256:" + hexadecimal(bytes) }
}
