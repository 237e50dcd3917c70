import ApusEngine
import Testing

/// What a graph is to whoever serves it: scores, probabilities, labels.
@Suite struct ClassifierTests {
  private func scores(_ builder: inout GraphBuilder, batch: Int? = nil) throws {
    builder.input("x", [batch, 4])
    try builder.constant("w", numbers(12), [4, 3])
    try builder.node("MatMul", ["x", "w"], ["scores"])
  }

  private func answers(_ classifier: Classifier, _ input: [Float]) throws -> (logits: [Float], [Float]) {
    let caller = Caller(plan: try Plan(classifier, planning: .fixed(.packed)))
    let found = caller.compute(input, rows: input.count / classifier.inputs)
    return (found.logits, found.probabilities)
  }

  @Test func aSoftmaxAtTheEndIsTakenForTheHead() throws {
    var builder = GraphBuilder()
    try scores(&builder)
    try builder.node("Softmax", ["scores"], ["y"], ["axis": .int(-1)])
    let whole = try Classifier(builder.graph("y"))
    let bare = try Classifier(builder.graph("scores"))
    #expect(whole.head == .softmax && whole.notes.isEmpty && whole.summary == "MatMul 1 softmax")
    #expect(bare.head == .softmax && bare.notes.count == 1)
    #expect(bare.notes.first?.hasPrefix("assumed output softmax") == true)
    let (logits, probabilities) = try answers(whole, numbers(8))
    #expect(try answers(bare, numbers(8)) == (logits, probabilities))
    let plain = try Classifier(builder.graph("y"), head: OutputActivation.none)
    #expect(plain.summary == "MatMul 1, Softmax 1")
    let served = try answers(plain, numbers(8)).logits
    #expect(zip(served, probabilities).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  @Test func aSigmoidAtTheEndIsTakenForTheHead() throws {
    var builder = GraphBuilder()
    try scores(&builder)
    try builder.node("Sigmoid", ["scores"], ["y"])
    try builder.constant("shape", [Int64(-1), 3], [2])
    try builder.node("Reshape", ["y", "shape"], ["z"])
    #expect(try Classifier(builder.graph("z")).head == .sigmoid)
    let other = try Classifier(builder.graph("z"), head: .softmax)
    #expect(other.summary == "MatMul 1, Sigmoid 1, Reshape 1 softmax")
  }

  @Test func theOutputIsTheFirstThatMayBeScores() throws {
    var builder = GraphBuilder()
    try scores(&builder)
    try builder.node("ArgMax", ["scores"], ["label"], ["axis": .int(1), "keepdims": .int(0)])
    #expect(try Classifier(builder.graph("label", "scores")).outputs == 3)
    #expect(
      throws: GraphError("the output 'label' is no batch of rows of floating-point numbers")
    ) { try Classifier(builder.graph("label", "scores"), output: "label") }
    #expect(throws: GraphError("there is no output 'z'; there are 'label', 'scores'")) {
      try Classifier(builder.graph("label", "scores"), output: "z")
    }
    #expect(
      throws: GraphError("none of the outputs ('label') is a batch of rows of floating-point numbers")
    ) { try Classifier(builder.graph("label")) }
  }

  @Test func outputsOfOtherTypesBecomeFloat32() throws {
    var builder = GraphBuilder()
    try scores(&builder)
    try builder.node("Cast", ["scores"], ["wide"], ["to": .int(11)])
    let (wide, narrow) = try (Classifier(builder.graph("wide")), Classifier(builder.graph("scores")))
    #expect(try answers(wide, numbers(4)).logits == answers(narrow, numbers(4)).logits)
  }

  @Test func labelsAreTheClassifiers() throws {
    var builder = GraphBuilder()
    try scores(&builder)
    try builder.node("Softmax", ["scores"], ["p"], ["axis": .int(-1)])
    try builder.node("ai.onnx.ml.ZipMap", ["p"], ["y"], ["classlabels_strings": .strings(["a", "b", "c"])])
    let classifier = try Classifier(builder.graph("y"))
    #expect(classifier.labels == ["a", "b", "c"] && classifier.outputs == 3)
  }

  @Test func aBatchThatTheFileFixesIsOpened() throws {
    var builder = GraphBuilder()
    try scores(&builder, batch: 1)
    let found = try answers(Classifier(builder.graph("scores")), numbers(12))
    #expect(found.logits.count == 9)
    // A shape that holds the batch keeps it at one row.
    try builder.constant("shape", [Int64(1), 3], [2])
    try builder.node("Reshape", ["scores", "shape"], ["y"])
    let single = try Plan(Classifier(builder.graph("y")), planning: .fixed(.packed))
    #expect(single.blockRows == 1)
    let singly = Caller(plan: single).compute(numbers(12), rows: 3).logits
    #expect(zip(singly, found.logits).allSatisfy { abs($0 - $1) < 1e-6 })
    var fixed = GraphBuilder()
    try scores(&fixed, batch: 2)
    try fixed.constant("shape", [Int64(2), 3], [2])
    try fixed.node("Reshape", ["scores", "shape"], ["y"])
    #expect {
      try Classifier(fixed.graph("y"))
    } throws: { "\($0)".hasPrefix("the file fixes a batch of 2 rows, and does not work with others") }
  }

  @Test func sizesThatTheFileLeavesOpenAreGiven() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, nil])
    try builder.constant("w", numbers(12), [4, 3])
    try builder.node("MatMul", ["x", "w"], ["y"])
    #expect(throws: GraphError.self) { try Classifier(builder.graph("y")) }
    #expect(try Classifier(builder.graph("y"), inputShape: [4]).inputs == 4)
  }

  @Test func severalInputsAreRefusedByName() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 4])
    builder.input("mask", [nil, 4])
    try builder.node("Mul", ["x", "mask"], ["y"])
    #expect(throws: GraphError("the model takes 2 inputs ('x', 'mask'); one is served")) {
      try Classifier(builder.graph("y"))
    }
  }

  /// The largest number of a batch decides how its rows are rounded.
  @Test func rowsThatHangOnOthersAreComputedTogether() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 2])
    try builder.node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"])
    try builder.node("DequantizeLinear", ["q", "scale", "zero"], ["y"])
    let classifier = try Classifier(builder.graph("y"), head: OutputActivation.none)
    #expect(classifier.couplesRows)
    let plan = try Plan(classifier, planning: .fixed(.packed))
    var input = [Float](repeating: 0.3, count: 2 * 1000)
    input[1999] = 255
    #expect(plan.blockRows >= 1000)
    #expect(Caller(plan: plan).compute(input, rows: 1000).logits[0] == 0)
    #expect(Caller(plan: plan).compute([0.3, 0.3], rows: 1).logits[0] == 0.3)
    var free = GraphBuilder()
    try scores(&free)
    #expect(try !Classifier(free.graph("scores")).couplesRows)
  }
}
