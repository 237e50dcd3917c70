import ApusBase
import ApusWire
import Testing

@Suite struct StatsBucketsTests {
  private func decoded<Value>(
    _ bytes: [UInt8], _ decode: (UnsafeRawBufferPointer, borrowing MetadataArena) throws -> Value
  ) throws -> Value {
    let arena = makeArena()
    return try bytes.withUnsafeBytes { try decode($0, arena) }
  }

  @Test func aRequestSaysWhetherItWantsBuckets() throws {
    for request in [StatsRequest(model: ""), StatsRequest(model: "digits", wantBuckets: true)] {
      let bytes = encoded { request.encode(into: $0, arena: $1) }
      #expect(try decoded(bytes) { try StatsRequest(decoding: $0, arena: $1) } == request)
    }
    #expect(encoded { StatsRequest(model: "").encode(into: $0, arena: $1) }.isEmpty)
    #expect(throws: Status.self) {
      try decoded(Message().text(1, "a\0b").bytes) { try StatsRequest(decoding: $0, arena: $1) }
    }
  }

  /// The longest that one model can take: every bucket of three histograms, counts of 64 bits.
  @Test func aModelWithEveryBucketFitsIntoAPage() throws {
    var buckets = DurationBuckets()
    for index in buckets.counts.indices { buckets.counts[index] = .max }
    var summary = LatencySummary()
    summary.count = .max
    summary.bucketCounts = buckets.pairs
    var model = ModelStats()
    model.model = String(repeating: "m", count: 255)
    (model.total, model.queue, model.compute) = (summary, summary, summary)
    model.codes = StatusCode.allCases.map { CodeCount(code: $0.rawValue, count: .max) }
    model.batches = (0..<17).map { BatchCount(rows: 1 << $0, count: .max) }
    var server = ServerStats()
    server.version = "apus"
    server.codes = model.codes
    let response = StatsResponse(server: server, models: [model])
    let bytes = encoded(room: Limits().metadataBytes) { response.encode(into: $0, arena: $1) }
    #expect(bytes.count > 30_000)
    #expect(try decoded(bytes) { try StatsResponse(decoding: $0, arena: $1) } == response)
  }
}
