import ApusBase
import ApusWire

/// The type of the numbers that a call sends.
public enum ElementType: UInt32, Sendable, CaseIterable {
  case float32 = 1
  case float64 = 2
  case float16 = 3
  case bfloat16 = 4
  case int8 = 5
  case uint8 = 6
  case int32 = 7
  case uint32 = 8
  case int64 = 9
  case bool = 10

  var dataType: DataType { DataType(rawValue: rawValue) ?? .float32 }
}

/// What to classify with and what to answer. Make it once and use it for many calls: calls that are alike are
/// sent without building their description again.
public struct ClassifyCall: Equatable, Sendable {
  var options: ClassifyOptions

  /// Row-major, the first dimension is the batch. Empty: all numbers are one row.
  public var shape: [Int] = []
  /// The type of the numbers that are sent.
  public var elementType = ElementType.float32
  /// Bytes of each text, where the input is texts.
  var textLengths: [Int] = []

  /// - Parameters:
  ///   - model: name of the model.
  ///   - top: how many classes to answer per row, the likeliest first; 0: every class, in index order.
  ///   - shape: of the input, the batch first; empty: all numbers are one row.
  ///   - traceParent: W3C `traceparent`, the trace that the call belongs to; empty: none.
  public init(_ model: String, top: Int = 0, shape: [Int] = [], traceParent: String = "") {
    options = ClassifyOptions(model: model)
    options.topK = UInt32(clamping: top)
    options.traceParent = traceParent
    self.shape = shape
  }

  /// Name of the model.
  public var model: String {
    get { options.model }
    set { options.model = newValue }
  }
  /// The version to use; 0: what the alias, or the default, points to.
  public var version: UInt64 {
    get { options.version }
    set { options.version = newValue }
  }
  /// A name for a version, for example `stable`; not together with `version`.
  public var alias: String {
    get { options.alias }
    set { options.alias = newValue }
  }
  /// How many classes to answer per row, the likeliest first; 0: every class, in index order.
  public var top: Int {
    get { Int(options.topK) }
    set { options.topK = UInt32(clamping: newValue) }
  }
  /// How long to wait for the answer, in nanoseconds; 0: without limit.
  public var timeoutNanoseconds: UInt64 {
    get { options.timeoutNanoseconds }
    set { options.timeoutNanoseconds = newValue }
  }
  /// Answer the model's raw outputs as well.
  public var wantScores: Bool {
    get { options.wantScores }
    set { options.wantScores = newValue }
  }
  /// Answer the classes' names as well.
  public var wantLabels: Bool {
    get { options.wantLabels }
    set { options.wantLabels = newValue }
  }
  /// Answer the version's SHA-256 as well.
  public var wantDigest: Bool {
    get { options.wantDigest }
    set { options.wantDigest = newValue }
  }

  /// The trace that the call belongs to, as W3C Trace Context writes it in `traceparent`; empty: none. The
  /// server puts it into its access log, and ignores a malformed one.
  public var traceParent: String {
    get { options.traceParent }
    set { options.traceParent = newValue }
  }

  /// Keeps a caller on one side where a share of the calls goes to a new version: all calls of a key go to
  /// the same one. Empty: each call by chance.
  public var routeKey: String {
    get { options.routeKey }
    set { options.routeKey = newValue }
  }

  /// Whose turn it is where calls wait; nil: as the server's policy says of this caller, else interactive. A
  /// caller whose policy says batch stays that.
  public var priority: CallPriority? {
    get { options.priority.map { CallPriority($0) } }
    set { options.priority = newValue?.wire }
  }

  /// This call with the time that is left of its time-out, rounded up to a sixteenth of it: calls in steady
  /// traffic, which lose little before they are sent, stay alike.
  func withTimeLeft(until deadline: Instant) -> ClassifyCall {
    guard timeoutNanoseconds > 0 else { return self }
    let left = deadline.since(.now)
    let step = timeoutNanoseconds / 16 + 1
    guard left / step < timeoutNanoseconds / step else { return self }
    var call = self
    call.timeoutNanoseconds = (left / step + 1) * step
    return call
  }

  var dataType: DataType { textLengths.isEmpty ? elementType.dataType : .utf8 }

  /// This call with texts for its input.
  func holding(_ texts: [String]) throws(ClientError) -> ClassifyCall {
    guard !texts.isEmpty else { throw .invalidInput("there is no text to classify") }
    return holding(textLengths: texts.map { $0.utf8.count })
  }

  /// This call with texts of so many bytes for its input; with none it is one of numbers.
  package func holding(textLengths: [Int]) -> ClassifyCall {
    var call = self
    call.textLengths = textLengths
    return call
  }

  /// The shape as it is sent for an input of so many bytes.
  func wireShape(byteCount: Int) throws(ClientError) -> [Int] {
    if !textLengths.isEmpty { return [textLengths.count] }
    let elementBytes = elementType.dataType.byteCount
    if shape.isEmpty {
      guard byteCount % elementBytes == 0 else {
        throw .invalidInput("\(byteCount) bytes are no whole number of \(elementType) elements")
      }
      return [1, byteCount / elementBytes]
    }
    var expected = elementBytes
    for dimension in shape {
      let (product, overflow) = expected.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow else {
        throw .invalidInput("the shape \(shape) is too large or negative")
      }
      expected = product
    }
    guard expected == byteCount else {
      throw .invalidInput(
        "a \(elementType) input of shape \(shape) takes \(expected) bytes, not \(byteCount)")
    }
    return shape
  }
}
