import Testing

@testable import ApusEngine
@testable import ApusFormats

@Suite("What is refused of TensorFlow's graphs")
struct TensorFlowRefusalTests {
  private static let relu = TF.node("Relu", "y", ["x"])

  @Test(
    "Each mistake names its node",
    arguments: [
      ("damaged file: the file is empty", []),
      ("damaged file: the graph has no node that computes a result", TF.graph([TF.input()])),
      ("node 1 of the graph has no name", TF.graph([TF.input(), Proto.text(2, "Relu")])),
      ("node y: it has no operator", TF.graph([Proto.text(1, "y")])),
      ("node x: the graph has two of this name", TF.graph([TF.input(), TF.input()])),
      ("node y (Relu): it reads 'x', which no node computes", TF.graph([relu])),
      ("node y (Relu): it reads 'x:a'", TF.graph([TF.input(), TF.node("Relu", "y", ["x:a"])])),
      ("node y (Relu): it reads 'x:-1'", TF.graph([TF.input(), TF.node("Relu", "y", ["x:-1"])])),
      ("node y (Relu): it reads '^z'", TF.graph([TF.input(), TF.node("Relu", "y", ["x", "^z"])])),
      (
        "node y (Relu): it reads output 1 of a node that does not give so many here",
        TF.graph([TF.input(), TF.node("Relu", "y", ["x:1"])])
      ),
      (
        "node y (Relu): it has 2 inputs, and takes 1",
        TF.graph([TF.input(), TF.node("Relu", "y", ["x", "x"])])
      ),
      (
        "node y (Relu): the attribute 'odd' is not known here",
        TF.graph([TF.input(), TF.node("Relu", "y", ["x"], [TF.int("odd", 1)])])
      ),
      (
        "node y (Relu): the attribute 'T' is there twice",
        TF.graph([TF.input(), TF.node("Relu", "y", ["x"], [TF.type("T", 1), TF.type("T", 1)])])
      ),
      (
        "node a (Relu): what it computes is read by what it reads: a cycle",
        TF.graph([TF.node("Relu", "a", ["b"]), TF.node("Relu", "b", ["a"]), TF.node("Relu", "c", ["a"])])
      ),
      ("node x (Placeholder): it has no type", TF.graph([TF.node("Placeholder", "x"), relu])),
      (
        "node x (Placeholder): an input needs a shape",
        TF.graph([TF.node("Placeholder", "x", [], [TF.type("dtype", 1)]), relu])
      ),
      ("node x (Placeholder): elements of texts are not computed with", TF.graph([TF.input(type: 7), relu])),
      ("node x (Const): it has no value", TF.graph([TF.node("Const", "x"), relu])),
    ] as [(String, [UInt8])])
  func structure(message: String, file: [UInt8]) {
    let refusal = tensorFlowRefusal(file)
    #expect(refusal?.contains(message) == true, "\(refusal ?? "read")")
  }

  @Test(
    "What is not computed is refused by name, with what there is or what to do",
    arguments: [
      ("FancyOp", "this operator is not computed here; these are: Abs, Add, AddN"),
      ("_FusedMatMul", "TensorFlow's optimizer wrote this operator"),
      ("PartitionedCall", "it calls a function, which is not computed here; freeze the model with tools/"),
      ("mine", "it calls a function"), ("ReadVariableOp", "it uses a variable"),
      ("While", "loops and branches are not computed here"),
    ])
  func unknown(name: String, message: String) {
    let library = Proto.bytes(2, Proto.bytes(1, Proto.bytes(1, Proto.text(1, "mine"))))
    let refusal = tensorFlowRefusal(TF.graph([TF.input(), TF.node(name, "y", ["x"])], library))
    #expect(refusal?.hasPrefix("node y (\(name)): ") == true)
    #expect(refusal?.contains(message) == true, "\(refusal ?? "read")")
  }

  @Test("Other forms of a model say how to freeze it")
  func otherForms() throws {
    let hint = "freeze the model with tools/freeze_tensorflow.py"
    let saved = tensorFlowRefusal(try Fixtures.bytes("tensorflow/saved_model.pb"))
    #expect(saved == "not supported: a SavedModel, whose variables are in other files; \(hint)")
    #expect(tensorFlowRefusal([0x89] + Array("HDF\r\n".utf8) + [26, 10])?.contains("HDF5; \(hint)") == true)
    #expect(tensorFlowRefusal(Array("PK\u{3}\u{4}abc".utf8))?.contains("Keras saves; \(hint)") == true)
  }

  private static let image = TF.input("x", [-1, 4, 4, 2])
  private static let filter = TF.floats("w", [1, 1, 2, 1], [1, 1])

  private static func conv(_ attributes: [[UInt8]], filter: [UInt8] = filter) -> [UInt8] {
    TF.graph([image, filter, TF.node("Conv2D", "y", ["x", "w"], attributes)])
  }

  private static let strides = TF.ints("strides", [1, 1, 1, 1])

  @Test(
    "Attributes and constants that an operator does not allow",
    arguments: [
      ("the padding '' is not known", conv([strides])),
      ("the padding 'HALF' is not known", conv([strides, TF.text("padding", "HALF")])),
      ("strides is [2, 1, 1, 1]", conv([TF.ints("strides", [2, 1, 1, 1]), TF.text("padding", "SAME")])),
      ("strides is [1, 1]", conv([TF.ints("strides", [1, 1]), TF.text("padding", "SAME")])),
      (
        "the data_format 'NDHWC' is not computed",
        conv([strides, TF.text("padding", "SAME"), TF.text("data_format", "NDHWC")])
      ),
      (
        "explicit_paddings is []; it has 8 numbers", conv([strides, TF.text("padding", "EXPLICIT")])
      ),
      ("the attribute 'strides' is not a list", conv([TF.int("strides", 1), TF.text("padding", "SAME")])),
      (
        "2 channels are not convolved with a filter of [1, 1, 3, 1]",
        conv([strides, TF.text("padding", "SAME")], filter: TF.floats("w", [1, 1, 3, 1], [1, 1, 1]))
      ),
      (
        "a filter has 4 fixed dimensions",
        conv([strides, TF.text("padding", "SAME")], filter: TF.floats("w", [1, 2, 1], [1, 1]))
      ),
      (
        "it is one that trains",
        TF.graph([
          image, TF.floats("w", [2], [1, 1]), TF.node("FusedBatchNormV3", "y", ["x", "w", "w", "w", "w"]),
        ])
      ),
      (
        "the axes must be constant",
        TF.graph([
          TF.input(), TF.input("z", type: 3, [1]), TF.node("Mean", "y", ["x", "z"]),
        ])
      ),
      (
        "there is no axis 7",
        TF.graph([TF.input(), TF.integers("a", [7]), TF.node("Mean", "y", ["x", "a"])])
      ),
      (
        "the axis is one number, not 2",
        TF.graph([TF.input(), TF.integers("a", [1, 2]), TF.node("ExpandDims", "y", ["x", "a"])])
      ),
      (
        "it makes a tensor without elements",
        TF.graph([TF.input(), TF.integers("a", [0, 4]), TF.node("Reshape", "y", ["x", "a"])])
      ),
      (
        "batch_dims other than 0",
        TF.graph([
          TF.input(), TF.integers("a", [1]), TF.integers("b", [1]),
          TF.node("GatherV2", "y", ["x", "a", "b"], [TF.int("batch_dims", 1)]),
        ])
      ),
      (
        "the mode 'SYMMETRIC' is not computed",
        TF.graph([
          TF.input(), TF.integers("a", [0, 0, 1, 1], [2, 2]),
          TF.node("MirrorPad", "y", ["x", "a"], [TF.text("mode", "SYMMETRIC")]),
        ])
      ),
      (
        "it takes 3 dimensions of a tensor that has 2",
        TF.graph([
          TF.input(), TF.integers("a", [0, 0, 0]), TF.node("StridedSlice", "y", ["x", "a", "a", "a"]),
        ])
      ),
      (
        "a slice has a step of 0",
        TF.graph([TF.input(), TF.integers("a", [0]), TF.node("StridedSlice", "y", ["x", "a", "a", "a"])])
      ),
      (
        "it splits an axis into 3 equal parts",
        TF.graph([
          TF.input(), TF.integers("a", [1], []), TF.node("Split", "y", ["a", "x"], [TF.int("num_split", 3)]),
        ])
      ),
      (
        "it multiplies matrices of 2 dimensions",
        TF.graph([TF.input("x", [-1, 2, 4]), TF.node("MatMul", "y", ["x", "x"])])
      ),
      (
        "numbers are rounded",
        TF.graph([
          TF.input(),
          TF.node(
            "Cast", "y", ["x"],
            [
              TF.type("DstT", 19), TF.flag("Truncate", true),
            ]),
        ])
      ),
    ] as [(String, [UInt8])])
  func operators(message: String, file: [UInt8]) {
    let refusal = tensorFlowRefusal(file)
    #expect(
      refusal?.contains(message) == true && refusal?.hasPrefix("node y (") == true, "\(refusal ?? "read")")
  }

  @Test("What only checks need is not computed, and what runs before counts for nothing")
  func checks() throws {
    let graph = try readTensorFlow(
      TF.graph([
        TF.node("Relu", "y", ["x", "^nothing"]), TF.node("NoOp", "nothing", ["^check"]),
        TF.node("Fancy", "odd", ["x"]), TF.node("Assert", "check", ["odd"]), TF.input(),
        TF.node("Identity", "first", ["y:0"]), TF.node("Identity", "second", ["y"]),
        TF.node("Identity", "third", ["x"]),
      ])
    ).graph
    #expect(graph.outputs.map { graph.values[$0].name } == ["first", "second", "third"])
    let x = try Tensor([-1, 2, -3, 4] as [Float], [1, 4])
    let outputs = try evaluate(graph, [x]).map { Array($0.view.elements(Float.self)) }
    #expect(outputs == [[0, 2, 0, 4], [0, 2, 0, 4], [-1, 2, -3, 4]])
  }
}
