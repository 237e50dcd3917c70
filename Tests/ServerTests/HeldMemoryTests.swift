import ApusBase
import ApusClient
import ApusServer
import ApusWire
import Foundation
import Testing

/// What large calls and answers hold together, and each connection of it, is bounded and given back.
@Suite struct HeldMemoryTests {
  private static let frameBytes = FrameLayout(metadataBytes: 0, bodyBytes: 4 << 20).frameBytes

  /// - Parameters:
  ///   - frames: of 4 MiB, that the server has room for.
  ///   - ofConnection: for each connection; nil: all.
  private func server(frames: Int, ofConnection: Int? = nil) throws -> MetricsServer {
    try MetricsServer([MetricsServer.model("wide", outputs: 1000)]) { configuration, _ in
      configuration.threads = 2
      configuration.limits.slabBytes = frames * Self.frameBytes
      configuration.limits.connectionSlabBytes = ofConnection ?? configuration.limits.slabBytes
    }
  }

  /// The header of a frame of 4 MiB, of which no more comes.
  private func begin(_ server: MetricsServer) throws -> RawConnection {
    let connection = try RawConnection(server.address)
    connection.send(headerFrame(1) { $0.bodyBytes = 4 << 20 })
    return connection
  }

  private func largeFrames(_ server: MetricsServer) throws -> UInt64 {
    try #require(try server.metrics().number("apus_memory_bytes", ["pool": "large_frames"]))
  }

  private func holds(_ server: MetricsServer, _ byteCount: Int) -> Bool {
    waitUntil(seconds: 10) { server.server.memory.heldBytes == byteCount }
  }

  /// 1000 rows: a request of 16 kB and an answer of 4 MB.
  private func largeAnswer(_ id: UInt64) -> [UInt8] {
    classifyFrame(id, "wide", [Float](repeating: 1, count: 4000), rows: 1000)
  }

  @Test func allConnectionsTogetherHoldNoMoreThanTheServerMay() throws {
    let server = try server(frames: 3)
    var held = try (0..<3).map { _ in try begin(server) }
    #expect(holds(server, 3 * Self.frameBytes))
    #expect(try largeFrames(server) == UInt64(3 * Self.frameBytes))
    for _ in 0..<4 {
      let refused = try begin(server)
      let status = try #require(try refused.answer()?.status)
      #expect(status.code == .resourceExhausted && status.reason == "MEMORY_EXHAUSTED")
      #expect(status.retryAfterNanoseconds > 0)
    }
    // Those that are small need none of it.
    let small = try RawConnection(server.address)
    small.send(classifyFrame(1, "wide", [1, 2, 3, 4]))
    #expect(try small.answer()?.status == nil)
    held.removeLast().close()
    #expect(holds(server, 2 * Self.frameBytes))
    held.append(try begin(server))
    #expect(holds(server, 3 * Self.frameBytes))
    for connection in held { connection.close() }
    #expect(holds(server, 0))
    #expect(try largeFrames(server) == 0)
  }

  @Test func aConnectionThatReadsNothingHoldsItsAnswersAlone() throws {
    let server = try server(frames: 16)
    let silent = try RawConnection(server.address)
    for id in 1...4 as ClosedRange<UInt64> { silent.send(largeAnswer(id)) }
    #expect(waitUntil(seconds: 10) { server.server.memory.heldBytes > 0 })
    usleep(100_000)
    let held = server.server.memory.heldBytes
    #expect(held > 4_000_000 && held < 4 * (4_000_000 + 8192))
    var waiting: Set<UInt64> = [1, 2, 3, 4]
    while !waiting.isEmpty {
      let answer = try #require(try silent.answer())
      try #require(waiting.remove(answer.id) != nil && answer.status == nil)
      #expect(answer.body.count == 4_000_000)
    }
    #expect(holds(server, 0))
  }

  /// An answer for which there is no room is refused before it is computed, and the connection goes on.
  @Test func answersOverAConnectionsShareAreRefused() throws {
    let server = try server(frames: 16, ofConnection: 2 << 20)
    let connection = try RawConnection(server.address)
    connection.send(largeAnswer(1) + classifyFrame(2, "wide", [1, 2, 3, 4]))
    let refused = try #require(try connection.answer())
    #expect(refused.id == 1 && refused.status?.reason == "MEMORY_EXHAUSTED")
    #expect(refused.status?.retryAfterNanoseconds ?? 0 > 0)
    let next = try #require(try connection.answer())
    #expect(next.id == 2 && next.status == nil)
    #expect(holds(server, 0))
    let stats = try SynchronousClient(server.address).stats("wide", timeoutNanoseconds: 60_000_000_000)
    #expect(stats.models.first?.rowsTotal == 1, "the call that was refused has 1000")
  }

  /// An answer that is not taken counts while further large calls come over the same connection.
  @Test func aConnectionsCallAndItsAnswerShareWhatItMayHold() throws {
    let server = try server(frames: 16, ofConnection: Self.frameBytes + (1 << 20))
    let connection = try RawConnection(server.address)
    // 262,144 rows are more than a call may have, 65,536 make an answer of 262 MB: both are too much.
    let body = [Float](repeating: 1, count: 1 << 20)
    connection.send(classifyFrame(1, "wide", body, rows: 1 << 18))
    #expect(try connection.answer()?.status?.reason == "BATCH_TOO_LARGE")
    #expect(holds(server, 0))
    connection.send(largeAnswer(2))
    let answer = try #require(try connection.answer())
    #expect(answer.status == nil && answer.body.count == 4_000_000)
    #expect(holds(server, 0))
  }

  /// Clients that come, send some of a large call and die, many at once and again and again.
  @Test func clientsThatDieAmidTheirBodiesLeaveNothing() throws {
    let server = try server(frames: 8)
    let body = [Float](repeating: 1, count: 40_000)
    let frame = classifyFrame(7, "wide", body, rows: 10_000) { $0.topK = 1 }
    let address = server.address
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      for step in 0..<40 {
        guard let connection = try? RawConnection(address) else { continue }
        if step % 3 == 0 {
          connection.send(headerFrame(1) { $0.bodyBytes = 4 << 20 }, milliseconds: 100)
        } else {
          connection.send(Array(frame.prefix((step * 7919 + thread) % frame.count)), milliseconds: 100)
        }
        if step % 2 == 0 { usleep(2000) }
        connection.close()
      }
    }
    #expect(holds(server, 0))
    #expect(try largeFrames(server) == 0)
    let connection = try RawConnection(server.address)
    connection.send(frame)
    #expect(try connection.answer(within: 60)?.status == nil)
    #expect(holds(server, 0))
  }
}
