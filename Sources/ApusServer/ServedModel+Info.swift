import ApusBase
import ApusEngine
import ApusLog
package import ApusWire

extension ServedModel {
  /// As ListModels tells it.
  package var info: ModelInfo {
    var info = ModelInfo()
    info.name = name
    info.version = version
    info.state = state
    info.reason = String((failure ?? "").prefix(500))
    info.format = format
    info.digest = digest
    info.aliases = standing.aliases
    info.architecture = String(description.architecture.prefix(500))
    info.parameters = UInt64(description.parameters)
    info.maximumBatchRows = UInt32(clamping: batchMaximum)
    info.deprecated = standing.deprecated
    info.signature = description.signature
    info.publishedBy = description.publishedBy
    info.publishedNanoseconds = description.publishedNanoseconds
    info.source = description.source
    info.signedBy = description.signedBy
    info.weight = standing.weight
    info.isShadow = standing.isShadow
    info.memoryBytes = UInt64(plan?.weightsBytes ?? 0)
    return info
  }

  var inputs: [TensorInfo] {
    features == nil
      ? [TensorInfo(name: "", dtype: description.inputType, shape: [-1] + inputShape.map { Int64($0) })]
      : [TensorInfo(name: "", dtype: .utf8, shape: [-1])]
  }

  var outputs: [TensorInfo] {
    [TensorInfo(name: "", dtype: .float32, shape: [-1, Int64(description.classes)])]
  }
}

extension Catalog {
  /// The version that GetModel names, whatever its state; where it names none, what calls go to.
  ///
  /// - Throws: NOT_FOUND.
  func describe(_ request: GetModelRequest) throws(Status) -> ServedModel {
    var name = request.model
    var alias = request.alias
    guard let route = name.withUTF8({ route(of: UnsafeRawBufferPointer($0)) }) else {
      throw Status(
        .notFound, "MODEL_NOT_FOUND", "there is no model '\(LogOutput.singleLine(request.model))' here")
    }
    let found: Int?
    if request.version != 0 {
      found = route.versions.first { models[$0].version == request.version }
    } else if alias.isEmpty {
      found = route.latest ?? route.versions.last
    } else {
      found = alias.withUTF8 { route.aliased(UnsafeRawBufferPointer($0)) }
    }
    guard let found else { throw noSuchVersion(route) }
    return models[found]
  }
}
