import Testing

@testable import ApusEngine

/// Normalization in pieces, as several exporters write it, and pieces that are none.
@Suite struct NormFusionTests {
  /// What may differ between exporters, and what makes the pieces none of a normalization.
  private struct Form {
    /// Of the middle axis of [rows, 6, 10], or of the last one.
    var axis = 1
    var meanByDivision = false
    var isVarianceOfDifferences = false
    var keepsAboveZero = true
    var rootByPower = false
    /// Before the numbers are multiplied with it, the root takes in the scale.
    var scalesRoot = true
    /// x g + (bias - m g)
    var isMoved = false
    var keepsDimensions = false
    var count: Float?
    var varianceAxis: Int?
    var readsMean = false
  }

  private func graph(_ form: Form) throws -> GraphBuilder {
    var builder = GraphBuilder()
    builder.input("x", [nil, 6, 10])
    let size = form.axis == 1 ? 6 : 10
    let kept: [Int64] = form.axis == 1 ? [-1, 1, 10] : [-1, 6, 1]
    let along = form.axis == 1 ? [1, 6, 1] : [1, 1, 10]
    let count = form.count ?? Float(size)
    try builder.constant("axis", [Int64(form.axis)], [1])
    try builder.constant("varianceAxis", [Int64(form.varianceAxis ?? form.axis)], [1])
    try builder.constant("kept", kept, [3])
    try builder.constant("share", [form.meanByDivision ? count : 1 / count], [])
    for (name, number) in [("zero", 0), ("epsilon", 1e-3), ("two", 2), ("power", -0.5)] {
      try builder.constant(name, [Float(number)], [])
    }
    try builder.constant("scale", numbers(size, 5), along)
    try builder.constant("bias", numbers(size, 6), along)

    func mean(_ input: String, _ output: String, axis: String = "axis") throws {
      let keeps = form.keepsDimensions ? 1 : 0
      try builder.node("ReduceSum", [input, axis], [output + "s"], ["keepdims": .int(keeps)])
      try builder.node(form.meanByDivision ? "Div" : "Mul", [output + "s", "share"], [output])
    }
    try mean("x", "m0")
    try builder.node("Reshape", ["m0", "kept"], ["m"])
    if form.isVarianceOfDifferences {
      try builder.node("Sub", ["x", "m"], ["d"])
      try builder.node("Pow", ["d", "two"], ["square"])
      try mean("square", "v0", axis: "varianceAxis")
    } else {
      try builder.node("Mul", ["x", "x"], ["square"])
      try mean("square", "v1", axis: "varianceAxis")
      try builder.node("Mul", ["m0", "m0"], ["mm"])
      try builder.node("Sub", ["v1", "mm"], ["v0"])
    }
    if form.keepsAboveZero { try builder.node("Max", ["zero", "v0"], ["v2"]) }
    try builder.node("Reshape", [form.keepsAboveZero ? "v2" : "v0", "kept"], ["v"])
    try builder.node("Add", ["v", "epsilon"], ["e"])
    if form.rootByPower {
      try builder.node("Pow", ["e", "power"], ["g0"])
    } else {
      try builder.node("Sqrt", ["e"], ["root"])
      try builder.node("Reciprocal", ["root"], ["g0"])
    }
    if form.scalesRoot { try builder.node("Mul", ["g0", "scale"], ["g"]) }
    let factor = form.scalesRoot ? "g" : "g0"
    if form.isMoved {
      try builder.node("Mul", ["x", factor], ["scaled"])
      try builder.node("Mul", ["m", factor], ["shift"])
      try builder.node("Sub", ["bias", "shift"], ["moved"])
      try builder.node("Add", ["scaled", "moved"], ["n"])
    } else {
      if !form.isVarianceOfDifferences { try builder.node("Sub", ["x", "m"], ["d"]) }
      try builder.node("Mul", ["d", factor], ["normal"])
      if !form.scalesRoot { try builder.node("Mul", ["scale", "normal"], ["scaled"]) }
      try builder.node("Add", [form.scalesRoot ? "normal" : "scaled", "bias"], ["n"])
    }
    try builder.node("Add", ["n", form.readsMean ? "m" : "bias"], ["y"])
    return builder
  }

  private func check(_ form: Form, becomes operators: [String]?) throws {
    let check = try GraphCheck(graph(form))
    if let operators {
      #expect(try check.operators() == operators, "\(form)")
    } else {
      let found = try check.operators()
      #expect(!found.contains { $0.hasSuffix("Normalization") }, "\(form): \(found)")
    }
    // The form that squares large numbers loses digits when it is computed in pieces.
    try check.agrees(numbers(5 * 60), tolerance: 1e-4)
  }

  @Test func piecesBecomeOneOperator() throws {
    for axis in [1, 2] {
      let name = axis == 1 ? "AxisNormalization" : "LayerNormalization"
      for bits in 0..<128 {
        func bit(_ place: Int) -> Bool { bits >> place & 1 == 1 }
        let form = Form(
          axis: axis, meanByDivision: bit(0), isVarianceOfDifferences: bit(1), keepsAboveZero: bit(2),
          rootByPower: bit(3), scalesRoot: bit(4), isMoved: bit(5), keepsDimensions: bit(6))
        // Without a scale on the root there is none to be moved by.
        guard !form.isMoved || form.scalesRoot else { continue }
        try check(form, becomes: [name, "Add"])
      }
    }
  }

  @Test func otherPiecesStay() throws {
    for axis in [1, 2] {
      for isOfDifferences in [true, false] {
        try check(Form(axis: axis, isVarianceOfDifferences: isOfDifferences, readsMean: true), becomes: nil)
        try check(
          Form(axis: axis, isVarianceOfDifferences: isOfDifferences, count: 7), becomes: nil)
      }
    }
  }

  @Test func aSquareOfTwoAxesIsNoVariance() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 6, 6])
    try builder.constant("epsilon", [Float(1e-3)], [])
    try builder.node("ReduceMean", ["x"], ["m"], ["axes": .ints([2])])
    try builder.node("Sub", ["x", "m"], ["d"])
    try builder.node("Mul", ["d", "d"], ["square"])
    try builder.node("ReduceMean", ["square"], ["v"], ["axes": .ints([1])])
    try builder.node("Add", ["v", "epsilon"], ["e"])
    try builder.node("Sqrt", ["e"], ["root"])
    try builder.node("Div", ["d", "root"], ["y"])
    let check = try GraphCheck(builder)
    #expect(try !check.operators().contains { $0.hasSuffix("Normalization") })
    try check.agrees(numbers(5 * 36), tolerance: 1e-5)
  }

  @Test func aMiddleThatIsAnOutputStays() throws {
    var builder = try graph(Form())
    try builder.node("Identity", ["y"], ["z"])
    let graph = try builder.graph("z", "g0")
    #expect(try !graph.folded().fused().nodes.contains { $0.operation is AxisNormalization })
  }
}
