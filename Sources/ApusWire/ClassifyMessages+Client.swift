package import ApusBase
import CApusProto

/// What a Classify call asks for, without its input.
package struct ClassifyOptions: Equatable, Sendable {
  package var model: String
  /// 0: what the alias, or the default, points to.
  package var version: UInt64 = 0
  /// Not together with a version.
  package var alias = ""
  /// 0: every class, in index order.
  package var topK: UInt32 = 0
  /// 0: no limit.
  package var timeoutNanoseconds: UInt64 = 0
  package var wantScores = false
  package var wantLabels = false
  package var wantDigest = false
  /// W3C `traceparent`; empty: none.
  package var traceParent = ""
  /// Keeps a caller on one side of a canary; empty: by chance.
  package var routeKey = ""
  /// nil: as the policy says, else interactive.
  package var priority: CallPriority?

  package init(model: String) { self.model = model }

  /// Packs the `ClassifyRequest` for one input.
  ///
  /// - Parameters:
  ///   - shape: row-major, the first dimension is the batch.
  ///   - lengths: bytes of each text; empty for numbers.
  ///   - region: where the input lies; 0: in the body.
  ///   - offset: of the input in the region or body, a multiple of 64.
  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena.
  package func encode(
    dtype: DataType, shape: [Int], lengths: [Int] = [], byteCount: Int, region: UInt32 = 0,
    offset: Int = 0, into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena
  ) -> Int {
    arena.reset()
    var message = Apus__V1__ClassifyRequest()
    apus__v1__classify_request__init(&message)
    message.model = arena.string(model)
    message.version = version
    message.alias = arena.string(alias)
    message.top_k = topK
    message.timeout_ns = timeoutNanoseconds
    message.want_scores = wantScores ? 1 : 0
    message.want_labels = wantLabels ? 1 : 0
    message.want_digest = wantDigest ? 1 : 0
    if !traceParent.isEmpty { message.trace_parent = arena.binary(Array(traceParent.utf8)) }
    message.route_key = arena.string(routeKey)
    if let priority { message.priority = priority.message }
    let list: UnsafeMutablePointer<UnsafeMutablePointer<Apus__V1__Part>?>? = arena.pointers(1)
    let part: UnsafeMutablePointer<Apus__V1__Part>? = arena.make { apus__v1__part__init($0) }
    guard let list, let input = part else { return 0 }
    input.pointee.dtype = Apus__V1__DataType(rawValue: dtype.rawValue)
    input.pointee.shape = arena.numbers(shape.map { UInt64($0) })
    input.pointee.n_shape = shape.count
    input.pointee.region = region
    input.pointee.offset = UInt64(offset)
    input.pointee.length = UInt64(byteCount)
    if !lengths.isEmpty {
      input.pointee.lengths = arena.numbers(lengths.map { UInt64($0) })
      input.pointee.n_lengths = lengths.count
    }
    list[0] = input
    message.inputs = list
    message.n_inputs = 1
    return pack(
      &message, into: output, arena, size: apus__v1__classify_request__get_packed_size,
      pack: apus__v1__classify_request__pack)
  }
}

/// A decoded and checked `ClassifyResponse`: every part lies inside the body, on a multiple of 64, and has
/// the bytes that its shape takes.
package struct ClassifyResponse: Equatable, Sendable {
  package let form: ClassifyForm
  package var load: Float
  package var time: TimeAccount

  /// - Throws: `Status`, INTERNAL, when the bytes are no `ClassifyResponse` or name parts that the body
  ///   cannot hold.
  package init(
    decoding metadata: UnsafeRawBufferPointer, bodyBytes: Int, arena: borrowing MetadataArena
  ) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__ClassifyResponse> = try unpack(
      metadata, arena, apus__v1__classify_response__unpack)
    form = try ClassifyForm(message.pointee, bodyBytes: bodyBytes)
    load = message.pointee.load
    time = TimeAccount(message.pointee.time)
  }
}

/// What is the same in all answers of one form. A class: answers share it, and one is not copied for each.
package final class ClassifyForm: Sendable {
  package let rows: Int
  /// Per row, after top-k.
  package let classes: Int
  /// float32 [rows, classes], from the start of the body.
  package let probabilitiesOffset: Int
  /// uint32 [rows, classes]; nil when every class was asked for.
  package let indicesOffset: Int?
  /// float32 [rows, all classes]; nil when they were not asked for.
  package let scoresOffset: Int?
  /// All classes of the model; 0 without scores.
  package let allClasses: Int
  /// rows × classes, or none.
  package let labels: [String]
  package let version: UInt64
  /// SHA-256, 32 bytes, or none.
  package let digest: [UInt8]
  /// Why callers should leave the version that answered; empty: it is current.
  package let deprecated: String

  fileprivate init(_ response: Apus__V1__ClassifyResponse, bodyBytes: Int) throws(Status) {
    rows = Int(response.rows)
    classes = Int(response.classes)
    guard let probabilities = response.probabilities else {
      throw broken("the answer has no probabilities")
    }
    let form = (UInt64(response.rows), UInt64(response.classes))
    probabilitiesOffset = try check(probabilities.pointee, .float32, form, bodyBytes)
    indicesOffset = try response.indices.map { (part) throws(Status) in
      try check(part.pointee, .uint32, form, bodyBytes)
    }
    if let scores = response.scores {
      guard scores.pointee.n_shape == 2, let columns = Int(exactly: scores.pointee.shape[1]) else {
        throw broken("the scores are no matrix")
      }
      scoresOffset = try check(scores.pointee, .float32, (form.0, UInt64(columns)), bodyBytes)
      allClasses = columns
    } else {
      scoresOffset = nil
      allClasses = 0
    }
    guard areDisjoint([response.probabilities, response.indices, response.scores]) else {
      throw broken("its parts are not in order, or lie over each other")
    }
    guard response.n_labels == 0 || response.n_labels == rows * classes else {
      throw broken("\(response.n_labels) labels for \(rows) rows of \(classes) classes")
    }
    labels = texts(response.labels, response.n_labels)
    version = response.version
    digest = array(response.digest)
    deprecated = text(response.deprecated)
  }
}

extension ClassifyForm: Equatable {
  package static func == (left: ClassifyForm, right: ClassifyForm) -> Bool {
    left === right
      || left.rows == right.rows && left.classes == right.classes
        && left.probabilitiesOffset == right.probabilitiesOffset
        && left.indicesOffset == right.indicesOffset && left.scoresOffset == right.scoresOffset
        && left.allClasses == right.allClasses && left.labels == right.labels
        && left.version == right.version && left.digest == right.digest
        && left.deprecated == right.deprecated
  }
}

extension TimeAccount {
  fileprivate init(_ message: UnsafeMutablePointer<Apus__V1__TimeAccount>?) {
    self.init()
    guard let message else { return }
    receive = message.pointee.receive_ns
    queue = message.pointee.queue_ns
    compute = message.pointee.compute_ns
    encode = message.pointee.encode_ns
    total = message.pointee.total_ns
    batchRows = message.pointee.batch_rows
  }
}

func broken(_ what: String) -> Status {
  Status(.internal, "ANSWER_BROKEN", "the server's answer cannot be read: \(what)")
}

/// Whether each part begins at or after the end of the one before; each has been checked to lie inside the
/// body.
private func areDisjoint(_ parts: [UnsafeMutablePointer<Apus__V1__Part>?]) -> Bool {
  var end: UInt64 = 0
  for case let part? in parts {
    guard part.pointee.offset >= end else { return false }
    end = part.pointee.offset + part.pointee.length
  }
  return true
}

/// Checks a part of an answer and gives its offset in the body. The shape's bytes are worked out before
/// anything is read, and with a zero among them the part is empty.
private func check(
  _ part: Apus__V1__Part, _ dtype: DataType, _ shape: (rows: UInt64, columns: UInt64), _ bodyBytes: Int
) throws(Status) -> Int {
  guard part.dtype.rawValue == dtype.rawValue, part.region == 0 else {
    throw broken(
      "a part of type \(part.dtype.rawValue) in region \(part.region), not \(dtype.name) in the body")
  }
  guard part.n_shape == 2, part.shape[0] == shape.rows, part.shape[1] == shape.columns else {
    throw broken("a part's shape is not (\(shape.rows), \(shape.columns))")
  }
  let (elements, overElements) = shape.rows.multipliedReportingOverflow(by: shape.columns)
  let (byteCount, overBytes) = elements.multipliedReportingOverflow(by: UInt64(dtype.byteCount))
  let (end, overEnd) = part.offset.addingReportingOverflow(part.length)
  guard !overElements, !overBytes, !overEnd, byteCount == part.length, end <= UInt64(bodyBytes),
    part.offset % 64 == 0
  else { throw broken("a part of \(part.length) bytes at \(part.offset) in a body of \(bodyBytes) bytes") }
  return Int(part.offset)
}
