import ApusEngine
import Foundation
import Testing

@testable import ApusFormats

@Suite("Files written by PyTorch and safetensors")
struct GoldenTests {
  @Test("edge_tensors: views, strides, shared storage, every element type", arguments: ["pth", "legacy.pth"])
  func edgeTensors(suffix: String) throws {
    let expected = try #require(
      Fixtures.json("torch/text_classifier/edge_tensors.json")["tensors"] as? [String: [String: Any]])
    let tensors = try readTensors(Fixtures.bytes("torch/text_classifier/edge_tensors.\(suffix)"))
    #expect(Set(tensors.map(\.name)) == Set(expected.keys))
    #expect(tensors.first?.name == "transposed" && tensors.last?.name == "naïve.ключ", "order of the file")
    for tensor in tensors {
      let wanted = try #require(expected[tensor.name])
      #expect(tensor.elementType.rawValue == wanted["dtype"] as? String, "\(tensor.name)")
      #expect(tensor.shape == wanted["shape"] as? [Int], "\(tensor.name)")
      #expect(tensor.values == (wanted["values"] as? [Double])?.map(Float.init), "\(tensor.name)")
    }
  }

  @Test("The same weights come out of every layout")
  func layouts() throws {
    for model in ["text_classifier", "digits_mlp"] {
      let reference = try readTensors(Fixtures.bytes("torch/\(model)/\(model).pth"))
      let legacy = try readTensors(Fixtures.bytes("torch/\(model)/\(model).legacy.pth"))
      let safetensors = try readTensors(Fixtures.bytes("torch/\(model)/\(model).safetensors"))
      #expect(reference == legacy)
      // safetensors keeps no order but that of names.
      #expect(reference.sorted { $0.name < $1.name } == safetensors.sorted { $0.name < $1.name })
    }
  }

  @Test("A checkpoint's weights are found beside an optimizer's")
  func checkpoint() throws {
    let bytes = try Fixtures.bytes("torch/text_classifier/checkpoint.pth")
    #expect(
      try readTensors(bytes) == readTensors(Fixtures.bytes("torch/text_classifier/text_classifier.pth")))
    try withStateDict(bytes) { (stateDict) throws(FormatError) in
      #expect(stateDict.notes == ["weights read from state_dict"])
      #expect(stateDict.format == .pytorch)
    }
  }

  @Test("Probabilities of the text classifier", arguments: ["pth", "legacy.pth", "safetensors"])
  func textClassifier(suffix: String) throws {
    let network = try build("torch/text_classifier/text_classifier.\(suffix)").network
    #expect(network.summary == "100 -> 2 softmax")
    let probabilities = try rows("torch/text_classifier/x.f32.bin", network: network)
      .flatMap { softmax(logits($0, network)) }
    #expect(
      distance(probabilities, try Fixtures.doubles("torch/text_classifier/probs.f64.bin")) < 1e-12)
  }

  @Test(
    "Logits of the digits network",
    arguments: [
      ("pth", "logits.f64.bin"), ("legacy.pth", "logits.f64.bin"), ("safetensors", "logits.f64.bin"),
      ("f16.safetensors", "logits_f16w.f64.bin"), ("bf16.safetensors", "logits_bf16w.f64.bin"),
    ])
  func digits(suffix: String, expected: String) throws {
    let built = try build("torch/digits_mlp/digits_mlp.\(suffix)")
    #expect(built.network.summary == "64 -> 128 relu -> 64 relu -> 10 softmax")
    #expect(built.network.layers.map(\.name) == ["0", "2", "4"])
    #expect(
      built.notes.contains { $0.hasPrefix("inferred architecture mlp 64 -> 128 relu -> 64 relu -> 10") })
    let values = try rows("torch/digits_mlp/x.f32.bin", network: built.network)
      .flatMap { logits($0, built.network) }
    #expect(distance(values, try Fixtures.doubles("torch/digits_mlp/\(expected)")) < 1e-9)
  }

  @Test(
    "Every pickle protocol, and Python 2's pairs", arguments: (1...5).map { "protocol\($0)" } + ["python2"])
  func protocols(file: String) throws {
    let tensors = try readTensors(Fixtures.bytes("torch/protocols/\(file).pth"))
    #expect(
      tensors == [
        ReadTensor(name: "fc.weight", elementType: .float32, shape: [2, 3], values: [0, 1, 2, 3, 4, 5]),
        ReadTensor(name: "fc.bias", elementType: .float32, shape: [2], values: [10, 11]),
      ])
  }

  @Test("A tensor that names its own type over an untyped storage")
  func untypedStorage() throws {
    let tensors = try readTensors(Fixtures.bytes("torch/protocols/untyped.pth"))
    #expect(
      tensors == [ReadTensor(name: "counts", elementType: .uint16, shape: [3], values: [1, 2, 65535])])
  }

  @Test("A pickled class is refused by its name, with what to do")
  func wholeModels() throws {
    let module = refusal(of: try Fixtures.bytes("torch/text_classifier/whole_module.pth"))
    #expect(module == .pickledClass("__main__.TextClassifier"))
    #expect(module?.description.contains("model.state_dict()") == true)
    let sequential = refusal(of: try Fixtures.bytes("torch/text_classifier/whole_sequential.pth"))
    #expect(sequential == .pickledClass("torch.nn.modules.container.Sequential"))
  }

  @Test("Convolutions are refused by name and shape")
  func convolution() throws {
    let error = try #require(refusal(of: try Fixtures.bytes("torch/digits_cnn/digits_cnn.pth")))
    guard case .architecture(let message) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(message.contains("weight (float32 of shape [") && message.contains("convolution"), "\(message)")
  }

  @Test("All 65,536 half-precision numbers convert exactly")
  func halfPrecision() {
    for bits in UInt16.min...UInt16.max {
      let expected = Float(Float16(bitPattern: bits))
      let got = Float(float16: bits)
      #expect(got.bitPattern == expected.bitPattern || (got.isNaN && expected.isNaN))
    }
    #expect(Float(bfloat16: 0x3f80) == 1 && Float(bfloat16: 0xc020) == -2.5)
  }

  // MARK: - A plain reference in double precision

  private func build(_ path: String) throws -> BuiltNetwork {
    try withStateDict(try Fixtures.bytes(path)) { (stateDict) throws(FormatError) in
      try makeNetwork(stateDict, architecture: nil, output: nil)
    }
  }

  private func rows(_ path: String, network: Network) throws -> [[Double]] {
    let numbers = try Fixtures.floats(path).map(Double.init)
    return stride(from: 0, to: numbers.count, by: network.inputs).map {
      Array(numbers[$0..<$0 + network.inputs])
    }
  }

  private func logits(_ input: [Double], _ network: Network) -> [Double] {
    var values = input
    for layer in network.layers {
      let (weights, biases) = (layer.weights.numbers, layer.bias?.numbers ?? [])
      values = (0..<layer.outputs).map { output in
        var sum = Double(biases[output])
        for index in 0..<layer.inputs {
          sum += Double(weights[output * layer.inputs + index]) * values[index]
        }
        return layer.activation == .relu ? max(0, sum) : sum
      }
    }
    return values
  }

  private func softmax(_ logits: [Double]) -> [Double] {
    let top = logits.max() ?? 0
    let powers = logits.map { exp($0 - top) }
    return powers.map { $0 / powers.reduce(0, +) }
  }

  private func distance(_ left: [Double], _ right: [Double]) -> Double {
    left.count == right.count ? zip(left, right).map { abs($0 - $1) }.max() ?? 0 : .infinity
  }
}

extension Tensor {
  /// Of float32, float16 or bfloat16.
  fileprivate var numbers: [Float] {
    let half = UnsafeBufferPointer(
      start: start.assumingMemoryBound(to: UInt16.self), count: type.byteCount / 2)
    return switch type.element {
    case .float16: half.map { Float(float16: $0) }
    case .bfloat16: half.map { Float(bfloat16: $0) }
    default: Array(view.elements(Float.self))
    }
  }
}
