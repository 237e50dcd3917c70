import Testing

@testable import ApusEngine
@testable import ApusFormats

@Suite("Layers of a weight file, as a model.yaml lists them")
struct LayersTests {
  private static func layer(
    _ kind: LayerDescription.Kind, _ name: String? = nil,
    _ change: (inout LayerDescription) -> Void = { _ in }
  ) -> LayerDescription {
    var layer = LayerDescription(kind, name: name)
    change(&layer)
    return layer
  }

  /// The largest difference of what layers answer to rows, node by node and as programs.
  private func differences(
    _ weights: String, _ layers: [LayerDescription], _ shape: [Int], _ input: [Float], _ expected: [Double]
  ) throws -> [Double] {
    let bytes = try Fixtures.bytes(weights)
    let graph = try withStateDict(bytes) { (stateDict) throws(FormatError) in
      try makeGraph(stateDict, layers: layers, input: shape)
    }
    let rows = input.count / shape.reduce(1, *)
    let tensor = try Tensor(input, [rows] + shape)
    let output = try evaluate(graph, [tensor])[0]
    var differences = [difference(output.view.elements(Float.self).map(Double.init), expected)]
    for isPlain in [true, false] {
      let program = try isPlain ? Program(plainly: graph) : Program(graph)
      let answers = try input.withUnsafeBytes { try run(program, rows, $0) }
      differences.append(difference(answers.map(Double.init), expected))
    }
    return differences
  }

  static let digits = [
    layer(.conv2d) { $0.padding = [1] }, layer(.batchnorm), layer(.relu), layer(.maxpool) { $0.kernel = [2] },
    layer(.conv2d) { $0.padding = [1] }, layer(.batchnorm), layer(.relu), layer(.maxpool) { $0.kernel = [2] },
    layer(.flatten), layer(.linear), layer(.relu), layer(.linear),
  ]

  @Test(
    "A .pth of convolutions and norms answers as in PyTorch, with weights in the file's order and by name")
  func digits() throws {
    var named = Self.digits
    let weighted = named.indices.filter { [.conv2d, .batchnorm, .linear].contains(named[$0].kind) }
    for (place, name) in zip(weighted, ["conv1", "bn1", "conv2", "bn2", "fc1", "fc2"]) {
      named[place].name = name
    }
    let input = try Fixtures.floats("torch/digits_cnn/x.f32.bin")
    let logits = try Fixtures.doubles("torch/digits_cnn/logits.f64.bin")
    for layers in [Self.digits, named] {
      let found = try differences("torch/digits_cnn/digits_cnn.pth", layers, [1, 8, 8], input, logits)
      #expect(found.allSatisfy { $0 <= 1e-5 }, "\(found)")
    }
  }

  static let image = [
    layer(.conv2d, "features.0") {
      $0.stride = [2, 1]
      $0.padding = [1, 2]
      $0.groups = 2
    },
    layer(.batchnorm, "features.1") { $0.epsilon = 1e-3 }, layer(.leakyRelu) { $0.slope = 0.2 },
    layer(.avgpool) {
      $0.kernel = [2]
      $0.stride = [1]
      $0.padding = [1]
    },
    layer(.conv2d) {
      $0.dilation = [2]
      $0.padding = [2]
    },
    layer(.maxpool) {
      $0.kernel = [3, 3]
      $0.stride = [2]
      $0.padding = [1]
      $0.isCeiling = true
    },
    layer(.adaptiveAveragePool), layer(.flatten), layer(.linear, "head"), layer(.sigmoid),
  ]
  static let sequence = [
    layer(.conv1d) {
      $0.stride = [2]
      $0.padding = [1]
    },
    layer(.gelu), layer(.batchnorm), layer(.tanh), layer(.maxpool) { $0.kernel = [2] }, layer(.dropout),
    layer(.globalAveragePool), layer(.linear), layer(.softmax),
  ]

  @Test("Strides, padding, dilations, groups, norms without scale, pools, one dimension")
  func kinds() throws {
    for (name, layers, shape) in [("image", Self.image, [4, 9, 8]), ("sequence", Self.sequence, [3, 12])] {
      let input = try Fixtures.floats("layers/\(name).input.bin")
      let expected = try Fixtures.floats("layers/\(name).output.bin").map(Double.init)
      let found = try differences("layers/\(name).safetensors", layers, shape, input, expected)
      #expect(found.allSatisfy { $0 <= 1e-5 }, "\(name): \(found)")
    }
  }

  @Test("Every kind of layer has a name and is tried above")
  func allKinds() {
    let tried = Set((Self.digits + Self.image + Self.sequence).map(\.kind))
    #expect(tried == Set(LayerDescription.Kind.allCases))
  }

  private func refusal(
    _ tensors: [(String, [Int])], _ layers: [LayerDescription], _ input: [Int] = [2, 4, 4]
  ) -> String {
    do throws(FormatError) {
      let graph = try withStateDict(zerosFile(tensors)) { (stateDict) throws(FormatError) in
        try makeGraph(stateDict, layers: layers, input: input)
      }
      return "\(graph.nodes.count) nodes"
    } catch { return error.description }
  }

  @Test("Each mistake names its layer and its weights")
  func mistakes() {
    let conv = [("c.weight", [3, 2, 3, 3]), ("c.bias", [3])]
    let layer = Self.layer
    #expect(refusal(conv, [layer(.conv2d, nil) { _ in }]) == "1 nodes")
    #expect(refusal(conv, []) == "architecture.layers is empty")
    #expect(refusal(conv, [layer(.conv2d, nil) { _ in }], []).contains("input: {shape: [channels, height"))
    #expect(
      refusal(conv, [layer(.dropout, nil) { _ in }]).hasPrefix("no layer uses the weights c.bias and 1 more"))
    let cases: [(String, [(String, [Int])], [LayerDescription])] = [
      (
        "layer 1 (conv2d d): the file has no weights of that name; it has those of 'c'", conv,
        [LayerDescription(.conv2d, name: "d")]
      ),
      (
        "layer 2 (conv2d c): another layer has taken these weights", conv,
        [LayerDescription(.conv2d, name: "c"), LayerDescription(.conv2d, name: "c")]
      ),
      (
        "layer 2 (conv2d): the file has no weights left for it", conv,
        [LayerDescription(.conv2d), LayerDescription(.conv2d)]
      ),
      (
        "layer 1 (conv2d): c.weight is [3, 1, 3, 3], and must be [outputs, 2, height, width]",
        [("c.weight", [3, 1, 3, 3])], [LayerDescription(.conv2d)]
      ),
      (
        "layer 1 (conv2d): c.bias is [4], and must be [3]", [conv[0], ("c.bias", [4])],
        [LayerDescription(.conv2d)]
      ),
      (
        "layer 1 (conv2d): it needs the weights c.weight, which the file does not have; it has c.bias",
        [("c.bias", [3])], [LayerDescription(.conv2d)]
      ),
      (
        "layer 1 (conv2d): it has no running_mean, which the file has for it",
        conv + [("c.running_mean", [3])],
        [LayerDescription(.conv2d)]
      ),
      (
        "layer 1 (conv1d): it takes [channels, length], and gets [2, 4, 4]", conv, [LayerDescription(.conv1d)]
      ),
      (
        "layer 1 (linear): it takes a row of numbers, and gets [2, 4, 4]; put a flatten before it",
        [("fc.weight", [2, 32])], [LayerDescription(.linear)]
      ),
      (
        "layer 2 (linear): fc.weight is [2, 5], and must be [outputs, 32]", [("fc.weight", [2, 5])],
        [LayerDescription(.flatten), LayerDescription(.linear)]
      ),
      (
        "layer 1 (batchnorm): it needs the weights n.running_mean", [("n.weight", [2]), ("n.bias", [2])],
        [LayerDescription(.batchnorm)]
      ),
      (
        "layer 1 (batchnorm): n.running_var is [3], and must be [2]",
        [("n.running_mean", [2]), ("n.running_var", [3])], [LayerDescription(.batchnorm)]
      ),
      ("layer 1 (maxpool): it needs a kernel", conv, [LayerDescription(.maxpool)]),
      (
        "layer 1 (maxpool): kernel has 3 numbers for 2 dimensions", conv,
        [Self.layer(.maxpool) { $0.kernel = [1, 1, 1] }]
      ),
      (
        "layer 2 (maxpool): it takes channels", conv,
        [LayerDescription(.flatten), Self.layer(.maxpool) { $0.kernel = [1] }]
      ),
      (
        "layer 1 (maxpool): a kernel of 9", conv, [Self.layer(.maxpool) { $0.kernel = [9] }]
      ),
      (
        "layer 1 (conv2d): 2 channels are not of 3 equal groups", conv,
        [Self.layer(.conv2d) { $0.groups = 3 }]
      ),
      (
        "layer 1 (conv2d): strides has 0", conv, [Self.layer(.conv2d) { $0.stride = [0] }]
      ),
      (
        "no layer uses the weights fc.bias and 1 more", conv + [("fc.weight", [2, 3]), ("fc.bias", [2])],
        [LayerDescription(.conv2d)]
      ),
    ]
    for (message, tensors, layers) in cases {
      let found = refusal(tensors, layers)
      #expect(found.contains(message), "\(found)")
    }
    #expect(refusal(conv, [LayerDescription(.conv2d)], [1 << 40, 9]).contains("input.shape"))
    #expect(refusal(conv, [LayerDescription(.conv2d)], [-1, 4, 4]).contains("input.shape"))
  }

  @Test("Weights are floating-point numbers, none of them NaN, and no more than the file can hold")
  func numbers() {
    func refusal(_ header: String, _ data: [UInt8]) -> String {
      do throws(FormatError) {
        _ = try withStateDict(safetensorsFile(header, data: data)) { (stateDict) throws(FormatError) in
          try makeGraph(stateDict, layers: [LayerDescription(.linear)], input: [1])
        }
        return "built"
      } catch { return error.description }
    }
    let one = #"{"fc.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}"#
    #expect(refusal(one, littleEndian([1])) == "built")
    #expect(refusal(one, littleEndian([.nan])).contains("fc.weight: holds numbers that are NaN"))
    #expect(
      refusal(one.replacing("F32", with: "I32"), littleEndian([1])).contains("fc.weight: int32; weights must")
    )
    let storage = Pickled.storage(count: 1)
    let big = Pickled.tensor(storage, shape: [400, 1], strides: [0, 0])
    let file = torchFile(
      Pickled.dict([("a.weight", big), ("a.bias", Pickled.tensor(storage, shape: [400], strides: [0]))]),
      storages: ["0": littleEndian([1])])
    let message: String
    do throws(FormatError) {
      _ = try withStateDict(file) { (stateDict) throws(FormatError) in
        try makeGraph(stateDict, layers: [LayerDescription(.linear)], input: [1])
      }
      message = "built"
    } catch { message = error.description }
    #expect(message.contains("too many tensors share one storage"), "\(message), \(file.count)")
  }
}
