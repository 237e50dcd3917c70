import ApusBase
import ApusWire

/// When what became of a call, or of calls that were computed together.
struct CallTimes {
  var firstByte: Instant
  var received: Instant
  var begun: Instant
  var computed: Instant
  /// That were computed together.
  var rows: Int
}

extension TimeAccount {
  /// Where the time went until the answer was written.
  init(_ times: CallTimes, written: Instant) {
    self.init()
    receive = times.received.since(times.firstByte)
    queue = times.begun.since(times.received)
    compute = times.computed.since(times.begun)
    encode = written.since(times.computed)
    total = written.since(times.firstByte)
    batchRows = UInt32(times.rows)
  }
}
