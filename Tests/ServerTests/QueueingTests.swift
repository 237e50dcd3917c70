import ApusBase
import ApusWire
import Foundation
import Testing

@testable import ApusServer

/// Calls that wait behind a slow one, which one worker computes.
@Suite struct QueueingTests {
  /// In a debug build its calls of many rows take long.
  private static let rows = 16_000

  private func server() throws -> MetricsServer {
    try MetricsServer([MetricsServer.model("wide", outputs: 1000)])
  }

  private func inFlight(_ server: MetricsServer) throws -> UInt64 {
    try #require(try server.metrics().number("apus_requests_in_flight"))
  }

  /// Sends a call that takes long and waits until the server has it.
  private func sendSlow(_ server: MetricsServer) throws -> RawConnection {
    let connection = try RawConnection(server.address)
    let before = try inFlight(server)
    let frame = classifyFrame(1, "wide", [Float](repeating: 1, count: Self.rows * 4), rows: Self.rows) {
      $0.topK = 1
    }
    Foundation.Thread.detachNewThread { connection.send(frame) }
    #expect(try waitUntil(seconds: 20) { try inFlight(server) == before + 1 })
    return connection
  }

  private func small(_ id: UInt64, milliseconds: UInt64 = 0) -> [UInt8] {
    classifyFrame(id, "wide", [1, 2, 3, 4]) { $0.timeoutNanoseconds = milliseconds * 1_000_000 }
  }

  @Test func smallCallsAreAnsweredBeforeASlowOne() throws {
    let server = try server()
    let slow = try sendSlow(server)
    let other = try RawConnection(server.address)
    for id in UInt64(1)...20 {
      other.send(small(id))
      #expect(try other.answer()?.status == nil)
    }
    #expect(try inFlight(server) == 1, "the slow one is still computed")
    #expect(try slow.answer(within: 60)?.status == nil)
  }

  @Test func aCallWhoseTimeIsOverWhileItWaitsIsAnsweredThen() throws {
    let server = try server()
    let slow = try sendSlow(server)
    let late = try RawConnection(server.address)
    late.send(
      classifyFrame(7, "wide", [Float](repeating: 1, count: 2000 * 4), rows: 2000) {
        $0.timeoutNanoseconds = 20_000_000
      })
    let status = try #require(try late.answer()?.status)
    #expect([.deadlineExceeded, .resourceExhausted].contains(status.code), "\(status)")
    #expect(try inFlight(server) == 1, "the slow one is still computed")
    #expect(try slow.answer(within: 60)?.status == nil)
  }

  @Test func callsOfAClientThatIsGoneLeaveTheQueue() throws {
    let server = try server()
    let slow = try sendSlow(server)
    let gone = try sendSlow(server)
    gone.close()
    #expect(try waitUntil(seconds: 5) { try inFlight(server) == 1 })
    #expect(try slow.answer(within: 60)?.status == nil)
    #expect(try waitUntil(seconds: 5) { try inFlight(server) == 0 })
  }

  @Test func aCancelledCallLeavesTheQueue() throws {
    let server = try server()
    let slow = try sendSlow(server)
    let other = try sendSlow(server)
    other.send(headerFrame(1) { $0.kind = FrameKind.cancel.rawValue })
    let status = try #require(try other.answer()?.status)
    #expect(status.code == .cancelled)
    #expect(try inFlight(server) == 1, "the slow one is still computed")
    #expect(try slow.answer(within: 60)?.status == nil)
  }
}
