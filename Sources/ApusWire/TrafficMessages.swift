import CApusProto

/// When a canary is over: its share goes back to the version that `latest` means.
package struct TrafficBounds: Equatable, Sendable {
  /// Share of calls, in 1/10,000, that may fail above the other version's; 0: no bound.
  package var maximumErrors: UInt32 = 0
  /// Of the 99th percentile to the other version's; 0: no bound.
  package var maximumLatencyRatio = 0.0
  /// Over which both are looked at; 0: a minute.
  package var windowNanoseconds: UInt64 = 0
  /// Of the canary in the window before it is judged; 0: 100.
  package var minimumCalls: UInt32 = 0

  package init() {}
}

/// Sends a share of a model's calls without version and alias to one version, or mirrors them to it.
package struct SetTrafficRequest: Equatable, Sendable {
  /// The weight of all calls.
  package static let wholeWeight: UInt32 = 10_000

  /// A share in per cent as it is sent; nil where it is not from 0 to 100, or would become 0.
  package static func share(percent: Double) -> UInt32? {
    guard percent >= 0, percent <= 100 else { return nil }
    let share = UInt32((percent * 100).rounded())
    return share == 0 && percent > 0 ? nil : share
  }

  package var model: String
  package var version: UInt64
  /// In 1/10,000; 0 ends it.
  package var weight: UInt32
  /// Mirror and compare instead: answers come from the others alone.
  package var shadow: Bool
  /// Nil: the weight stays until it is changed.
  package var bounds: TrafficBounds?

  package init(
    model: String, version: UInt64, weight: UInt32, shadow: Bool = false, bounds: TrafficBounds? = nil
  ) {
    self.model = model
    self.version = version
    self.weight = weight
    self.shadow = shadow
    self.bounds = bounds
  }

  /// - Returns: bytes written, 0 when the message does not fit into `output` or the arena.
  package func encode(into output: UnsafeMutableRawBufferPointer, arena: borrowing MetadataArena) -> Int {
    arena.reset()
    var message = Apus__V1__SetTrafficRequest()
    apus__v1__set_traffic_request__init(&message)
    message.model = arena.string(model)
    message.version = version
    message.weight = weight
    message.shadow = shadow ? 1 : 0
    if let bounds { message.bounds = bounds.message(arena) }
    return pack(
      &message, into: output, arena, size: apus__v1__set_traffic_request__get_packed_size,
      pack: apus__v1__set_traffic_request__pack)
  }

  /// - Throws: `Status`, INVALID_ARGUMENT, for bytes that are no such message, texts that are no UTF-8,
  ///   shares over the whole, and a ratio that is negative or no number.
  package init(decoding metadata: UnsafeRawBufferPointer, arena: borrowing MetadataArena) throws(Status) {
    let message: UnsafeMutablePointer<Apus__V1__SetTrafficRequest> = try unpack(
      metadata, arena, apus__v1__set_traffic_request__unpack)
    try checkStrings(metadata, .field(1))
    model = text(message.pointee.model)
    version = message.pointee.version
    weight = message.pointee.weight
    shadow = message.pointee.shadow != 0
    bounds = message.pointee.bounds.map { TrafficBounds($0.pointee) }
    guard weight <= Self.wholeWeight, (bounds?.maximumErrors ?? 0) <= Self.wholeWeight else {
      throw Status(.invalidArgument, "TRAFFIC_INVALID", "shares are from 0 to 10000, in ten-thousandths")
    }
    let ratio = bounds?.maximumLatencyRatio ?? 0
    guard ratio.isFinite, ratio >= 0 else {
      throw Status(
        .invalidArgument, "TRAFFIC_INVALID",
        "the largest ratio of latencies is 0, for none, or a number above it")
    }
  }
}

extension TrafficBounds {
  fileprivate func message(
    _ arena: borrowing MetadataArena
  ) -> UnsafeMutablePointer<Apus__V1__TrafficBounds>? {
    let message: UnsafeMutablePointer<Apus__V1__TrafficBounds>? = arena.make {
      apus__v1__traffic_bounds__init($0)
    }
    message?.pointee.max_errors = maximumErrors
    message?.pointee.max_latency_ratio = maximumLatencyRatio
    message?.pointee.window_ns = windowNanoseconds
    message?.pointee.min_calls = minimumCalls
    return message
  }

  fileprivate init(_ message: Apus__V1__TrafficBounds) {
    maximumErrors = message.max_errors
    maximumLatencyRatio = message.max_latency_ratio
    windowNanoseconds = message.window_ns
    minimumCalls = message.min_calls
  }
}

/// How far what is asked and answered has moved from the samples that were published with a version, as
/// population stability indices: below 0.1 nothing has changed, above 0.25 much has.
package struct Drift: Equatable, Sendable {
  /// Of the most probable class.
  package var classes = 0.0
  /// Of each number of an input, in order; the largest alone where they are over 256.
  package var inputs: [Double] = []
  /// Rows that were looked at.
  package var rowsTotal: UInt64 = 0
  /// The largest of all inputs.
  package var largestInput = 0.0
  /// And which it is.
  package var largestInputIndex: UInt32 = 0

  package init() {}

  func message(_ arena: borrowing MetadataArena) -> UnsafeMutablePointer<Apus__V1__Drift>? {
    let message: UnsafeMutablePointer<Apus__V1__Drift>? = arena.make { apus__v1__drift__init($0) }
    message?.pointee.classes = classes
    if !inputs.isEmpty, let numbers = arena.numbers(inputs) {
      message?.pointee.inputs = numbers
      message?.pointee.n_inputs = inputs.count
    }
    message?.pointee.rows_total = rowsTotal
    message?.pointee.largest_input = largestInput
    message?.pointee.largest_input_index = largestInputIndex
    return message
  }

  /// What is no number is read as 0: an index always is one.
  init(_ message: Apus__V1__Drift) {
    func finite(_ number: Double) -> Double { number.isFinite ? number : 0 }
    classes = finite(message.classes)
    inputs = UnsafeBufferPointer(start: message.inputs, count: message.n_inputs).map { finite($0) }
    rowsTotal = message.rows_total
    largestInput = finite(message.largest_input)
    largestInputIndex = message.largest_input_index
  }
}

/// Calls that were answered by another version and computed by this one as well.
package struct Shadow: Equatable, Sendable {
  /// Rows compared.
  package var rowsTotal: UInt64 = 0
  /// Of these, another class was the most probable.
  package var disagreementsTotal: UInt64 = 0
  /// Calls that were not mirrored because too many were waiting.
  package var droppedTotal: UInt64 = 0

  package init() {}

  func message(_ arena: borrowing MetadataArena) -> UnsafeMutablePointer<Apus__V1__Shadow>? {
    let message: UnsafeMutablePointer<Apus__V1__Shadow>? = arena.make { apus__v1__shadow__init($0) }
    message?.pointee.rows_total = rowsTotal
    message?.pointee.disagreements_total = disagreementsTotal
    message?.pointee.dropped_total = droppedTotal
    return message
  }

  init(_ message: Apus__V1__Shadow) {
    rowsTotal = message.rows_total
    disagreementsTotal = message.disagreements_total
    droppedTotal = message.dropped_total
  }
}
