package import ApusBase
package import ApusWire

/// A text of at most so many UTF-8 bytes, without memory of its own; what is over is cut off.
package struct BoundedText<let capacity: Int>: Sendable {
  private var storage = InlineArray<capacity, UInt8>(repeating: 0)

  package init() {}

  package init(_ text: String) {
    var place = 0
    for byte in text.utf8 {
      guard place < capacity else { return }
      storage[place] = byte
      place += 1
    }
  }

  package var isEmpty: Bool { storage[0] == 0 }

  /// Without a character of which only a part is there.
  package var text: String {
    var bytes: [UInt8] = []
    for place in 0..<capacity where storage[place] != 0 { bytes.append(storage[place]) }
    while !bytes.isEmpty, String(validating: bytes, as: UTF8.self) == nil { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// By what a call came.
package enum AccessTransport: UInt8, Sendable {
  case unix, tcp, tls, http, https, lane

  package var name: StaticString {
    switch self {
    case .unix: "unix"
    case .tcp: "tcp"
    case .tls: "tls"
    case .http: "http"
    case .https: "https"
    case .lane: "lane"
    }
  }
}

/// One call, answered or refused, as the access log tells it: never what was in it. Of fixed size, so that a
/// ring of them takes no memory per call.
package struct AccessRecord: Sendable {
  /// When the answer was made, on the monotonic clock.
  package var end = Instant(nanoseconds: 0)
  /// Serial number of the connection.
  package var connection: UInt64 = 0
  package var requestID: UInt64 = 0
  /// 0: not known.
  package var version: UInt64 = 0
  /// From the first byte to the end, and the parts of it.
  package var receiveNanoseconds: UInt64 = 0
  package var queueNanoseconds: UInt64 = 0
  package var computeNanoseconds: UInt64 = 0
  package var encodeNanoseconds: UInt64 = 0
  package var totalNanoseconds: UInt64 = 0
  /// Of the request, with header and padding.
  package var requestBytes: UInt64 = 0
  /// The trace id and the span that called; 0: no trace.
  package var traceHigh: UInt64 = 0
  package var traceLow: UInt64 = 0
  package var parentSpan: UInt64 = 0
  /// By `ModelNames`; -1: no model, or one that is not there.
  package var model: Int32 = -1
  package var rows: UInt32 = 0
  /// Rows that were computed together.
  package var batchRows: UInt32 = 0
  package var method = Method.classify.rawValue
  package var code = UInt8(StatusCode.ok.rawValue)
  package var transport = AccessTransport.unix
  /// Why it was refused; empty where it was not.
  package var reason = BoundedText<24>()
  /// Empty where nobody asks who calls.
  package var identity = BoundedText<48>()

  package init() {}

  package mutating func setTrace(_ trace: TraceParent) {
    (traceHigh, traceLow, parentSpan) = (trace.traceHigh, trace.traceLow, trace.parent)
  }

  /// Where the time of an answered call went, and the rows that were computed together.
  package mutating func setTimes(_ time: TimeAccount) {
    receiveNanoseconds = time.receive
    queueNanoseconds = time.queue
    computeNanoseconds = time.compute
    encodeNanoseconds = time.encode
    totalNanoseconds = time.total
    batchRows = time.batchRows
  }

  var hasTrace: Bool { traceHigh | traceLow != 0 }
}
