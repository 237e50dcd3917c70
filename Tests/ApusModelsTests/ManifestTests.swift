import ApusBase
import ApusEngine
import ApusFeatures
import ApusFormats
import Testing

@testable import ApusModels

@Suite("model.yaml")
struct ManifestTests {
  private func message(_ yaml: String) -> String {
    do {
      return "read: \(try Manifest(yaml: yaml))"
    } catch {
      return error.description
    }
  }

  @Test("Everything that may be said is read")
  func whole() throws {
    let manifest = try Manifest(
      yaml: """
        architecture:            # a comment
          type: mlp
          activation: gelu
        output: {name: logits, activation: sigmoid}
        labels: [negative, "positive", no, 3]
        input: {kind: tensor, shape: [10, 10], dtype: float32}
        batch: {max: 64, max_delay_us: 250}
        concurrency: 2
        """)
    var expected = Manifest()
    expected.architecture = Architecture(type: .mlp, activation: .gelu)
    expected.output = .init(name: "logits", activation: .sigmoid)
    expected.labels = .list(["negative", "positive", "no", "3"])
    expected.inputs = [.init(name: nil, kind: .tensor, shape: [10, 10], dataType: .float32)]
    expected.batchMaximum = 64
    expected.maximumDelayMicroseconds = 250
    expected.concurrency = 2
    #expect(manifest == expected)
    #expect(manifest.schedule.maximumDelayNanoseconds == 250_000 && manifest.schedule.concurrency == 2)
  }

  @Test("Short forms, lists of inputs, and nothing at all")
  func shortForms() throws {
    let manifest = try Manifest(
      yaml: """
        output: none
        labels: labels.txt
        input:
        - {name: x, shape: [4]}
        - {name: mask, shape: [4], dtype: int64}
        architecture: {type: mlp}
        """)
    #expect(manifest.output == .init(name: nil, activation: OutputActivation.none))
    #expect(manifest.labels == .file("labels.txt"))
    #expect(manifest.inputs.map(\.name) == ["x", "mask"] && manifest.inputs[1].dataType == .int64)
    #expect(manifest.architecture?.activation == .relu)
    #expect(try Manifest(yaml: "") == Manifest() && Manifest(yaml: "# only a comment\n") == Manifest())
    #expect(Manifest().batchMaximum == Limits().batchRows && Manifest().schedule == ModelSchedule())
  }

  @Test("Layers are listed by their type, or with what is said of them")
  func layers() throws {
    let manifest = try Manifest(
      yaml: """
        architecture:
          type: layers
          layers:
          - {type: conv2d, name: features.0, stride: [2, 1], padding: 1, dilation: 2, groups: 3}
          - {type: batchnorm, eps: 1e-3}
          - relu
          - {type: maxpool, kernel: 3, ceil: true}
          - {type: avgpool, kernel: [2, 2], count_include_pad: false}
          - {type: leaky_relu, slope: 0.2}
          - {type: dropout, p: 0.5}
          - adaptive_avgpool
        """)
    let layers = try #require(manifest.architecture?.layers)
    #expect(manifest.architecture?.type == .layers)
    #expect(
      layers.map(\.kind) == [
        .conv2d, .batchnorm, .relu, .maxpool, .avgpool, .leakyRelu, .dropout, .adaptiveAveragePool,
      ])
    #expect(layers[0].name == "features.0" && layers[0].stride == [2, 1] && layers[0].padding == [1])
    #expect(layers[0].dilation == [2] && layers[0].groups == 3 && layers[1].epsilon == 1e-3)
    #expect(layers[3].kernel == [3] && layers[3].isCeiling && layers[4].kernel == [2, 2])
    #expect(!layers[4].countsPadding && layers[5].slope == 0.2 && layers[1].name == nil)
  }

  @Test(
    "Each mistake is told with its line and what to do",
    arguments: [
      ("output: softmax\nlables: [a]", ["line 2", "lables", "did you mean labels?"]),
      ("weights: 3", ["line 1", "weights", "architecture, output, labels"]),
      ("architecture:\n  type: mlp\n  activations: relu", ["line 3", "did you mean activation?"]),
      ("architecture: mlp", ["line 1", "must be a map"]),
      ("architecture: {activation: relu}", ["needs a type"]),
      ("architecture: {type: cnn}", ["architecture.type is cnn", "mlp, layers"]),
      ("architecture: {type: layers}", ["lists them", "line 1"]),
      ("architecture: {type: mlp, layers: [relu]}", ["type mlp lists no layers"]),
      ("architecture: {type: layers, activation: relu, layers: [relu]}", ["remove activation"]),
      ("architecture: {type: layers, layers: []}", ["1 to 1000 layers"]),
      ("architecture: {type: layers, layers: [conv3d]}", ["a layer is conv3d", "conv1d, conv2d"]),
      ("architecture: {type: layers, layers: [{name: fc}]}", ["a layer needs a type"]),
      (
        "architecture:\n  type: layers\n  layers:\n  - {type: linear, stride: 2}",
        ["line 4", "stride in a layer of type"]
      ),
      (
        "architecture: {type: layers, layers: [{type: maxpool, kernel: 0}]}", ["maxpool.kernel", "from 1 to"]
      ),
      (
        "architecture: {type: layers, layers: [{type: maxpool, kernel: [1, 2, 3]}]}",
        ["one for each dimension"]
      ),
      ("architecture: {type: layers, layers: [{type: batchnorm, eps: -1}]}", ["batchnorm.eps", "-1"]),
      ("architecture: {type: layers, layers: [{type: maxpool, ceil: yes}]}", ["true or false"]),
      ("architecture: {type: mlp, activation: swish}", ["swish", "relu, tanh, sigmoid, gelu"]),
      ("output: softmx", ["softmx", "softmax, sigmoid, none"]),
      ("output: {activation: [softmax]}", ["output.activation must be a text"]),
      ("labels: []", ["empty list"]),
      ("labels: [a, [b]]", ["a label must be a text"]),
      ("labels: ../labels.txt", ["same folder", "../labels.txt"]),
      ("labels: /etc/passwd", ["same folder", "/etc/passwd"]),
      ("labels: .hidden", ["same folder"]),
      ("labels: {a: b}", ["labels must be a text"]),
      ("input: {shape: []}", ["1 to 8 sizes"]),
      ("input: {shape: [0]}", ["from 1 to"]),
      ("input: {shape: [-3]}", ["-3"]),
      ("input: {shape: [1.5]}", ["1.5"]),
      ("input: {shape: [67108864, 2]}", ["larger than a call may be"]),
      ("input: {shape: [67108864, 67108864, 67108864, 67108864]}", ["larger than a call may be"]),
      ("input: {dtype: float32}", ["needs a shape"]),
      ("input: {shape: [1], dtype: f32}", ["f32", "float32"]),
      ("input: {kind: image}", ["input.kind is image", "tensor, text"]),
      ("input: {kind: text, shape: [100]}", ["kind text has no shape"]),
      ("features: {type: hashing}", ["line 1", "need a type and dimensions"]),
      ("features: {dimensions: 8}", ["need a type and dimensions"]),
      ("features: {type: tfidf, dimensions: 8}", ["features.type is tfidf", "hashing"]),
      ("features: {type: hashing, dimensions: 0}", ["features.dimensions", "from 1 to 1048576"]),
      ("features: {type: hashing, dimensions: 1048577}", ["features.dimensions", "from 1 to 1048576"]),
      ("features: {type: hashing, dimensions: 8, analyzer: words}", ["features.analyzer", "char_wb"]),
      ("features: {type: hashing, dimensions: 8, ngrams: 2}", ["list of two lengths"]),
      ("features: {type: hashing, dimensions: 8, ngrams: [2, 1]}", ["in order"]),
      ("features: {type: hashing, dimensions: 8, ngrams: [1, 17]}", ["from 1 to 16"]),
      ("features: {type: hashing, dimensions: 8, norm: max}", ["features.norm is max", "l1, l2, none"]),
      ("features: {type: hashing, dimensions: 8, ngram: [1, 2]}", ["did you mean ngrams?"]),
      ("batch: {max: 0}", ["batch.max", "from 1 to"]),
      ("batch: {max_delay_us: -1}", ["batch.max_delay_us"]),
      ("output: none\nconcurrency: 0", ["line 2", "concurrency", "from 1 to 256"]),
      ("concurrency: 257", ["concurrency", "from 1 to 256"]),
      ("concurrency: many", ["concurrency", "many"]),
      ("concurency: 2", ["concurency", "did you mean concurrency?"]),
      ("batch: {maximum: 3}", ["unknown key maximum", "max, max_delay_us"]),
      ("- a\n- b", ["must be a map"]),
      ("just a text", ["must be a map"]),
      ("output: softmax\noutput: none", ["output", "twice"]),
      ("output: [softmax\nlabels: b", ["line 2"]),
      ("a: b\n---\nc: d", ["line 2", "another document"]),
      ("output: \"a\u{1}b\"", ["model.yaml"]),
      ("? [a]\n: b", ["unknown key"]),
    ])
  func mistakes(yaml: String, parts: [String]) {
    let text = message(yaml)
    for part in parts { #expect(text.contains(part), "\(text)") }
    #expect(text.hasPrefix("model.yaml") && !text.contains("\n"), "\(text)")
  }

  @Test func featuresAreRead() throws {
    let whole = try Manifest(
      yaml: """
        input: {kind: text}
        features: {type: hashing, dimensions: 100, analyzer: char_wb, ngrams: [2, 3], norm: l1}
        """)
    #expect(
      whole.features
        == HashingFeatures(dimensions: 100, analyzer: .charInWords, ngrams: 2...3, norm: .l1))
    #expect(whole.inputs.first?.kind == .text)
    let short = try Manifest(yaml: "features: {type: hashing, dimensions: 7}")
    #expect(short.features == HashingFeatures(dimensions: 7, analyzer: .word, ngrams: 1...1, norm: .l2))
  }

  @Test("Deep nesting and aliases that multiply are refused quickly")
  func bombs() {
    #expect(message("labels: " + String(repeating: "[", count: 100_000)).contains("nesting"))
    #expect(message(String(repeating: "- ", count: 100_000)).contains("nesting"))
    var bomb = "a0: &a0 [x, x]\n"
    for level in 1...40 {
      bomb += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1), *a\(level - 1)]\n"
    }
    #expect(message(bomb + "? *a40\n: x\n").contains("aliases"))
    // Asterisks and ampersands in texts are no aliases.
    let labels = (0..<40).map { "\"\($0) **stars** R&D *s\"" }.joined(separator: ", ")
    #expect(message("labels: [\(labels)]").hasPrefix("read"))
  }
}
