import Testing

@testable import ApusEngine

/// Convolutions of sequences, what follows them, and shapes that change nothing.
@Suite struct SequenceFusionTests {
  private struct Form {
    var attributes: [String: Attributes.Attribute] = [:]
    var rank = 4
    var order = [0, 2, 1, 3]
    var pool: String? = "GlobalMaxPool"
    var biasShape = [1, 9, 1]
    var activation = "Tanh"
    var readsSums = false
  }

  /// [rows, 12 steps, 6 channels] by way of [rows, 6, 12, 1] to 9 channels.
  private func graph(_ form: Form) throws -> GraphBuilder {
    var builder = GraphBuilder()
    builder.input("x", [nil, 12, 6])
    try builder.constant("last", [Int64(3)], [1])
    try builder.constant("flat", [Int64(0), -1], [2])
    try builder.constant("bias", numbers(form.biasShape.reduce(1, *), 4), form.biasShape)
    let isFlat = form.rank == 3
    try builder.constant("w", numbers(9 * 6 * 3), isFlat ? [9, 6, 3] : [9, 6, 3, 1])
    if !isFlat { try builder.node("Unsqueeze", ["x", "last"], ["u"]) }
    try builder.node("Transpose", [isFlat ? "x" : "u"], ["t"], ["perm": .ints(form.order)])
    try builder.node("Conv", ["t", "w"], ["c"], form.attributes)
    if !isFlat { try builder.node("Squeeze", ["c", "last"], ["s"]) }
    try builder.node("Add", [isFlat ? "c" : "s", "bias"], ["sum"])
    try builder.node(form.activation, ["sum"], ["a"])
    if let pool = form.pool {
      try builder.node(pool, ["a"], ["p"])
    } else {
      try builder.node("Identity", ["a"], ["p"])
    }
    try builder.node("Reshape", ["p", "flat"], ["r"])
    if form.readsSums {
      try builder.node("ReduceMin", ["sum"], ["low"], ["axes": .ints([2]), "keepdims": .int(0)])
      try builder.node("Add", ["r", "low"], ["y"])
    } else {
      try builder.node("Exp", ["r"], ["y"])
    }
    return builder
  }

  private static let reshapes = ["Reshape", "Flatten", "Squeeze", "Unsqueeze"]

  private func check(_ form: Form, _ operators: [String]) throws {
    let check = try GraphCheck(graph(form))
    let found = try check.operators().filter { !Self.reshapes.contains($0) }
    #expect(found == operators, "\(form)")
    try check.agrees(numbers(4 * 72), tolerance: 1e-5)
  }

  @Test func convolutionsOfTransposedSequences() throws {
    let whole = ["SequenceConv", "ActivatedMaximum", "Exp"]
    try check(Form(), whole)
    try check(Form(rank: 3, order: [0, 2, 1]), whole)
    try check(Form(attributes: ["pads": .ints([2, 0, 1, 0])]), whole)
    try check(Form(attributes: ["strides": .ints([2, 1]), "auto_pad": .string("SAME_UPPER")]), whole)
    try check(Form(biasShape: [9, 1], activation: "Sigmoid"), whole)
    try check(Form(biasShape: [1]), whole)
    try check(Form(pool: "GlobalAveragePool"), ["SequenceConv", "ReduceMean", "Exp"])
    try check(Form(pool: nil), ["SequenceConv", "Transpose", "Exp"])
    // The sums themselves are read, and stay.
    try check(
      Form(readsSums: true), ["SequenceConv", "Transpose", "Tanh", "GlobalMaxPool", "ReduceMin", "Add"])
  }

  @Test func otherConvolutionsStay() throws {
    try check(
      Form(attributes: ["dilations": .ints([2, 1])]), ["Transpose", "Conv", "ActivatedMaximum", "Exp"])
    // Of a square, the other dimension moves to the end.
    var builder = GraphBuilder()
    builder.input("x", [nil, 6, 6])
    try builder.constant("w", numbers(4 * 6 * 3), [4, 6, 3])
    try builder.node("Transpose", ["x"], ["t"], ["perm": .ints([0, 1, 2])])
    try builder.node("Conv", ["t", "w"], ["y"])
    #expect(try GraphCheck(builder).operators() == ["Conv"])
  }

  @Test func maximaOfActivationsBeforeOthers() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 3, 8, 8])
    try builder.constant("w", numbers(5 * 3 * 9), [5, 3, 3, 3])
    try builder.node("Conv", ["x", "w"], ["c"])
    try builder.node("Relu", ["c"], ["r"])
    try builder.node("GlobalMaxPool", ["r"], ["p"])
    try builder.node("Flatten", ["p"], ["y"])
    let check = try GraphCheck(builder)
    #expect(try check.operators() == ["Conv", "ActivatedMaximum", "Flatten"])
    try check.agrees(numbers(4 * 192), tolerance: 1e-5)
  }

  @Test func whatChangesNothingIsLeftOut() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 3, 4])
    try builder.constant("zero", [Int64(0)], [1])
    try builder.constant("far", [Int64.max], [1])
    try builder.constant("axis", [Int64(1)], [1])
    try builder.constant("back", [Int64(-1)], [1])
    try builder.constant("least", [-Float.infinity], [])
    try builder.constant("end", [Int64.min], [1])
    try builder.node("Slice", ["x", "zero", "far", "axis"], ["a"])
    try builder.node("Cast", ["a"], ["b"], ["to": .int(1)])
    try builder.node("Max", ["b", "least"], ["c"])
    try builder.node("Shape", ["c"], ["shape"])
    try builder.node("Reshape", ["c", "shape"], ["d"])
    try builder.node("Expand", ["d", "shape"], ["e"])
    try builder.node("Transpose", ["e"], ["f"], ["perm": .ints([0, 1, 2])])
    // The same shape, but backwards.
    try builder.node("Slice", ["f", "back", "end", "axis", "back"], ["g"])
    try builder.node("Exp", ["g"], ["y"])
    let check = try GraphCheck(builder)
    #expect(try check.operators() == ["Slice", "Exp"])
    try check.agrees(numbers(5 * 12), tolerance: 1e-6)
  }
}
