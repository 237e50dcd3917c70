/// The reasons that an answer's status may have (`Status.reason`), so that they can be counted without memory
/// for a call, and so that no peer decides how many there are. A test holds the list to the code.
enum RefusalReason {
  static let all = [
    "ACCESS_DENIED", "ANSWER_TOO_LARGE", "BATCH_TOO_LARGE", "BODY_LIMIT", "BODY_TOO_LARGE", "CANCELLED",
    "CONTENT_ENCODING", "CONTENT_NOT_ALLOWED", "CREDENTIALS_REQUIRED", "DEADLINE_EXCEEDED",
    "DEFAULT_MODEL_MISSING", "DTYPE_MISMATCH", "DTYPE_UNKNOWN", "FLAGS_UNKNOWN", "FRAME_TIMEOUT",
    "HEADER_LENGTH", "INPUTS_MISSING", "INPUT_COUNT", "INPUT_UNKNOWN", "IN_FLIGHT_LIMIT", "JSON_BROKEN",
    "KIND_UNKNOWN", "LABELS_TOO_MANY", "LENGTHS_NOT_ALLOWED", "MEMORY_EXHAUSTED", "METADATA_BROKEN",
    "METADATA_TOO_LARGE", "METHOD_UNKNOWN", "MODEL_FAILED", "MODEL_NOT_FOUND", "NOT_APUS", "NOT_PROCESSED",
    "OUTPUT_UNKNOWN", "PADDING_NOT_ZERO", "PART_LENGTH", "PART_OFFSET", "PART_OUTSIDE_BODY", "RATE_LIMIT",
    "REGION_UNKNOWN", "REQUEST_ID_REUSED", "REQUEST_ID_ZERO", "SHAPE_MISMATCH", "TENSOR_MISMATCH",
    "TEXT_BROKEN", "TEXT_NOT_UTF8", "TOKEN_EXPIRED", "TOKEN_INVALID", "TOO_MANY_WATCHES",
    "VERSION_AND_ALIAS", "VERSION_NOT_FOUND", "VERSION_UNSUPPORTED",
    // Whatever is none of them.
    "OTHER",
  ]

  private static let indices = Dictionary(uniqueKeysWithValues: zip(all, all.indices))

  static func index(of reason: String) -> Int { indices[reason] ?? all.count - 1 }
}
