import ApusEngine
import COnnxProto
import Testing

@testable import ApusFormats

@Suite("The wire format of ONNX files")
struct ONNXWireTests {
  private static let nine = [UInt8](repeating: 0x80, count: 9)
  private static func graph(_ bytes: [UInt8]) -> [UInt8] { Proto.int(1, 8) + Proto.bytes(7, bytes) }

  static let refused: [(String, [UInt8])] = [
    ("the model: it is cut short", [0x08]),
    ("the model: it is cut short", [0x3a, 5, 0]),
    ("the model: it is cut short", [0x08, 0x80]),
    ("the model: it is cut short", [0x0d, 1, 2, 3]),
    ("the model: it is cut short", [0x3a] + Proto.varint(UInt64(Int64.max))),
    ("the model: it is cut short", [0x3a] + Proto.varint(.max)),
    ("the model: a variable-length integer has more than 64 bits", [0x08] + nine + [0x80, 0]),
    ("the model: a variable-length integer has more than 64 bits", [0x08] + nine + [2]),
    ("the model: a field has no sound number", [0x00, 0]),
    ("the model: a field has no sound number", Proto.varint(1 << 35) + [0]),
    ("the model: a field is a group, which none of these files has", [0x3b]),
    ("the model: a field is a group, which none of these files has", [0x3c]),
    ("the model: a field has a wire type that there is not", [0x0e]),
    ("the model: it has the field graph twice", ONNX.model() + Proto.bytes(7, [])),
    ("the model: it has the field ir_version twice", Proto.int(1, 8) + Proto.int(1, 8)),
    ("the model: its field graph is of another type than ONNX's", Proto.int(7, 1)),
    ("the model: its field ir_version is of another type than ONNX's", Proto.bytes(1, [8])),
    ("graph.node[1]: it is cut short", graph(Proto.bytes(1, []) + Proto.bytes(1, [0x0a, 9]))),
    (
      "graph.node[0].attribute[1]: its field f is of another type than ONNX's",
      graph(Proto.bytes(1, Proto.bytes(5, []) + Proto.bytes(5, Proto.int(2, 1))))
    ),
    (
      "graph.node[0].attribute[0]: packed numbers do not fill their field",
      graph(Proto.bytes(1, Proto.bytes(5, Proto.bytes(7, [1, 2, 3]))))
    ),
    (
      "graph.node[0].attribute[0]: it is cut short",
      graph(Proto.bytes(1, Proto.bytes(5, Proto.bytes(8, [0x80]))))
    ),
    (
      "graph.input[0].type: it has the field map_type twice",
      graph(Proto.bytes(11, Proto.bytes(2, Proto.bytes(1, []) + Proto.bytes(5, []))))
    ),
    (
      "graph.node[0].name: the text \"a\\0b\" is not UTF-8, or holds control characters",
      graph(Proto.bytes(1, Proto.text(3, "a\0b")))
    ),
    (
      "graph.node[0].input[0]: the text \"a\\nb\" is not UTF-8, or holds control characters",
      graph(Proto.bytes(1, Proto.text(1, "a\nb")))
    ),
    (
      "graph.name: the text \"\u{fffd}\" is not UTF-8, or holds control characters",
      graph(Proto.bytes(2, [0xff]))
    ),
    (
      "graph.node[0].name: the text \"\\u{202E}\" is not UTF-8, or holds control characters",
      graph(Proto.bytes(1, Proto.text(3, "\u{202e}")))
    ),
  ]

  @Test("Each is refused with its place", arguments: refused)
  func refusals(_ message: String, _ file: [UInt8]) {
    #expect(onnxRefusal(file) == "damaged file: \(message)")
  }

  @Test("Texts and lists that are too long are refused")
  func long() {
    let name = String(repeating: "n", count: ONNXLimits.format.nameByteCount)
    #expect(
      onnxRefusal(ONNX.model(ONNX.graph(nodes: [ONNX.node("Identity", ["x"], ["y"], name: name)]))) == nil)
    #expect(
      onnxRefusal(Self.graph(Proto.bytes(1, Proto.text(3, name + "n"))))
        == "not supported: graph.node[0].name: a text of 1025 bytes; at most 1024 are read")
    let text = [UInt8](repeating: 65, count: ONNXLimits.format.textByteCount + 1)
    #expect(
      onnxRefusal(Self.graph(Proto.bytes(1, Proto.bytes(5, Proto.bytes(4, text)))))
        == "not supported: graph.node[0].attribute[0].s: a text of 1048577 bytes; at most 1048576 are read")
    let list = [UInt8](repeating: 1, count: ONNXLimits.format.listElements + 1)
    #expect(
      onnxRefusal(Self.graph(Proto.bytes(1, Proto.bytes(5, Proto.bytes(8, list)))))
        == "not supported: graph.node[0].attribute[0]: a list of over 16777216 numbers")
    let many = Proto.bytes(
      1, Proto.bytes(5, Proto.bytes(8, [UInt8](repeating: 1, count: ONNXLimits.format.listElements))))
    #expect(
      onnxRefusal(Self.graph(many + many + many + many + many))
        == "not supported: the model has over 64 MiB of names, nodes and attributes")
  }

  @Test("Fields that nobody knows are passed over, wherever they are and whatever they hold")
  func unknown() throws {
    let unknown =
      Proto.int(999, 1) + Proto.bytes(1000, [0xff, 0xff]) + Proto.tag(1001, 5) + [1, 2, 3, 4]
      + Proto.tag(1002, 1)
      + [1, 2, 3, 4, 5, 6, 7, 8]
    // The reader's own mark in a file means nothing.
    let mark = Proto.tag(400_000_000, 5) + [9, 0, 0, 0]
    let tensor = mark + ONNX.tensor("w", 2, [1], raw: [7], data: unknown) + mark
    let node = unknown + ONNX.node("Identity", ["x"], ["y"]) + unknown
    let model = unknown + ONNX.model(ONNX.graph(nodes: [node], initializers: [tensor]) + unknown) + unknown
    #expect(try readONNX(model).constant("w").view.integers() == [7])
  }

  @Test("Fields may come in any order")
  func order() throws {
    let tensor = Proto.bytes(9, [7]) + Proto.text(8, "w") + Proto.int(2, 2) + Proto.int(1, 1)
    let graph =
      Proto.bytes(12, ONNX.output("y")) + Proto.bytes(11, ONNX.input("x")) + Proto.bytes(5, tensor)
      + Proto.bytes(1, ONNX.node("Identity", ["x"], ["y"]))
    #expect(
      try readONNX(ONNX.opset("", 13) + Proto.bytes(7, graph) + Proto.int(1, 8)).constant("w").view.integers()
        == [7])
  }

  @Test("Graphs in each other do not make the reader deep")
  func deep() {
    var inner = ONNX.graph()
    for _ in 0..<200 {
      inner = Proto.bytes(
        1, ONNX.node("If", ["x"], ["y"], attributes: [ONNX.attribute("b", type: 5, Proto.bytes(6, inner))]))
    }
    #expect(onnxRefusal(Self.graph(inner) + ONNX.opset("", 13))?.contains("a graph inside the graph") == true)
  }

  @Test("What protobuf-c may take is bounded")
  func memory() throws {
    // Empty texts take the most: 64 times their bytes are enough for any number of them.
    let texts = (0..<100_000).flatMap { _ in Proto.text(1, "") }
    #expect(onnxRefusal(ONNX.model(ONNX.graph(nodes: [texts]))) == "node #0: it has no operator")
    let file = FileMemory(ONNX.model())
    let skeleton = try ProtobufSkeleton(
      FileBytes(file.kept.bytes), of: onnx_model_descriptor(), in: ONNXLimits.format, marking: nil)
    for (limit, isEnough) in [(0, false), (500, false), (4096, true)] {
      let name = try? ProtobufMemory(limit: limit).withMessage(skeleton, onnx__model_proto__unpack) {
        (model) throws(FormatError) in text(model.graph?.pointee.name)
      }
      #expect(name == (isEnough ? "g" : nil))
    }
  }

  @Test("A sound file cut at any byte is refused, and one with any byte changed never worse")
  func damaged() {
    let attribute = ONNX.attribute(
      "value", type: 4, Proto.bytes(5, ONNX.tensor("", 7, [2], data: Proto.bytes(7, [5, 6]))))
    let file = ONNX.model(
      ONNX.graph(
        nodes: [
          ONNX.node("Constant", [], ["c"], attributes: [attribute]), ONNX.node("Identity", ["x"], ["y"]),
        ],
        initializers: [ONNX.tensor("w", 1, [2], raw: .init(repeating: 0, count: 8))]))
    #expect(onnxRefusal(file) == nil)
    for count in 0..<file.count { #expect(onnxRefusal(Array(file[..<count])) != nil, "cut at \(count)") }
    for position in file.indices {
      for value in [0x00, 0x01, 0x7f, 0x80, 0xff, file[position] ^ 1, file[position] &+ 8] as [UInt8] {
        var copy = file
        copy[position] = value
        if let message = onnxRefusal(copy) {
          #expect(!message.isEmpty && !message.contains("\n"), "\(message)")
        }
      }
    }
  }
}
