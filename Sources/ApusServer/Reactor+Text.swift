import ApusBase
import ApusEngine
import ApusFeatures
import ApusWire

/// Where one reactor makes rows of texts; taken at the start and empty where no model takes texts.
///
/// Invariant of the unsafe code here: `ends` holds `capacity` places, of which the first are, for the call at
/// hand, where its texts end; `rows` holds `blockRows` rows of any model that takes texts.
struct TextRows: ~Copyable {
  let capacity: Int
  let ends: UnsafeMutablePointer<UInt32>
  private let rows: AlignedBuffer
  let scratch = FeatureScratch()

  /// 1 Mi numbers, 4 MiB, or one row of the widest model.
  private static let mostFloats = HashingFeatures.dimensionsAllowed.upperBound

  /// - Parameter floats: of the largest block of rows; 0: no model takes texts.
  init(floats: Int, _ limits: Limits) {
    capacity = floats == 0 ? 0 : limits.batchRows
    ends = .allocate(capacity: capacity)
    rows = AlignedBuffer(byteCount: 4 * floats)
  }

  deinit { ends.deallocate() }

  var floats: UnsafeMutablePointer<Float> { rows.floats }

  /// Texts that are made to rows and computed at one time.
  static func blockRows(_ plan: Plan) -> Int { max(1, min(plan.blockRows, mostFloats / plan.inputs)) }
}

/// Texts become rows of numbers in a buffer of the reactor, block by block, and go the way of all rows from
/// there. What they say is nowhere kept or logged.
extension Reactor {
  /// Notes where a call's texts end, and checks that they are texts. The rows have been counted against the
  /// limit.
  func takeTexts(_ input: InputPart, _ body: UnsafeRawPointer) throws(Status) {
    var start = 0
    for (index, length) in input.lengths.enumerated() {
      let end = start + Int(length)
      let text = UnsafeRawBufferPointer(start: body + input.offset + start, count: end - start)
      guard isUTF8(text) else {
        throw Status(.invalidArgument, "TEXT_NOT_UTF8", "text \(index + 1) of the call is not UTF-8")
      }
      buffers.texts.ends[index] = UInt32(end)
      start = end
    }
  }

  /// Computes a call of texts, which begin at `input`.
  func computeTexts(
    _ input: UnsafeRawPointer, _ call: PreparedCall, _ plan: Plan, _ bodies: UnsafeMutableRawPointer
  ) throws(Status) {
    guard let features = catalog.models[call.modelIndex].features else { return }
    try buffers.withRows(of: input, ends: buffers.texts.ends, count: call.rows, plan, features) {
      (rows, count, first) throws(Status) in
      try computeRows(rows, plan.inputs, count, from: first, call, plan, bodies)
    }
  }
}
