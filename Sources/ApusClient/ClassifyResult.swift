import ApusBase
import ApusWire

/// The classes of each row of a call. Use one for many calls: it is refilled in place.
public struct ClassifyResult: Equatable, Sendable {
  /// Inputs classified.
  public private(set) var rows = 0
  /// Classes answered per row.
  public private(set) var classes = 0
  /// `rows × classes` probabilities, a row after another.
  public private(set) var probabilities: [Float] = []
  /// `rows × classes` numbers of classes, likeliest first; empty when every class was asked for, in index
  /// order.
  public private(set) var indices: [UInt32] = []
  /// `rows × all classes` raw outputs of the model; empty unless asked for.
  public private(set) var scores: [Float] = []
  /// `rows × classes` names of classes; empty unless asked for, or when the model has none.
  public private(set) var labels: [String] = []
  /// The version that answered.
  public private(set) var version: UInt64 = 0
  /// SHA-256 of the version, 32 bytes; empty unless asked for.
  public private(set) var digest: [UInt8] = []
  /// How busy the server is: 0 idle, 1 saturated.
  public private(set) var load: Float = 0
  /// Why to leave the version that answered, and for which; empty: it is current.
  public private(set) var deprecated = ""
  /// Where the call's time went in the server.
  public private(set) var time = ServerTime()

  public init() {}

  /// The class at `rank` of `row`: its number, its name (the number as text when there is none) and its
  /// probability.
  ///
  /// `row` and `rank` are less than `rows` and `classes`.
  public func prediction(row: Int = 0, rank: Int = 0) -> (index: Int, label: String, probability: Float) {
    let place = row * classes + rank
    let index = indices.isEmpty ? rank : Int(indices[place])
    return (index, labels.isEmpty ? String(index) : labels[place], probabilities[place])
  }

  /// Gives back what the last call left here if that is much: the next answer's numbers would lie beside it.
  mutating func makeSmall() {
    let most = 64 << 10
    if probabilities.count > most { probabilities = [] }
    if indices.count > most { indices = [] }
    if scores.count > most { scores = [] }
  }

  /// Fills this result from an answer whose parts have been checked against `body`.
  ///
  /// - Parameter releasesPages: `body` has a mapping of its own, whose pages go as they are read.
  mutating func fill(_ response: ClassifyResponse, body: UnsafeRawBufferPointer, releasesPages: Bool) {
    let form = response.form
    rows = form.rows
    classes = form.classes
    let body = ReadBody(bytes: body, releasesPages: releasesPages)
    body.copy(from: form.probabilitiesOffset, rows * classes, into: &probabilities, zero: 0)
    body.copy(from: form.indicesOffset, rows * classes, into: &indices, zero: 0)
    body.copy(from: form.scoresOffset, rows * form.allClasses, into: &scores, zero: 0)
    labels = form.labels
    version = form.version
    digest = form.digest
    load = response.load
    deprecated = form.deprecated
    time = ServerTime(response.time)
  }
}

/// An answer's body, out of which numbers are copied. The machine is little-endian, as the body.
private struct ReadBody {
  let bytes: UnsafeRawBufferPointer
  let releasesPages: Bool

  /// Storage of the same size is used again, unless pages go as they are read: then all that is new takes as
  /// much memory as goes.
  func copy<Number: BitwiseCopyable>(
    from offset: Int?, _ count: Int, into numbers: inout [Number], zero: Number
  ) {
    guard let offset else {
      numbers.removeAll(keepingCapacity: true)
      return
    }
    let part = UnsafeRawBufferPointer(
      rebasing: bytes[offset..<offset + count * MemoryLayout<Number>.stride])
    guard !releasesPages else {
      numbers = []
      numbers = [Number](unsafeUninitializedCapacity: count) { space, initialized in
        if let target = space.baseAddress { moveReleasingPages(part, to: target) }
        initialized = count
      }
      return
    }
    if numbers.count != count {
      numbers.removeAll(keepingCapacity: true)
      numbers.append(contentsOf: repeatElement(zero, count: count))
    }
    numbers.withUnsafeMutableBytes { $0.copyMemory(from: part) }
  }
}

/// Where a call's time went in the server, in nanoseconds of its monotonic clock.
public struct ServerTime: Equatable, Sendable {
  /// First byte read to whole frame.
  public var receiveNanoseconds: UInt64 = 0
  /// To the start of its batch.
  public var queueNanoseconds: UInt64 = 0
  /// The batch's arithmetic.
  public var computeNanoseconds: UInt64 = 0
  /// Making the answer.
  public var encodeNanoseconds: UInt64 = 0
  /// First byte read to just before the answer is written.
  public var totalNanoseconds: UInt64 = 0
  /// Rows computed together.
  public var batchRows = 0

  init() {}

  init(_ account: TimeAccount) {
    receiveNanoseconds = account.receive
    queueNanoseconds = account.queue
    computeNanoseconds = account.compute
    encodeNanoseconds = account.encode
    totalNanoseconds = account.total
    batchRows = Int(account.batchRows)
  }
}
