import Testing

@testable import ApusEngine
@testable import ApusFormats

@Suite("Graphs of ONNX files")
struct ONNXGraphTests {
  @Test("A model's names, inputs, outputs and nodes are read in order")
  func structure() throws {
    let graph = ONNX.graph(
      nodes: [
        ONNX.node("Identity", ["x"], ["h"], name: "first"),
        ONNX.node("Identity", ["w"], ["v"], domain: "ai.onnx"),
        ONNX.node("Identity", ["h"], ["y"]),
      ],
      initializers: [ONNX.tensor("w", 7, [1], data: Proto.int(7, 3))],
      inputs: [ONNX.input("w", type: 7, [1]), ONNX.input("x", type: 10, [nil, 3, 0, -1])],
      outputs: ["y", "v", "w"])
    let file = try readONNX(
      ONNX.model(graph, opsets: ONNX.opset("ai.onnx", 20) + ONNX.opset("ai.onnx.ml", 3)))
    #expect(file.producer == "apus tests 1" && file.name == "g" && file.irVersion == 8)
    #expect(file.opset == 20 && file.opsets == ["": 20, "ai.onnx.ml": 3])
    let names = file.graph.values.map(\.name)
    #expect(file.graph.nodes.map(\.name) == ["first", "Identity#1", "Identity#2"])
    #expect(file.graph.nodes.map { $0.inputs.map { $0.map { names[$0] } } } == [["x"], ["w"], ["h"]])
    #expect(file.graph.outputs.map { names[$0] } == ["y", "v", "w"])
    #expect(file.graph.inputs.count == 1, "an input with a default is a constant")
    let input = file.graph.inputs[0]
    #expect(names[input.value] == "x" && input.element == .float16 && input.shape == [nil, 3, nil, nil])
    #expect(try file.constant("w").view.integers() == [3])
  }

  @Test("A graph that was read can be run")
  func run() throws {
    let file = try readONNX(ONNX.model())
    let run = try Evaluation(file.graph, inputs: [Tensor([1, 2, 3, 4] as [Float], [4])])
    let output = try #require(run.tensors[file.graph.outputs[0]])
    #expect(Array(output.view.elements(Float.self)) == [1, 2, 3, 4])
  }

  @Test("An empty name leaves an input or an output out")
  func leftOut() throws {
    let nodes = [
      ONNX.node("Any", ["x", "", "x"], ["", "y"]), ONNX.node("Any", ["x", ""], ["z", ""]),
      ONNX.node("ai.onnx.ml:Other", [], []),
    ]
    let named = nodes.dropLast() + [ONNX.node("Other", [], [], domain: "ai.onnx.ml")]
    let model = ONNX.model(
      ONNX.graph(nodes: Array(named)), opsets: ONNX.opset("", 9) + ONNX.opset("ai.onnx.ml", 1))
    let file = try readONNX(model, operators: StandIn.table(["Any", "ai.onnx.ml:Other"]))
    #expect(
      file.graph.nodes.map { $0.inputs.map { $0 != nil } } == [[true, false, true], [true, false], []])
    #expect(file.graph.nodes.map { $0.outputs.map { $0 != nil } } == [[false, true], [true, false], []])
    #expect(file.graph.nodes.last?.operation.name == "ai.onnx.ml:Other")
  }

  private static func nodes(_ nodes: [UInt8]...) -> [UInt8] { ONNX.model(ONNX.graph(nodes: nodes)) }
  private static let identity = ONNX.node("Identity", ["x"], ["y"])

  static let refused: [(String, [UInt8])] = [
    ("damaged file: the file is empty", []),
    ("damaged file: the model has no graph", Proto.int(1, 8)),
    ("not supported: version 2 of ONNX's format; those from 3 to 14 are read", ONNX.model(ir: 2)),
    ("not supported: version 15 of ONNX's format; those from 3 to 14 are read", ONNX.model(ir: 15)),
    (
      "not supported: opset 9999 of ai.onnx; those from 9 to 28 are computed",
      ONNX.model(opsets: ONNX.opset("", 9999))
    ),
    (
      "not supported: opset 8 of ai.onnx; those from 9 to 28 are computed",
      ONNX.model(opsets: ONNX.opset("ai.onnx", 8))
    ),
    (
      "not supported: opset 6 of ai.onnx.ml; those from 1 to 5 are computed",
      ONNX.model(opsets: ONNX.opset("", 9) + ONNX.opset("ai.onnx.ml", 6))
    ),
    (
      "damaged file: the model imports opset 9 and opset 10 of ai.onnx",
      ONNX.model(opsets: ONNX.opset("", 9) + ONNX.opset("ai.onnx", 10))
    ),
    (
      "node Identity#0: it is of the domain ai.onnx, of which the model imports no opset",
      ONNX.model(opsets: ONNX.opset("ai.onnx.ml", 1))
    ),
    (
      "node n: the operator com.evil.Thing is of a domain that is not computed here; "
        + "ai.onnx and ai.onnx.ml are",
      nodes(ONNX.node("Thing", ["x"], ["y"], name: "n", domain: "com.evil"))
    ),
    (
      "node n (Nothing): the operator Nothing is not computed here; these are: "
        + "\(OperatorTable.standard.names.joined(separator: ", "))",
      nodes(ONNX.node("Nothing", ["x"], ["y"], name: "n"))
    ),
    (
      "node Identity#0 (Identity): the attribute 'axis' is not known here",
      nodes(
        ONNX.node("Identity", ["x"], ["y"], attributes: [ONNX.attribute("axis", type: 2, Proto.int(3, 1))]))
    ),
    ("node #0: it has no operator", nodes(Proto.text(2, "y"))),
    (
      "node Identity#0 (Identity): it reads 'z', which nothing computes",
      nodes(ONNX.node("Identity", ["z"], ["y"]))
    ),
    (
      "node Identity#0 (Identity): it reads 'h', which the node late computes only later: "
        + "nodes must be in the order in which they run, without cycles",
      nodes(ONNX.node("Identity", ["h"], ["y"]), ONNX.node("Identity", ["y"], ["h"], name: "late"))
    ),
    (
      "node Identity#0 (Identity): it reads 'y', which the node Identity#0 computes only later: "
        + "nodes must be in the order in which they run, without cycles",
      nodes(ONNX.node("Identity", ["y"], ["y"]))
    ),
    ("node Identity#1 (Identity): it computes 'y', which is there already", nodes(identity, identity)),
    (
      "node Identity#0 (Identity): it computes 'x', which is there already",
      nodes(ONNX.node("Identity", ["x"], ["x"]))
    ),
    (
      "tensor w: the graph has two of this name",
      ONNX.model(
        ONNX.graph(initializers: [ONNX.tensor("w", 2, [1], raw: [1]), ONNX.tensor("w", 2, [1], raw: [1])]))
    ),
    (
      "tensor s: it is sparse; only whole tensors are read",
      ONNX.model(ONNX.graph() + Proto.bytes(15, Proto.bytes(1, ONNX.tensor("s", 1, [1]))))
    ),
    (
      "damaged file: the graph has two inputs 'x'",
      ONNX.model(ONNX.graph(inputs: [ONNX.input("x"), ONNX.input("x")]))
    ),
    ("damaged file: the graph has two outputs 'y'", ONNX.model(ONNX.graph(outputs: ["y", "y"]))),
    ("damaged file: nothing computes the graph's output 'q'", ONNX.model(ONNX.graph(outputs: ["q"]))),
    ("damaged file: the graph has no output", ONNX.model(ONNX.graph(outputs: []))),
    ("damaged file: an input of the graph has no name", ONNX.model(ONNX.graph(inputs: [ONNX.input("")]))),
    ("damaged file: the input 'x' has no type", ONNX.model(ONNX.graph(inputs: [Proto.text(1, "x")]))),
    (
      "damaged file: the input 'x' has no type",
      ONNX.model(ONNX.graph(inputs: [Proto.text(1, "x") + Proto.bytes(2, [])]))
    ),
    ("damaged file: the input 'x' has no shape", ONNX.model(ONNX.graph(inputs: [ONNX.input("x", nil)]))),
    (
      "damaged file: the input 'x' has the dimension -2",
      ONNX.model(ONNX.graph(inputs: [ONNX.input("x", [1, -2])]))
    ),
    (
      "not supported: the input 'x' has 9 dimensions; at most 8 are read",
      ONNX.model(ONNX.graph(inputs: [ONNX.input("x", .init(repeating: 1, count: 9))]))
    ),
    (
      "not supported: the input 'x': elements of texts are not computed with",
      ONNX.model(ONNX.graph(inputs: [ONNX.input("x", type: 8)]))
    ),
    (
      "not supported: the input 'x' is a sequence; only tensors are computed with",
      ONNX.model(ONNX.graph(inputs: [Proto.text(1, "x") + Proto.bytes(2, Proto.bytes(4, []))]))
    ),
    (
      "not supported: the input 'x' is a map; only tensors are computed with",
      ONNX.model(ONNX.graph(inputs: [Proto.text(1, "x") + Proto.bytes(2, Proto.bytes(5, []))]))
    ),
    (
      "not supported: the input 'x' is optional; only tensors are computed with",
      ONNX.model(
        ONNX.graph(inputs: [Proto.text(1, "x") + Proto.bytes(2, Proto.bytes(9, Proto.bytes(1, [])))]))
    ),
    (
      "not supported: the model has functions of its own, for example 'f'",
      ONNX.model() + Proto.bytes(25, Proto.text(1, "f"))
    ),
  ]

  @Test("Each is refused with what is wrong", arguments: refused)
  func refusals(_ message: String, _ file: [UInt8]) { #expect(onnxRefusal(file) == message) }

  @Test("What there may be too many of is counted")
  func limits() {
    let node = Proto.bytes(1, ONNX.node("Identity", ["x"], [""]))
    let nodes = (0...ONNXLimits.nodes).flatMap { _ in node }
    #expect(
      onnxRefusal(ONNX.model(ONNX.graph() + nodes))
        == "not supported: the graph has 100002 nodes; at most 100000 are read")
    let outputs = (0...ONNXLimits.graphOutputs).flatMap { _ in Proto.bytes(12, ONNX.output("y")) }
    #expect(
      onnxRefusal(ONNX.model(ONNX.graph() + outputs))
        == "not supported: the graph has 1002 outputs; at most 1000 are read")
    let inputs = (0...ONNXLimits.graphInputs).flatMap { Proto.bytes(11, ONNX.input("i\($0)")) }
    #expect(
      onnxRefusal(ONNX.model(ONNX.graph() + inputs))
        == "not supported: the graph has 1002 inputs; at most 1000 are read")
    let tensors = (0...ONNXLimits.initializers).flatMap { _ in Proto.bytes(5, []) }
    #expect(
      onnxRefusal(ONNX.model(ONNX.graph() + tensors))
        == "not supported: the graph has 100001 tensors; at most 100000 are read")
    #expect(
      onnxRefusal(ONNX.model(ONNX.graph() + tensors + tensors))
        == "not supported: the model has over 200000 tensors")
    let reads = [String](repeating: "x", count: ONNXLimits.inputsPerNode + 1)
    #expect(
      onnxRefusal(Self.nodes(ONNX.node("Identity", reads, ["y"])))
        == "node Identity#0: it has 10001 inputs and 1 outputs; too many")
    let attributes = (0...ONNXLimits.attributesPerNode).map {
      ONNX.attribute("a\($0)", type: 2, Proto.int(3, 1))
    }
    #expect(
      onnxRefusal(Self.nodes(ONNX.node("Identity", ["x"], ["y"], attributes: attributes)))
        == "node Identity#0: it has 257 attributes; at most 256 are read")
  }
}
