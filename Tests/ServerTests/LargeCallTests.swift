import ApusClient
import ApusWire
import Foundation
import Testing

/// Calls larger than the receive ring, and answers larger than the buffer in which answers are made.
@Suite struct LargeCallTests {
  static let golden = GoldenAnswerTests.models[1]

  private func server() throws -> (ServerProcess, ModelFolder) {
    let folder = try ModelFolder().copy("torch/digits_mlp/digits_mlp.pth", to: "digits/1/model.pth")
    return (try ServerProcess(models: folder.path, overTCP: true), folder)
  }

  /// The digits over and over.
  private func rows(_ count: Int) throws -> [Float] {
    let digits = try Self.golden.rows()
    var rows: [Float] = []
    while rows.count < count * Self.golden.inputs { rows += digits }
    rows.removeLast(rows.count - count * Self.golden.inputs)
    return rows
  }

  /// Held against the double reference, digits over and over.
  private func worst(_ probabilities: [Float], _ expected: [Double]) -> Double {
    var worst = probabilities.isEmpty ? Double.infinity : 0
    for first in stride(from: 0, to: probabilities.count, by: expected.count) {
      let end = min(probabilities.count, first + expected.count)
      worst = max(worst, worstError(Array(probabilities[first..<end]), expected[..<(end - first)]))
    }
    return worst
  }

  @Test func batchesOfSeveralMegabytesAreRight() throws {
    let (server, folder) = try server()
    defer { withExtendedLifetime(folder) {} }
    let expected = try Self.golden.probabilities()
    for address in [server.unix, server.tcp] {
      let client = try SynchronousClient(address)
      var result = ClassifyResult()
      // 128 KiB is half the ring; 1 MiB; 8 MiB, whose answer of 1.3 MB is over the answers' buffer.
      for count in [511, 512, 513, 1, 4096, 32_768, 32_767, 2] {
        try client.classify(
          try rows(count), ClassifyCall("digits", shape: [count, Self.golden.inputs]), into: &result)
        #expect(result.rows == count && result.probabilities.count == count * 10)
        #expect(
          worst(result.probabilities, expected) < GoldenAnswerTests.tolerance, "\(count) rows over \(address)"
        )
      }
    }
  }

  @Test func answersLargerThanTheirBufferAreRightInEveryPart() throws {
    let (server, folder) = try server()
    defer { withExtendedLifetime(folder) {} }
    let client = try SynchronousClient(server.unix)
    let count = 8192
    var whole = ClassifyResult()
    var top = ClassifyResult()
    var call = ClassifyCall("digits", shape: [count, Self.golden.inputs])
    try client.classify(try rows(count), call, into: &whole)
    call.top = 3
    call.wantScores = true
    try client.classify(try rows(count), call, into: &top)
    #expect(top.rows == count && top.classes == 3 && top.scores.count == count * 10)
    let scores = try Fixture.numbers("torch/digits_mlp/logits.f64.bin", as: Double.self)
    for row in 0..<count {
      let all = Array(whole.probabilities[row * 10..<row * 10 + 10])
      let best = (0..<3).map { top.prediction(row: row, rank: $0) }
      try #require(best.map(\.probability) == all.sorted(by: >).prefix(3).map { $0 }, "row \(row)")
      try #require(best.allSatisfy { all[$0.index] == $0.probability }, "row \(row)")
      let digit = row % 128
      let error = worstError(
        Array(top.scores[row * 10..<row * 10 + 10]), scores[digit * 10..<digit * 10 + 10])
      try #require(error < 1e-5, "row \(row)")
    }
  }

  @Test func largeAndSmallCallsOfOneConnectionAllGetTheirOwnAnswer() throws {
    let (server, folder) = try server()
    defer { withExtendedLifetime(folder) {} }
    let expected = try Self.golden.probabilities()
    for address in [server.unix, server.tcp] {
      let connection = try RawConnection(address)
      let counts = [1, 16_384, 1, 1, 4096, 2, 700, 1, 16_384, 16_384, 300, 300, 1]
      let bytes = try counts.enumerated().flatMap {
        classifyFrame(UInt64($0.offset + 1), "digits", try rows($0.element), rows: $0.element)
      }
      Foundation.Thread.detachNewThread { connection.send(bytes) }
      var waiting = Set(1...UInt64(counts.count))
      while !waiting.isEmpty {
        let answer = try #require(try connection.answer())
        #expect(waiting.remove(answer.id) != nil && answer.status == nil)
        #expect(answer.probabilities.count == counts[Int(answer.id) - 1] * 10)
        #expect(worst(answer.probabilities, expected) < GoldenAnswerTests.tolerance, "call \(answer.id)")
      }
    }
  }

  /// Answers with labels have memory of their own, wherever their calls stand among those that came together.
  @Test func labelledCallsAmongOthersGetTheirOwnAnswer() throws {
    let (server, folder) = try server()
    defer { withExtendedLifetime(folder) {} }
    let expected = try Self.golden.probabilities()
    let digits = try rows(128)
    let connection = try RawConnection(server.unix)
    var bytes: [UInt8] = []
    for row in 0..<128 {
      let digit = Array(digits[row * 64..<row * 64 + 64])
      bytes += classifyFrame(UInt64(row + 1), "digits", digit) { $0.wantLabels = row % 3 == 1 }
    }
    connection.send(bytes)
    for row in 0..<128 {
      let answer = try #require(try connection.answer())
      #expect(answer.id == UInt64(row + 1) && answer.status == nil)
      #expect(
        worstError(answer.probabilities, expected[row * 10..<row * 10 + 10]) < GoldenAnswerTests.tolerance)
    }
  }

  @Test func tooManyRowsAreRefusedAndTheConnectionGoesOn() throws {
    let (server, folder) = try server()
    defer { withExtendedLifetime(folder) {} }
    let client = try SynchronousClient(server.unix)
    var result = ClassifyResult()
    let count = 65_537
    #expect {
      try client.classify(try rows(count), ClassifyCall("digits", shape: [count, 64]), into: &result)
    } throws: { error in
      if case .status(let status) = error as? ClientError {
        status.reason == "BATCH_TOO_LARGE"
      } else {
        false
      }
    }
    try client.classify(try rows(1), ClassifyCall("digits"), into: &result)
    #expect(result.classes == 10)
  }
}
