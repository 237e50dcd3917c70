import Testing

@testable import ApusEngine
@testable import ApusFormats

@Suite("Attributes and constants of ONNX nodes")
struct ONNXAttributeTests {
  /// What a node's operator was given.
  private final class Seen: @unchecked Sendable { var node: NodeDescription? }

  private func attributes(_ attributes: [[UInt8]]) throws -> Attributes {
    let seen = Seen()
    let table = OperatorTable([
      [
        OperatorEntry("Any") { (node) throws(GraphError) in
          seen.node = node
          return StandIn(name: "Any")
        }
      ]
    ])
    let node = ONNX.node("Any", ["x", "", "x"], ["y", "z"], attributes: attributes)
    _ = try readONNX(ONNX.model(ONNX.graph(nodes: [node]), opsets: ONNX.opset("", 17)), operators: table)
    let description = try #require(seen.node)
    #expect(description.opset == 17 && description.inputs == 3 && description.outputs == 2)
    return description.attributes
  }

  @Test("Each kind of attribute is read, lists in both forms")
  func kinds() throws {
    let packed = littleEndian([1, 2] as [Float])
    let read = try attributes([
      ONNX.attribute("f", type: 1, Proto.float(2, -0.5)), ONNX.attribute("i", type: 2, Proto.int(3, .min)),
      ONNX.attribute("s", type: 3, Proto.text(4, "naïve\n")),
      ONNX.attribute("t", type: 4, Proto.bytes(5, ONNX.tensor("", 2, [2], raw: [3, 4]))),
      ONNX.attribute("fs", type: 6, Proto.float(7, 1) + Proto.float(7, 2)),
      ONNX.attribute("fp", type: 6, Proto.bytes(7, packed)),
      ONNX.attribute("is", type: 7, Proto.int(8, 1) + Proto.int(8, -2) + Proto.bytes(8, [3, 4])),
      ONNX.attribute("ip", type: 7, Proto.bytes(8, [1, 2, 0x80, 1])),
      ONNX.attribute("ss", type: 8, Proto.text(9, "a") + Proto.text(9, "")),
      ONNX.attribute("none", type: 7, []), ONNX.attribute("zero", type: 2, []),
    ])
    #expect(try read.float("f") == -0.5 && read.int("i") == .min && read.string("s") == "naïve\n")
    #expect(try read.tensor("t")?.view.integers() == [3, 4])
    #expect(try read.floats("fs") == [1, 2] && read.floats("fp") == [1, 2])
    #expect(try read.ints("is") == [1, -2, 3, 4] && read.ints("ip") == [1, 2, 128])
    #expect(try read.strings("ss") == ["a", ""])
    #expect(try read.ints("none") == [] && read.int("zero") == 0)
  }

  @Test("Fields apart from each other make one list, whatever lies between")
  func apart() throws {
    let split =
      Proto.int(8, 1) + Proto.int(3, 9) + Proto.int(8, 2) + Proto.text(13, "a text") + Proto.int(8, 3)
    #expect(try attributes([ONNX.attribute("is", type: 7, split)]).ints("is") == [1, 2, 3])
  }

  private static func node(_ attributes: [UInt8]...) -> [UInt8] {
    ONNX.model(ONNX.graph(nodes: [ONNX.node("Identity", ["x"], ["y"], name: "n", attributes: attributes)]))
  }

  static let refused: [(String, [UInt8])] = [
    (
      "node n: the attribute 'then_branch' is a graph inside the graph, which is not computed here",
      node(ONNX.attribute("then_branch", type: 5, Proto.bytes(6, ONNX.graph())))
    ),
    (
      "node n: the attribute 'a' is a graph inside the graph, which is not computed here",
      node(ONNX.attribute("a", type: 10, []))
    ),
    (
      "node n: the attribute 'a' is a sparse tensor, which is not computed here",
      node(ONNX.attribute("a", type: 11, []))
    ),
    (
      "node n: the attribute 'a' is a list of tensors, which is not computed here",
      node(ONNX.attribute("a", type: 9, []))
    ),
    (
      "node n: the attribute 'a' is a type, which is not computed here",
      node(ONNX.attribute("a", type: 13, []))
    ),
    (
      "node n: the attribute 'a' is of no type that ONNX has, which is not computed here",
      node(ONNX.attribute("a", type: 99, []))
    ),
    (
      "node n: the attribute 'a' is of no type that ONNX has, which is not computed here",
      node(Proto.text(1, "a") + Proto.int(3, 1))
    ),
    ("node n: the attribute 'a' has no tensor", node(ONNX.attribute("a", type: 4, []))),
    (
      "node n: the attribute 'a' is one of a function, which models here cannot have",
      node(ONNX.attribute("a", type: 2, Proto.text(21, "b")))
    ),
    (
      "node n: the attribute 'a' is there twice",
      node(ONNX.attribute("a", type: 2, []), ONNX.attribute("a", type: 1, []))
    ),
    ("node n: an attribute has no name", node(ONNX.attribute("", type: 2, []))),
    (
      "node n: the attribute 'a' holds a text that is not UTF-8",
      node(ONNX.attribute("a", type: 3, Proto.bytes(4, [0xff])))
    ),
    (
      "node n: the attribute 'a' holds a text that is not UTF-8",
      node(ONNX.attribute("a", type: 8, Proto.bytes(9, [0xff])))
    ),
    (
      "tensor 'a' of node n: its raw_data has 1 bytes; uint8 [2] takes 2",
      node(ONNX.attribute("a", type: 4, Proto.bytes(5, ONNX.tensor("", 2, [2], raw: [1]))))
    ),
    (
      "tensor 'a' of node n: elements of texts are not computed with",
      node(ONNX.attribute("a", type: 4, Proto.bytes(5, ONNX.tensor("", 8, [0]))))
    ),
  ]

  @Test("Each is refused with what is wrong", arguments: refused)
  func refusals(_ message: String, _ file: [UInt8]) { #expect(onnxRefusal(file) == message) }

  // MARK: Constant

  private static func constant(
    _ attributes: [[UInt8]], opset: Int = 13, inputs: [String] = [], outputs: [String] = ["c"]
  ) -> [UInt8] {
    let nodes = [
      ONNX.node("Constant", inputs, outputs, name: "k", attributes: attributes),
      ONNX.node("Identity", ["x"], ["y"]),
    ]
    return ONNX.model(ONNX.graph(nodes: nodes), opsets: ONNX.opset("", opset))
  }

  private func constant(_ attribute: [UInt8]) throws -> Tensor {
    let file = try readONNX(Self.constant([attribute]))
    #expect(file.graph.nodes.map(\.name) == ["Identity#1"], "a Constant is no node")
    return try file.constant("c")
  }

  @Test("Every form of Constant is a constant of the graph")
  func constants() throws {
    let tensor = try constant(
      ONNX.attribute(
        "value", type: 4, Proto.bytes(5, ONNX.tensor("t", 7, [1, 2], data: Proto.bytes(7, [5, 6])))))
    #expect(try tensor.type.shape == [1, 2] && tensor.view.integers() == [5, 6])
    let float = try constant(ONNX.attribute("value_float", type: 1, Proto.float(2, 1.5)))
    #expect(float.type.shape == [] && Array(float.view.elements(Float.self)) == [1.5])
    let floats = try constant(ONNX.attribute("value_floats", type: 6, Proto.float(7, 1) + Proto.float(7, 2)))
    #expect(floats.type.shape == [2] && Array(floats.view.elements(Float.self)) == [1, 2])
    let int = try constant(ONNX.attribute("value_int", type: 2, Proto.int(3, -7)))
    #expect(int.type.shape == [] && Array(int.view.elements(Int64.self)) == [-7])
    let ints = try constant(ONNX.attribute("value_ints", type: 7, []))
    #expect(ints.type.shape == [0] && ints.type.element == .int64)
  }

  static let refusedConstants: [(String, [UInt8])] = [
    ("a Constant has one value, not 0", constant([])),
    (
      "a Constant has one value, not 2",
      constant([ONNX.attribute("value_int", type: 2, []), ONNX.attribute("value_float", type: 1, [])])
    ),
    (
      "its 'value_string' is text, which is not computed with",
      constant([ONNX.attribute("value_string", type: 3, [])])
    ),
    (
      "its 'value_strings' is text, which is not computed with",
      constant([ONNX.attribute("value_strings", type: 8, [])])
    ),
    ("the attribute 'other' is not known here", constant([ONNX.attribute("other", type: 2, [])])),
    ("the attribute 'value' is not a tensor", constant([ONNX.attribute("value", type: 2, [])])),
    (
      "'value_int' is of opset 12 and later, not 11",
      constant([ONNX.attribute("value_int", type: 2, [])], opset: 11)
    ),
    (
      "a Constant has no inputs and one output",
      constant([ONNX.attribute("value_int", type: 2, [])], inputs: ["x"])
    ),
    (
      "a Constant has no inputs and one output",
      constant([ONNX.attribute("value_int", type: 2, [])], outputs: ["c", "d"])
    ),
    (
      "it computes 'x', which is there already",
      constant([ONNX.attribute("value_int", type: 2, [])], outputs: ["x"])
    ),
  ]

  @Test("Each Constant is refused with what is wrong", arguments: refusedConstants)
  func refusedConstant(_ message: String, _ file: [UInt8]) {
    #expect(onnxRefusal(file) == "node k (Constant): \(message)")
  }

  @Test("A sparse Constant is refused by its attribute")
  func sparse() {
    #expect(
      onnxRefusal(Self.constant([ONNX.attribute("sparse_value", type: 11, [])]))
        == "node k: the attribute 'sparse_value' is a sparse tensor, which is not computed here")
  }
}
