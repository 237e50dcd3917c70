package import ApusBase
import CApusProto

/// Where a version of a model is in its life; the raw values are those of `apus.v1.ModelState`.
package enum ModelState: UInt32, Sendable, CaseIterable {
  case unspecified = 0
  case loading = 1
  case ready = 2
  case failed = 3
  case warming = 4
  case draining = 5
  case unloaded = 6
  case withdrawn = 7

  /// The name that the command line prints.
  package var name: String {
    switch self {
    case .unspecified: "unknown"
    case .loading: "loading"
    case .ready: "ready"
    case .failed: "failed"
    case .warming: "warming"
    case .draining: "draining"
    case .unloaded: "unloaded"
    case .withdrawn: "withdrawn"
    }
  }
}

/// An input or output of a model.
package struct TensorInfo: Equatable, Sendable {
  /// Empty when the model has one.
  package var name: String
  /// Nil when the peer named a type that this code does not know.
  package var dtype: DataType?
  /// -1 is the batch.
  package var shape: [Int64]

  package init(name: String, dtype: DataType?, shape: [Int64]) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
  }
}

/// One version of a model.
package struct ModelInfo: Equatable, Sendable {
  package var name = ""
  package var version: UInt64 = 0
  package var state = ModelState.unspecified
  /// Why it failed, for a person.
  package var reason = ""
  package var format = ""
  /// SHA-256, 32 bytes.
  package var digest: [UInt8] = []
  package var aliases: [String] = []
  package var inputs: [TensorInfo] = []
  package var outputs: [TensorInfo] = []
  package var labels: [String] = []
  package var architecture = ""
  package var parameters: UInt64 = 0
  package var maximumBatchRows: UInt32 = 0
  /// Why callers should leave this version, and for which; empty: it is current.
  package var deprecated = ""
  /// SHA-256 over inputs, outputs and labels, 32 bytes.
  package var signature: [UInt8] = []
  /// Identity, as a policy names it; empty: the folder was placed by hand.
  package var publishedBy = ""
  /// Since 1970; 0: the folder was placed by hand.
  package var publishedNanoseconds: UInt64 = 0
  /// What it was published from, as the publisher said.
  package var source = ""
  /// The trusted key that signed it; empty: none.
  package var signedBy = ""
  /// Share of the model's calls without version that it gets, in 1/10,000.
  package var weight: UInt32 = 0
  /// The model's calls without version are mirrored to it.
  package var isShadow = false
  /// Of its weights, while it is loaded.
  package var memoryBytes: UInt64 = 0

  package init() {}
}

/// One frame of the answer to ListModels.
package struct ListModelsResponse: Equatable, Sendable {
  package var models: [ModelInfo]

  package init(models: [ModelInfo]) { self.models = models }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena. A message without
  ///   models also has 0 bytes.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__ListModelsResponse()
    apus__v1__list_models_response__init(&message)
    message.models = repeated(models, arena, { apus__v1__model_info__init($0) }) { $0.fill($1, $2) }
    message.n_models = models.count
    return pack(
      &message, into: output, arena, size: apus__v1__list_models_response__get_packed_size,
      pack: apus__v1__list_models_response__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__ListModelsResponse> = try unpack(
      metadata, arena, apus__v1__list_models_response__unpack)
    models = values(message.pointee.models, message.pointee.n_models) { ModelInfo($0) }
  }
}

package struct GetModelRequest: Equatable, Sendable {
  package var model: String
  /// 0: what the alias, or the default, points to.
  package var version: UInt64
  /// Not together with a version.
  package var alias: String

  package init(model: String, version: UInt64 = 0, alias: String = "") {
    self.model = model
    self.version = version
    self.alias = alias
  }

  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__GetModelRequest()
    apus__v1__get_model_request__init(&message)
    message.model = arena.string(model)
    message.version = version
    message.alias = arena.string(alias)
    return pack(
      &message, into: output, arena, size: apus__v1__get_model_request__get_packed_size,
      pack: apus__v1__get_model_request__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__GetModelRequest> = try unpack(
      metadata, arena, apus__v1__get_model_request__unpack)
    try checkStrings(metadata, [.field(1), .field(3)])
    model = text(message.pointee.model)
    version = message.pointee.version
    alias = text(message.pointee.alias)
    guard version == 0 || alias.isEmpty else { throw .versionAndAlias }
  }
}

package struct GetModelResponse: Equatable, Sendable {
  package var model: ModelInfo

  package init(model: ModelInfo) { self.model = model }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__GetModelResponse()
    apus__v1__get_model_response__init(&message)
    let info: UnsafeMutablePointer<Apus__V1__ModelInfo>? = arena.make { apus__v1__model_info__init($0) }
    guard let info else { return 0 }
    model.fill(info, arena)
    message.model = info
    return pack(
      &message, into: output, arena, size: apus__v1__get_model_response__get_packed_size,
      pack: apus__v1__get_model_response__pack)
  }

  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__GetModelResponse> = try unpack(
      metadata, arena, apus__v1__get_model_response__unpack)
    model = message.pointee.model.map { ModelInfo($0.pointee) } ?? ModelInfo()
  }
}

extension ModelInfo {
  func fill(
    _ message: UnsafeMutablePointer<Apus__V1__ModelInfo>, _ arena: borrowing MetadataArena
  ) {
    message.pointee.name = arena.string(name)
    message.pointee.version = version
    message.pointee.state = Apus__V1__ModelState(rawValue: state.rawValue)
    message.pointee.reason = arena.string(reason)
    message.pointee.format = arena.string(format)
    message.pointee.digest = arena.binary(digest)
    message.pointee.aliases = repeatedStrings(aliases, arena)
    message.pointee.n_aliases = aliases.count
    message.pointee.inputs = TensorInfo.list(inputs, arena)
    message.pointee.n_inputs = inputs.count
    message.pointee.outputs = TensorInfo.list(outputs, arena)
    message.pointee.n_outputs = outputs.count
    message.pointee.labels = repeatedStrings(labels, arena)
    message.pointee.n_labels = labels.count
    message.pointee.architecture = arena.string(architecture)
    message.pointee.parameters = parameters
    message.pointee.max_batch_rows = maximumBatchRows
    message.pointee.deprecated = arena.string(deprecated)
    message.pointee.signature = arena.binary(signature)
    message.pointee.published_by = arena.string(publishedBy)
    message.pointee.published_ns = publishedNanoseconds
    message.pointee.source = arena.string(source)
    message.pointee.signed_by = arena.string(signedBy)
    message.pointee.weight = weight
    message.pointee.shadow = isShadow ? 1 : 0
    message.pointee.memory_bytes = memoryBytes
  }

  init(_ message: Apus__V1__ModelInfo) {
    name = text(message.name)
    version = message.version
    state = ModelState(rawValue: UInt32(truncatingIfNeeded: message.state.rawValue)) ?? .unspecified
    reason = text(message.reason)
    format = text(message.format)
    digest = array(message.digest)
    aliases = texts(message.aliases, message.n_aliases)
    inputs = values(message.inputs, message.n_inputs) { TensorInfo($0) }
    outputs = values(message.outputs, message.n_outputs) { TensorInfo($0) }
    labels = texts(message.labels, message.n_labels)
    architecture = text(message.architecture)
    parameters = message.parameters
    maximumBatchRows = message.max_batch_rows
    deprecated = text(message.deprecated)
    signature = array(message.signature)
    publishedBy = text(message.published_by)
    publishedNanoseconds = message.published_ns
    source = text(message.source)
    signedBy = text(message.signed_by)
    weight = message.weight
    isShadow = message.shadow != 0
    memoryBytes = message.memory_bytes
  }
}

extension TensorInfo {
  fileprivate static func list(
    _ tensors: [TensorInfo], _ arena: borrowing MetadataArena
  ) -> UnsafeMutablePointer<UnsafeMutablePointer<Apus__V1__TensorInfo>?>? {
    repeated(tensors, arena, { apus__v1__tensor_info__init($0) }) { tensor, message, arena in
      message.pointee.name = arena.string(tensor.name)
      message.pointee.dtype = Apus__V1__DataType(rawValue: tensor.dtype?.rawValue ?? 0)
      message.pointee.shape = arena.numbers(tensor.shape)
      message.pointee.n_shape = tensor.shape.count
    }
  }

  fileprivate init(_ message: Apus__V1__TensorInfo) {
    name = text(message.name)
    dtype = DataType(rawValue: UInt32(truncatingIfNeeded: message.dtype.rawValue))
    shape = Array(UnsafeBufferPointer(start: message.shape, count: message.n_shape))
  }
}
