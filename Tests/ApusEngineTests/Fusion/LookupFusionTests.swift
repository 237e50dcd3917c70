import Testing

@testable import ApusEngine

/// Products with one-hot matrices.
@Suite struct LookupFusionTests {
  private struct Form {
    var classes: [Int32] = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    var weight: Float = 0.5
    var isReshaped = true
    var readsOneHot = false
  }

  /// Bytes [rows, 4], a vector of 6 numbers for each.
  private func graph(_ form: Form) throws -> GraphBuilder {
    var builder = GraphBuilder()
    let shape: [Int?] = form.isReshaped ? [nil, 4] : [nil, 4, 1]
    builder.input("x", shape, .int32)
    try builder.constant("column", [Int64(-1), 4, 1], [3])
    try builder.constant("classes", form.classes, [1, 1, 9])
    try builder.constant("weights", [form.weight] + numbers(53), [9, 6])
    try builder.constant("bias", numbers(6, 3), [1, 1, 6])
    try builder.constant("one", [Int64(1)], [1])
    try builder.constant("width", [Int64(1)], [1])
    if form.isReshaped { try builder.node("Reshape", ["x", "column"], ["i"]) }
    let indices = form.isReshaped ? "i" : "x"
    // A shape that is computed, as JAX writes it, of what has it already.
    try builder.node("Shape", [indices], ["shape"])
    try builder.node("Expand", [indices, "shape"], ["expanded"])
    try builder.node("Equal", ["expanded", "classes"], ["equal"])
    try builder.node("Cast", ["equal"], ["hot"], ["to": .int(1)])
    try builder.node("MatMul", ["hot", "weights"], ["product"])
    try builder.node("Add", ["product", "bias"], ["sum"])
    try builder.node("Tanh", ["sum"], ["r"])
    if form.readsOneHot {
      try builder.node("ReduceMax", ["hot"], ["most"], ["axes": .ints([2])])
      try builder.node("Add", ["r", "most"], ["y"])
    } else {
      try builder.node("Identity", ["r"], ["y"])
    }
    return builder
  }

  @Test func aOneHotProductIsALookup() throws {
    for isReshaped in [true, false] {
      let check = try GraphCheck(graph(Form(isReshaped: isReshaped)))
      #expect(try check.operators().first == "RowLookup")
      #expect(try Program(check.graph).descriptions.count <= 2)
      // 9 and more, and numbers below 0, are no class: a row of zeros, and the function of the bias.
      try check.agrees([0, 1, 2, 8, 9, -1, .max, .min, 3, 4, 5, 6] as [Int32], tolerance: 1e-6)
    }
  }

  @Test func otherProductsStay() throws {
    let forms = [
      Form(classes: [0, 1, 2, 3, 4, 5, 6, 8, 7]), Form(classes: [1, 2, 3, 4, 5, 6, 7, 8, 9]),
      Form(weight: .infinity), Form(weight: .nan), Form(readsOneHot: true),
    ]
    for form in forms {
      let check = try GraphCheck(graph(form))
      #expect(try !check.operators().contains("RowLookup"))
      try check.agrees([0, 1, 2, 8, 9, -1, .max, .min, 3, 4, 5, 6] as [Int32], tolerance: 1e-6)
    }
  }
}
