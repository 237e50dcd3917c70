package import ApusBase
import CApusProto

/// Which version of a model a request names. The name's bytes are valid until the arena is reset.
package struct ModelSelector {
  package let name: UnsafeRawBufferPointer
  /// 0: what the alias, or the default, points to.
  package let version: UInt64
  package let alias: UnsafeRawBufferPointer
  /// Keeps a caller on one side of a canary; empty: by chance.
  package let routeKey: UnsafeRawBufferPointer

  /// Whether the model's aliases and weights decide which version it is.
  package var isRouted: Bool { version == 0 && alias.isEmpty }

  /// Whether every such call goes to the same version for as long as a catalog holds.
  package var isFixed: Bool { version != 0 || !alias.isEmpty || !routeKey.isEmpty }

  package init(
    name: UnsafeRawBufferPointer, version: UInt64, alias: UnsafeRawBufferPointer,
    routeKey: UnsafeRawBufferPointer
  ) {
    self.name = name
    self.version = version
    self.alias = alias
    self.routeKey = routeKey
  }
}

/// A decoded `ClassifyRequest`, valid until the arena is reset.
package struct ClassifyRequest {
  package let model: ModelSelector
  package let topK: Int
  /// 0: no limit.
  package let timeoutNanoseconds: UInt64
  package let wantScores: Bool
  package let wantLabels: Bool
  package let wantDigest: Bool
  /// `none` where the caller has given none, or one that is malformed.
  package let trace: TraceParent
  /// nil: the caller has not said it.
  package let priority: CallPriority?
  /// The one input.
  package let input: InputPart

  /// `model`, `alias` and `route_key`.
  private static let strings: FieldNumbers = [.field(1), .field(3), .field(11)]

  /// - Parameter regionBytes: how large a region of the connection's is; 0: it is not registered.
  /// - Throws: `Status`, INVALID_ARGUMENT, when the bytes are no `ClassifyRequest` or break the rules for
  ///   parts.
  package init(
    decoding metadata: UnsafeRawBufferPointer, bodyBytes: Int, arena: borrowing MetadataArena,
    regionBytes: (UInt32) -> Int = { _ in 0 }
  ) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__ClassifyRequest> = try unpack(
      metadata, arena, apus__v1__classify_request__unpack)
    try checkStrings(metadata, Self.strings)
    let request = message.pointee
    model = ModelSelector(
      name: bytes(request.model), version: request.version, alias: bytes(request.alias),
      routeKey: bytes(request.route_key))
    guard model.version == 0 || model.alias.isEmpty else { throw .versionAndAlias }
    topK = Int(request.top_k)
    timeoutNanoseconds = request.timeout_ns
    wantScores = request.want_scores != 0
    wantLabels = request.want_labels != 0
    wantDigest = request.want_digest != 0
    let traceParent = request.trace_parent
    trace = TraceParent(UnsafeRawBufferPointer(start: traceParent.data, count: traceParent.len)) ?? .none
    priority = CallPriority(request.priority)
    guard request.n_inputs == 1, let part = request.inputs?.pointee else {
      throw Status(
        .invalidArgument, "INPUT_COUNT", "this model takes one input; the call holds \(request.n_inputs)")
    }
    input = try InputPart(part.pointee, bodyBytes: bodyBytes, regionBytes)
  }
}

extension Status {
  package static func regionUnknown(_ region: UInt32) -> Status {
    Status(.invalidArgument, "REGION_UNKNOWN", "region \(region) is not registered here")
  }

  static var versionAndAlias: Status {
    Status(.invalidArgument, "VERSION_AND_ALIAS", "a call names a version or an alias, not both")
  }
}

/// A checked input: where its numbers lie in the body, or in a region.
package struct InputPart {
  package let dtype: DataType
  /// Row-major; the first dimension is the batch. Valid until the arena is reset.
  package let shape: UnsafeBufferPointer<UInt64>
  /// From the start of the body or region; a multiple of 64.
  package let offset: Int
  /// 0: the body.
  package let region: UInt32
  package let byteCount: Int
  /// Bytes of each text, one behind the other; their sum is `byteCount`. Empty for numbers. Valid until the
  /// arena is reset.
  package let lengths: UnsafeBufferPointer<UInt64>

  init(_ part: Apus__V1__Part, bodyBytes: Int, _ regionBytes: (UInt32) -> Int) throws(Status) {
    guard let dtype = DataType(rawValue: UInt32(part.dtype.rawValue)) else {
      throw Status(.invalidArgument, "DTYPE_UNKNOWN", "data type \(part.dtype.rawValue) is not known")
    }
    region = part.region
    let memoryBytes = region == 0 ? bodyBytes : regionBytes(region)
    guard region == 0 || memoryBytes > 0 else { throw .regionUnknown(region) }
    guard region == 0 || dtype.byteCount > 0 else {
      throw Status(
        .invalidArgument, "DTYPE_MISMATCH", "texts and byte strings lie in the body, not in a region")
    }
    guard part.offset % 64 == 0 else {
      throw Status(.invalidArgument, "PART_OFFSET", "a part begins at \(part.offset), not a multiple of 64")
    }
    let (end, overflow) = part.offset.addingReportingOverflow(part.length)
    guard !overflow, end <= UInt64(memoryBytes) else {
      let memory = region == 0 ? "body" : "region"
      throw Status(
        .invalidArgument, "PART_OUTSIDE_BODY",
        "a part of \(part.length) bytes at \(part.offset) is outside the \(memory) of \(memoryBytes) bytes")
    }
    self.dtype = dtype
    shape = UnsafeBufferPointer(start: part.shape, count: part.n_shape)
    offset = Int(part.offset)
    byteCount = Int(part.length)
    lengths = UnsafeBufferPointer(start: part.lengths, count: part.n_lengths)
    guard dtype.byteCount == 0 || part.n_lengths == 0 else {
      throw Status(.invalidArgument, "LENGTHS_NOT_ALLOWED", "only texts and byte strings have lengths")
    }
    if dtype.byteCount > 0 { try checkLength() } else { try checkLengths() }
  }

  /// Texts have a shape of one dimension and a length each, and fill the part.
  private func checkLengths() throws(Status) {
    guard shape.count == 1, shape[0] == UInt64(lengths.count) else {
      throw Status(
        .invalidArgument, "SHAPE_MISMATCH",
        "texts have the shape (rows) and a length each; the call holds the shape \(describe(shape)) and "
          + "\(lengths.count) lengths")
    }
    var sum: UInt64 = 0
    for length in lengths {
      let (next, overflow) = sum.addingReportingOverflow(length)
      // More than there is, for good.
      guard !overflow, next <= UInt64(byteCount) else {
        sum = .max
        break
      }
      sum = next
    }
    guard sum == UInt64(byteCount) else {
      throw Status(
        .invalidArgument, "PART_LENGTH",
        "the lengths of the texts do not add up to the part's \(byteCount) bytes")
    }
  }

  private func checkLength() throws(Status) {
    var expected = UInt64(dtype.byteCount)
    var overflow = false
    for dimension in shape {
      let (product, over) = expected.multipliedReportingOverflow(by: dimension)
      expected = product
      overflow = overflow || over
    }
    guard !overflow, expected == UInt64(byteCount), !shape.isEmpty else {
      throw Status(
        .invalidArgument, "PART_LENGTH",
        "a part of shape \(describe(shape)) and type \(dtype.name) does not take \(byteCount) bytes")
    }
  }
}

/// A shape for a message, for example `(2, 64)`; long ones are cut.
package func describe(_ shape: UnsafeBufferPointer<UInt64>) -> String {
  let shown = shape.prefix(8).map { String($0) }.joined(separator: ", ")
  return shape.count > 8 ? "(\(shown), …)" : "(\(shown))"
}

/// A C string's bytes without the terminator.
func bytes(_ text: UnsafeMutablePointer<CChar>?) -> UnsafeRawBufferPointer {
  guard let text else { return UnsafeRawBufferPointer(start: nil, count: 0) }
  var count = 0
  while text[count] != 0 { count += 1 }
  return UnsafeRawBufferPointer(start: text, count: count)
}

/// Runs one of protobuf-c's unpack functions on the arena, which is reset first.
func unpack<Message>(
  _ metadata: UnsafeRawBufferPointer, _ arena: borrowing MetadataArena,
  _ function: (UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?)
    -> UnsafeMutablePointer<Message>?
) throws(Status) -> UnsafeMutablePointer<Message> {
  arena.reset()
  let start = metadata.baseAddress?.assumingMemoryBound(to: UInt8.self)
  guard let message = function(arena.allocator, metadata.count, start) else {
    throw Status(.invalidArgument, "METADATA_BROKEN", "the metadata is not the message that the method takes")
  }
  return message
}
