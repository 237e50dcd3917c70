import Foundation
import Testing

@testable import ApusEngine
@testable import ApusFormats

@Suite("Frozen graphs of TensorFlow")
struct TensorFlowGoldenTests {
  private static let tolerance = 1e-5

  @Test(
    "Models of Keras answer as in TensorFlow, node by node and as programs",
    arguments: [("mlp", 12, 4), ("cnn", 360, 5), ("depthwise", 81, 3), ("sequence", 7, 2)])
  func models(name: String, inputs: Int, classes: Int) throws {
    let file = try readTensorFlow(Fixtures.bytes("tensorflow/\(name).pb"))
    let graph = file.graph
    #expect(file.producer > 1000)
    #expect(graph.inputs.count == 1 && graph.outputs.count == 1 && graph.inputs[0].shape[0] == nil)
    #expect(graph.values[graph.outputs[0]].name == "Identity")
    let expected = try Fixtures.floats("tensorflow/\(name).output.bin").map(Double.init)
    let bytes = try Fixtures.bytes("tensorflow/\(name).input.bin")
    let type = try TensorType(graph.inputs[0].element, graph.inputs[0].shape.map { $0 ?? 5 })
    let input = Tensor(type)
    try #require(bytes.count == type.byteCount)
    bytes.withUnsafeBytes { input.start.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    let output = try evaluate(graph, [input])[0]
    #expect(output.type.shape == [5, classes])
    #expect(difference(output.view.elements(Float.self).map(Double.init), expected) <= Self.tolerance)
    for isPlain in [true, false] {
      let program = try isPlain ? Program(plainly: graph) : Program(graph)
      #expect(program.inputs == inputs && program.outputs == classes)
      let answers = try bytes.withUnsafeBytes { try run(program, 5, $0) }
      #expect(difference(answers.map(Double.init), expected) <= Self.tolerance, "plain: \(isPlain)")
    }
  }

  @Test("Images are moved once, and norms and biases go into the convolutions before them")
  func programs() throws {
    for (name, transposes) in [("cnn", 2), ("depthwise", 0)] {
      let graph = try readTensorFlow(Fixtures.bytes("tensorflow/\(name).pb")).graph
      let steps = try Program(graph).descriptions
      #expect(steps.count { $0.hasSuffix(": Transpose") } <= transposes, "\(steps)")
    }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    struct Numbers: Sendable {
      let name: String
      let type: String
      let shape: [Int]
      let values: [Double]
    }

    let name: String
    let graph: [UInt8]
    let inputs: [Numbers]
    let outputs: [Numbers]
    var testDescription: String { name }
  }

  static let cases: [Case] = {
    guard let data = try? Data(contentsOf: Fixtures.folder.appending(path: "tensorflow/operators.json")),
      let entries = try? JSONSerialization.jsonObject(with: data) as? [[String: Any]]
    else { return [] }
    func numbers(_ object: Any?) -> [Case.Numbers] {
      (object as? [[String: Any]] ?? []).map {
        Case.Numbers(
          name: $0["name"] as? String ?? "", type: $0["type"] as? String ?? "",
          shape: $0["shape"] as? [Int] ?? [], values: ($0["values"] as? [NSNumber] ?? []).map(\.doubleValue))
      }
    }
    return entries.map {
      Case(
        name: $0["name"] as? String ?? "",
        graph: [UInt8](Data(base64Encoded: $0["graph"] as? String ?? "") ?? Data()),
        inputs: numbers($0["inputs"]), outputs: numbers($0["outputs"]))
    }
  }()

  @Test("Cases of each operator are here")
  func count() { #expect(Self.cases.count == 69) }

  @Test("Each operator computes what TensorFlow does", arguments: cases)
  func operators(_ example: Case) throws {
    let graph = try readTensorFlow(example.graph).graph
    #expect(graph.inputs.map { graph.values[$0.value].name } == example.inputs.map(\.name))
    let inputs = try zip(graph.inputs, example.inputs).map { try tensor($1, $0.element) }
    let outputs = try evaluate(graph, inputs)
    let names = graph.outputs.map { graph.values[$0].name }
    #expect(names.sorted() == example.outputs.map(\.name).sorted())
    for expected in example.outputs {
      let place = try #require(names.firstIndex(of: expected.name))
      #expect(outputs[place].type.element.rawValue == expected.type, "\(expected.name)")
      #expect(outputs[place].type.shape == expected.shape, "\(expected.name)")
      #expect(
        difference(try values(outputs[place]), expected.values) <= Self.tolerance, "\(expected.name)")
      try compareProgram(graph, place, inputs, expected)
    }
  }

  /// Where an output is one that is served, as a program too.
  private func compareProgram(
    _ graph: Graph, _ place: Int, _ inputs: [Tensor], _ expected: Case.Numbers
  ) throws {
    guard graph.inputs.count == 1, expected.type == "float32", expected.shape.count >= 2,
      let rows = inputs[0].type.shape.first, graph.inputs[0].shape.first == .some(nil),
      rows == expected.shape[0]
    else { return }
    let program = try Program(graph, output: graph.outputs[place])
    let bytes = UnsafeRawBufferPointer(start: inputs[0].start, count: inputs[0].type.byteCount)
    let answers = try run(program, rows, bytes)
    #expect(difference(answers.map(Double.init), expected.values) <= Self.tolerance, "\(expected.name)")
  }

  private func tensor(_ numbers: Case.Numbers, _ element: ElementType) throws -> Tensor {
    #expect(numbers.type == element.rawValue)
    switch element {
    case .float32: return try Tensor(numbers.values.map { Float($0) }, numbers.shape)
    case .int32: return try Tensor(numbers.values.map { Int32($0) }, numbers.shape)
    case .uint8: return try Tensor(numbers.values.map { UInt8($0) }, numbers.shape)
    case .bool: return try Tensor(numbers.values.map { TensorBool($0 != 0) }, numbers.shape)
    default: throw GraphError("no such case")
    }
  }

  private func values(_ tensor: Tensor) throws -> [Double] {
    switch tensor.type.element {
    case .float32: tensor.view.elements(Float.self).map { Double($0) }
    case .bool: tensor.view.elements(TensorBool.self).map { $0.value ? 1 : 0 }
    default: try tensor.view.integers().map { Double($0) }
    }
  }
}
