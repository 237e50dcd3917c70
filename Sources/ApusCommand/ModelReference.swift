import ApusBase
import ApusClient
import ApusWire
import ArgumentParser

/// Which model, and which version of it: `NAME`, `NAME@VERSION` or `NAME:ALIAS`.
struct ModelReference: Equatable {
  var name: String
  /// 0: what the alias, or the default, points to.
  var version: UInt64 = 0
  /// Empty: none.
  var alias = ""

  init(_ text: String) throws(ValidationError) {
    let end = text.firstIndex { $0 == "@" || $0 == ":" } ?? text.endIndex
    name = String(text[..<end])
    guard !name.isEmpty else {
      throw ValidationError("'\(text)' names no model; write NAME, NAME@VERSION or NAME:ALIAS")
    }
    guard end < text.endIndex else { return }
    let rest = text[text.index(after: end)...]
    if text[end] == "@" {
      guard let version = UInt64(rest), version > 0 else {
        throw ValidationError("'\(rest)' is no version; write a positive number, for example \(name)@1")
      }
      self.version = version
    } else {
      guard !rest.isEmpty, !rest.contains(where: { $0 == "@" || $0 == ":" }) else {
        throw ValidationError("'\(rest)' is no alias; write for example \(name):stable")
      }
      alias = String(rest)
    }
  }

  /// A call to this model.
  func call(top: Int = 0, shape: [Int] = []) -> ClassifyCall {
    var call = ClassifyCall(name, top: top, shape: shape)
    call.version = version
    call.alias = alias
    return call
  }

  /// The question for this model's shapes.
  var request: GetModelRequest { GetModelRequest(model: name, version: version, alias: alias) }

  /// The shape to send for an array of `arrayShape`, rows first: an array of as many dimensions as one input
  /// is a batch of one. A shape that does not fit the model stays as it is: the server says what is wrong.
  func batchShape(of arrayShape: [Int], _ model: ModelInfo) -> [Int] {
    // A model of texts also takes the vectors that it would make of them.
    let inputRank = model.inputs.first.map { $0.dtype == .utf8 ? 1 : max($0.shape.count - 1, 0) } ?? 1
    return arrayShape.count == inputRank ? [1] + arrayShape : arrayShape
  }
}
