import ApusBase
import CApusProto

/// The form of a Classify answer, known before its numbers: which parts the body holds and where.
package struct AnswerForm: Equatable, Sendable {
  package let rows: Int
  /// Per row, after top-k.
  package let classes: Int
  /// All classes of the model, per row of scores.
  package let allClasses: Int
  package let hasIndices: Bool
  package let hasScores: Bool
  package let version: UInt64

  package init(
    rows: Int, classes: Int, allClasses: Int, hasIndices: Bool, hasScores: Bool, version: UInt64
  ) {
    self.rows = rows
    self.classes = classes
    self.allClasses = allClasses
    self.hasIndices = hasIndices
    self.hasScores = hasScores
    self.version = version
  }

  /// float32 [rows, classes] at the start of the body.
  package var probabilitiesBytes: Int { rows * classes * 4 }
  package var indicesOffset: Int { roundedUpTo64(probabilitiesBytes) }
  package var scoresOffset: Int {
    hasIndices ? indicesOffset + roundedUpTo64(probabilitiesBytes) : indicesOffset
  }
  package var bodyBytes: Int {
    if hasScores { return scoresOffset + rows * allClasses * 4 }
    return hasIndices ? indicesOffset + probabilitiesBytes : probabilitiesBytes
  }
}

/// Packs a `ClassifyResponse` without its `AnswerTail`, which is written behind it when the time is known.
///
/// - Parameters:
///   - labels: C strings that the caller keeps; rows × classes, or none.
///   - deprecated: why callers should leave the version; empty: it is current, and nothing is written.
/// - Returns: bytes written, or nil when they do not fit into `output`.
package func encodeClassifyAnswer(
  _ form: AnswerForm, labels: UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>, digest: [UInt8],
  deprecated: String = "", into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena
) -> Int? {
  arena.reset()
  var response = Apus__V1__ClassifyResponse()
  apus__v1__classify_response__init(&response)
  response.rows = UInt32(form.rows)
  response.classes = UInt32(form.classes)
  response.version = form.version
  response.probabilities = part(
    arena, APUS__V1__DATA_TYPE__DATA_TYPE_FLOAT32, (form.rows, form.classes), 0, form.probabilitiesBytes)
  if form.hasIndices {
    response.indices = part(
      arena, APUS__V1__DATA_TYPE__DATA_TYPE_UINT32, (form.rows, form.classes), form.indicesOffset,
      form.probabilitiesBytes)
  }
  if form.hasScores {
    response.scores = part(
      arena, APUS__V1__DATA_TYPE__DATA_TYPE_FLOAT32, (form.rows, form.allClasses), form.scoresOffset,
      form.rows * form.allClasses * 4)
  }
  if !digest.isEmpty { response.digest = arena.binary(digest) }
  if !deprecated.isEmpty { response.deprecated = arena.string(deprecated) }
  response.labels = labels.baseAddress
  response.n_labels = labels.count
  guard !arena.isExhausted, apus__v1__classify_response__get_packed_size(&response) <= output.count
  else { return nil }
  return apus__v1__classify_response__pack(&response, output.baseAddress?.assumingMemoryBound(to: UInt8.self))
}

/// A matrix of an answer. It takes no memory but the arena's.
private func part(
  _ arena: borrowing MetadataArena, _ dtype: Apus__V1__DataType, _ shape: (rows: Int, columns: Int),
  _ offset: Int, _ byteCount: Int
) -> UnsafeMutablePointer<Apus__V1__Part>? {
  let part: UnsafeMutablePointer<Apus__V1__Part>? = arena.make { apus__v1__part__init($0) }
  part?.pointee.dtype = dtype
  if let place = arena.allocate(2 * MemoryLayout<UInt64>.stride) {
    let numbers = place.bindMemory(to: UInt64.self, capacity: 2)
    numbers[0] = UInt64(shape.rows)
    numbers[1] = UInt64(shape.columns)
    part?.pointee.shape = numbers
    part?.pointee.n_shape = 2
  }
  part?.pointee.offset = UInt64(offset)
  part?.pointee.length = UInt64(byteCount)
  return part
}
