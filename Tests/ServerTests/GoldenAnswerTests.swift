import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Foundation
import Testing

/// Models trained in PyTorch, served from each kind of file, asked over each kind of socket in each way.
@Suite struct GoldenAnswerTests {
  struct Golden: Sendable, CustomStringConvertible {
    let name: String
    let inputs: Int
    let classes: Int
    var description: String { name }

    func rows() throws -> [Float] { try Fixture.numbers("torch/\(name)/x.f32.bin", as: Float.self) }
    func probabilities() throws -> [Double] {
      try Fixture.numbers("torch/\(name)/probs.f64.bin", as: Double.self)
    }
  }

  static let models = [
    Golden(name: "text_classifier", inputs: 100, classes: 2),
    Golden(name: "digits_mlp", inputs: 64, classes: 10),
  ]
  /// Version 1, 2 and 3 of each model.
  static let suffixes = ["pth", "legacy.pth", "safetensors"]
  static let tolerance = 2e-6

  @Test(arguments: models) func answersAreThoseOfPyTorch(_ golden: Golden) throws {
    let folder = try ModelFolder()
    for (index, suffix) in Self.suffixes.enumerated() {
      try folder.copy(
        "torch/\(golden.name)/\(golden.name).\(suffix)",
        to: "\(golden.name)/\(index + 1)/\(golden.name).\(suffix)")
    }
    let server = try ServerProcess(models: folder.path, overTCP: true)
    for address in [server.unix, server.tcp] {
      for version in 1...Self.suffixes.count {
        var call = ClassifyCall(golden.name)
        call.version = UInt64(version)
        let context = "\(golden.name) from .\(Self.suffixes[version - 1]) over \(address)"
        try checkBatches(golden, call, address, context)
        try checkPipelined(golden, call, address, context)
      }
    }
  }

  /// One by one, in batches of several sizes, and all rows at once.
  private func checkBatches(_ golden: Golden, _ call: ClassifyCall, _ address: String, _ context: String)
    throws
  {
    let client = try SynchronousClient(address)
    let (input, expected) = (try golden.rows(), try golden.probabilities())
    let rows = input.count / golden.inputs
    try #require(rows > 1 && expected.count == rows * golden.classes)
    var result = ClassifyResult()
    for batch in [1, 3, 16, rows] {
      var call = call
      var worst = 0.0
      for first in stride(from: 0, to: rows, by: batch) {
        let end = min(rows, first + batch)
        call.shape = [end - first, golden.inputs]
        try client.classify(Array(input[first * golden.inputs..<end * golden.inputs]), call, into: &result)
        #expect(result.version == call.version && result.rows == end - first)
        worst = max(
          worst, worstError(result.probabilities, expected[first * golden.classes..<end * golden.classes]))
      }
      #expect(worst < Self.tolerance, "\(context), batches of \(batch)")
    }
  }

  /// Many calls in flight on one connection: the server computes those that arrive together as one batch.
  private func checkPipelined(_ golden: Golden, _ call: ClassifyCall, _ address: String, _ context: String)
    throws
  {
    var connection = try ClientConnection.open(try Address(address))
    let (input, expected) = (try golden.rows(), try golden.probabilities())
    let rows = input.count / golden.inputs
    var waiting: [UInt64: Int] = [:]
    var result = (worst: 0.0, largestBatch: UInt32(0))
    for position in 0..<4 * rows {
      let row = position % rows
      let taken = try input[row * golden.inputs..<(row + 1) * golden.inputs].withUnsafeBytes {
        try connection.submit(call, $0)
      }
      let id = try #require(taken, "\(context): no room for the call")
      #expect(waiting.updateValue(row, forKey: id) == nil)
    }
    _ = connection.sendSome()
    while !waiting.isEmpty {
      let answer = try connection.receive(until: .now.advanced(by: 10_000_000_000))
      let view = try #require(answer, "\(context)")
      let asked = waiting.removeValue(forKey: view.requestID)
      let row = try #require(asked, "\(context): an answer that nobody waits for")
      let response = try connection.classifyResponse(view)
      let found = view.body.floats(at: response.form.probabilitiesOffset, count: golden.classes)
      result.worst = max(
        result.worst, worstError(found, expected[row * golden.classes..<(row + 1) * golden.classes]))
      result.largestBatch = max(result.largestBatch, response.time.batchRows)
    }
    #expect(result.worst < Self.tolerance, "\(context), pipelined")
    #expect(result.largestBatch > 1, "\(context): pipelined calls were not computed together")
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func floats(at offset: Int, count: Int) -> [Float] {
    (0..<count).map { loadUnaligned(fromByteOffset: offset + 4 * $0, as: Float.self) }
  }
}
