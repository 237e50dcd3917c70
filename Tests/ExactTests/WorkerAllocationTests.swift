import ApusClient
import ApusIO
import ApusWire
import Foundation
import Testing

/// Calls that workers compute take no memory either: jobs, their inputs and their answers lie in memory that
/// was there before.
@Suite(.serialized, .enabled(if: !isSanitized)) struct WorkerAllocationTests {
  private static let mostRounds = 12

  /// The calls of several connections, of which some are computed together.
  @Test(arguments: [1, 2]) func serverTakesNoMemoryForCallsOfWorkers(workers: Int) throws {
    let interposer = try Interposer()
    // A row of it reads 32 MiB of weights.
    let models = try oneLayerRepository("wide", inputs: 1024, outputs: 8192)
    defer { try? FileManager.default.removeItem(atPath: models) }
    let environment = interposer.environment.merging(["APUS_LIMITS_QUEUE_MS": "60000"]) { $1 }
    let server = try ServedRepository(
      ["--threads", "1", "--workers", "\(workers)"], models: models, environment: environment)
    let observer = try SynchronousClient(server.address)
    let call = ClassifyCall("wide", top: 1)
    let input = [Float](repeating: 0.5, count: 1024)
    var connections: [OpenConnection] = []
    for _ in 0..<8 { connections.append(try OpenConnection(server.address)) }
    let rounds = 10
    var grown: [String: UInt64] = [:]
    for _ in 0..<Self.mostRounds {
      let before = interposer.taken
      for _ in 0..<rounds {
        for connection in connections { try connection.send(call, input, calls: 4) }
        for connection in connections { try connection.take(4) }
      }
      grown = growth(interposer.taken, since: before)
      if grown.isEmpty { break }
    }
    #expect(interposer.taken["malloc", default: 0] > 0, "nothing is counted")
    #expect(grown == [:])
    // Each was moved out of the receive ring, to wait for a worker.
    let stats = try #require(try observer.stats("wide", timeoutNanoseconds: 20_000_000_000).server)
    #expect(stats.tensorCopiesTotal >= UInt64(8 * 4 * rounds))
    let names = try server.threads.map {
      try String(contentsOfFile: "/proc/\(server.processID)/task/\($0)/comm", encoding: .utf8)
    }
    #expect(names.count { $0.hasPrefix("apus-worker") } == workers)
  }

  /// A connection, which an array cannot hold by itself.
  private final class OpenConnection {
    private var connection: ClientConnection

    init(_ address: String) throws { connection = try ClientConnection.open(Address(address)) }

    func send(_ call: ClassifyCall, _ input: [Float], calls: Int) throws {
      for _ in 0..<calls { _ = try connection.submit(call, input) }
      _ = connection.sendSome()
    }

    func take(_ calls: Int) throws { try connection.takeAnswers(calls) }
  }
}
