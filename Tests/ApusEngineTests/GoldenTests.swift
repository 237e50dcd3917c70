import ApusEngine
import Foundation
import Testing

/// Models trained in PyTorch, with its answers in double precision.
@Suite struct GoldenTests {
  struct Model: Sendable {
    let folder: String
    let file: String
    let layers: [(name: String, inputs: Int, outputs: Int, activation: Activation)]
  }

  static let models = [
    Model(
      folder: "text_classifier", file: "text_classifier.safetensors", layers: [("linear", 100, 2, .none)]),
    Model(
      folder: "digits_mlp", file: "digits_mlp.safetensors",
      layers: [("0", 64, 128, .relu), ("2", 128, 64, .relu), ("4", 64, 10, .none)]),
  ]

  @Test(arguments: models) func probabilitiesAreThoseOfPyTorch(_ model: Model) throws {
    let network = try network(model)
    let input: [Float] = try numbers(model.folder, "x.f32.bin")
    let expected: [Double] = try numbers(model.folder, "probs.f64.bin")
    let rows = input.count / network.inputs
    try #require(rows > 1 && expected.count == rows * network.outputs)
    for planning in Kernel.allCases.map({ Planning.fixed($0) }) + [.measured] {
      let plan = try Plan(network, planning: planning)
      for batch in [1, 3, 16, rows] {
        let caller = Caller(plan: plan, inputGap: 32, outputGap: batch)
        var found: [Float] = []
        for first in stride(from: 0, to: rows, by: batch) {
          let end = min(rows, first + batch)
          let slice = Array(input[(first * network.inputs)..<(end * network.inputs)])
          found += caller.compute(slice, rows: end - first).probabilities
        }
        #expect(worstError(found, expected) < 2e-6, "\(planning), batches of \(batch)")
      }
    }
  }

  @Test func logitsAreThoseOfPyTorch() throws {
    let network = try network(Self.models[1])
    let input: [Float] = try numbers("digits_mlp", "x.f32.bin")
    let expected: [Double] = try numbers("digits_mlp", "logits.f64.bin")
    let found = Caller(plan: try Plan(network)).compute(input, rows: 128).logits
    #expect(worstError(found, expected) < 1e-5)
  }

  private func url(_ folder: String, _ file: String) -> URL {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/torch/\(folder)/\(file)")
  }

  private func numbers<Number: BinaryFloatingPoint>(_ folder: String, _ file: String) throws -> [Number] {
    values(try Data(contentsOf: url(folder, file)))
  }

  private func values<Number: BinaryFloatingPoint>(_ data: Data) -> [Number] {
    data.withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: MemoryLayout<Number>.size).map {
        bytes.loadUnaligned(fromByteOffset: $0, as: Number.self)
      }
    }
  }

  /// A safetensors file: the header's length in 8 bytes, a JSON header, the numbers.
  private func network(_ model: Model) throws -> Network {
    let data = try Data(contentsOf: url(model.folder, model.file))
    let headerBytes = data.withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }
    let parsed = try JSONSerialization.jsonObject(with: data.dropFirst(8).prefix(headerBytes))
    let header = try #require(parsed as? [String: Any])
    func tensor(_ name: String) throws -> [Float] {
      let entry = try #require(header[name] as? [String: Any])
      let offsets = try #require(entry["data_offsets"] as? [Int])
      return values(Data(data.dropFirst(8 + headerBytes + offsets[0]).prefix(offsets[1] - offsets[0])))
    }
    let layers = try model.layers.map {
      try Network.Layer(
        name: $0.name, inputs: $0.inputs, outputs: $0.outputs, weights: try tensor("\($0.name).weight"),
        bias: try tensor("\($0.name).bias"), activation: $0.activation)
    }
    return try Network(layers: layers, output: .softmax)
  }
}
