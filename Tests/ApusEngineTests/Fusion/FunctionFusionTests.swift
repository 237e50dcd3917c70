import Testing

@testable import ApusEngine

/// GELU and Softmax in pieces.
@Suite struct FunctionFusionTests {
  private enum TanhForm: CaseIterable { case factored, power, drawnOut, mixed }

  private func gelu(_ form: TanhForm, cubic: Float = 0.044715, half: Float = 0.5) throws -> GraphBuilder {
    var builder = GraphBuilder()
    builder.input("x", [nil, 5, 8])
    let constants: [(String, Float)] = [
      ("c", cubic), ("k", 0.7978846), ("one", 1), ("half", half), ("three", 3), ("two", 2),
    ]
    for (name, number) in constants { try builder.constant(name, [number], []) }
    switch form {
    case .factored:
      try builder.node("Mul", ["c", "x"], ["a"])
      try builder.node("Mul", ["x", "a"], ["b"])
      try builder.node("Mul", ["x", "b"], ["cube"])
      try builder.node("Add", ["x", "cube"], ["sum"])
      try builder.node("Mul", ["k", "sum"], ["argument"])
    case .power, .mixed:
      try builder.node("Pow", ["x", "three"], ["p"])
      try builder.node("Mul", ["p", "c"], ["cube"])
      try builder.node("Add", ["cube", "x"], ["sum"])
      try builder.node("Mul", ["sum", "k"], ["argument"])
    case .drawnOut:
      try builder.node("Pow", ["x", "two"], ["p"])
      try builder.node("Mul", ["p", "c"], ["square"])
      try builder.node("Add", ["one", "square"], ["sum"])
      try builder.node("Mul", ["x", "k"], ["kx"])
      try builder.node("Mul", ["kx", "sum"], ["argument"])
    }
    try builder.node("Tanh", ["argument"], ["t"])
    try builder.node("Add", ["one", "t"], ["u"])
    if form == .mixed {
      try builder.node("Mul", ["half", "x"], ["h"])
      try builder.node("Mul", ["h", "u"], ["y"])
    } else {
      try builder.node("Mul", ["half", "u"], ["h"])
      try builder.node("Mul", ["x", "h"], ["y"])
    }
    return builder
  }

  @Test func geluByTanh() throws {
    for form in TanhForm.allCases {
      let check = try GraphCheck(gelu(form))
      #expect(try check.operators() == ["Gelu"], "\(form)")
      try check.agrees(numbers(5 * 40).map { $0 * 6 }, tolerance: 1e-6)
    }
  }

  @Test func whatIsNotQuiteGeluStays() throws {
    for form in TanhForm.allCases {
      for (cubic, half) in [(Float(0.045), Float(0.5)), (0.044715, 0.4)] {
        let check = try GraphCheck(gelu(form, cubic: cubic, half: half))
        #expect(try !check.operators().contains("Gelu"), "\(form)")
        try check.agrees(numbers(5 * 40), tolerance: 1e-6)
      }
      for middle in ["t", "u", "sum", "argument"] {
        var builder = try gelu(form)
        try builder.node("Add", ["y", middle], ["z"])
        let check = try GraphCheck(builder, "z")
        #expect(try !check.operators().contains("Gelu"), "\(form) \(middle)")
        try check.agrees(numbers(5 * 40), tolerance: 1e-6)
      }
    }
  }

  private struct SoftmaxForm {
    var axis = 2
    var sumAxis = 2
    var isLogarithm = false
    var isProduct = false
    var reads: String?
  }

  private func softmax(_ form: SoftmaxForm) throws -> GraphBuilder {
    var builder = GraphBuilder()
    builder.input("x", [nil, 7, 7])
    try builder.constant("least", [-Float.infinity], [])
    try builder.constant("axis", [Int64(form.sumAxis)], [1])
    try builder.constant("kept", form.axis == 1 ? [Int64(-1), 1, 7] : [-1, 7, 1], [3])
    try builder.node("ReduceMax", ["x"], ["m0"], ["axes": .ints([form.axis]), "keepdims": .int(0)])
    try builder.node("Max", ["least", "m0"], ["m1"])
    try builder.node("Reshape", ["m1", "kept"], ["m"])
    try builder.node("Sub", ["x", "m"], ["d"])
    try builder.node("Exp", ["d"], ["e"])
    try builder.node("ReduceSum", ["e", "axis"], ["s"], ["keepdims": .int(1)])
    if form.isLogarithm {
      try builder.node("Log", ["s"], ["l"])
      try builder.node("Sub", ["d", "l"], ["r"])
    } else if form.isProduct {
      try builder.node("Reciprocal", ["s"], ["i"])
      try builder.node("Mul", ["i", "e"], ["r"])
    } else {
      try builder.node("Div", ["e", "s"], ["r"])
    }
    try builder.node(form.reads == nil ? "Identity" : "Add", ["r"] + (form.reads.map { [$0] } ?? []), ["y"])
    return builder
  }

  @Test func softmaxInPieces() throws {
    for axis in [1, 2] {
      for (isLogarithm, isProduct) in [(false, false), (false, true), (true, false)] {
        let form = SoftmaxForm(axis: axis, sumAxis: axis, isLogarithm: isLogarithm, isProduct: isProduct)
        let check = try GraphCheck(softmax(form))
        #expect(try check.operators().first == (isLogarithm ? "LogSoftmax" : "Softmax"))
        try check.agrees(numbers(5 * 49).map { $0 * 20 }, tolerance: 2e-6)
      }
    }
  }

  /// A classifier that ends in pieces gives probabilities already, and its scores are what goes into them.
  @Test func aClassifierMayEndInPieces() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 7])
    try builder.constant("w", numbers(28), [7, 4])
    try builder.constant("axis", [Int64(1)], [1])
    try builder.constant("kept", [Int64(-1), 1], [2])
    try builder.node("MatMul", ["x", "w"], ["scores"])
    try builder.node("ReduceMax", ["scores"], ["m0"], ["axes": .ints([1]), "keepdims": .int(0)])
    try builder.node("Reshape", ["m0", "kept"], ["m"])
    try builder.node("Sub", ["scores", "m"], ["d"])
    try builder.node("Exp", ["d"], ["e"])
    try builder.node("ReduceSum", ["e", "axis"], ["s"], ["keepdims": .int(1)])
    try builder.node("Div", ["e", "s"], ["y"])
    let classifier = try Classifier(builder.graph("y"))
    #expect(classifier.head == .softmax && classifier.notes.isEmpty)
    #expect(classifier.graph.nodes.map(\.operation.name) == ["MatMul"])
  }

  @Test func whatIsNoSoftmaxStays() throws {
    for isLogarithm in [true, false] {
      for form in [
        SoftmaxForm(sumAxis: 1, isLogarithm: isLogarithm), SoftmaxForm(isLogarithm: isLogarithm, reads: "e"),
        SoftmaxForm(isLogarithm: isLogarithm, reads: "s"), SoftmaxForm(isLogarithm: isLogarithm, reads: "m"),
      ] {
        let check = try GraphCheck(softmax(form))
        #expect(try !check.operators().contains { $0.hasSuffix("Softmax") }, "\(form)")
        try check.agrees(numbers(5 * 49), tolerance: 2e-6)
      }
    }
  }
}
