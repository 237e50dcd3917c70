import Testing

@testable import ApusEngine

/// Operators without a kernel in C whose plain form runs without arrays, compared with that form.
@Suite struct PlainKernelTests {
  /// What a node makes of x [rows, 3, 5] cast to an element type, and of a constant [5] where it takes two.
  private func check(
    _ name: String, _ attributes: [String: Attributes.Attribute] = [:], of code: Int = 1,
    with constants: [[Float]] = [], opset: Int = 18, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    var builder = GraphBuilder()
    builder.opset = opset
    builder.input("x", [nil, 3, 5])
    try builder.node("Cast", ["x"], ["c"], ["to": .int(code)])
    var inputs = ["c"]
    for (index, numbers) in constants.enumerated() {
      try builder.constant("f\(index)", numbers, numbers.count == 1 ? [] : [numbers.count])
      try builder.node("Cast", ["f\(index)"], ["k\(index)"], ["to": .int(code)])
      inputs.append("k\(index)")
    }
    try builder.node(name, inputs, ["r"], attributes)
    try builder.node("Cast", ["r"], ["y"], ["to": .int(1)])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick(), "\(name)", sourceLocation: sourceLocation)
    try check.agrees((0..<17 * 15).map { Float($0 * 7 % 11 - 5) }, sourceLocation: sourceLocation)
  }

  @Test func functionsOfElements() throws {
    for name in ["Abs", "Neg", "Sign"] {
      for code in [1, 6, 7, 11] { try check(name, of: code) }
    }
    for name in ["Ceil", "Round", "Softplus", "HardSwish", "LeakyRelu", "HardSigmoid", "IsNaN", "IsInf"] {
      try check(name)
    }
    try check("Not", of: 9)
    try check("Clip", with: [[-2], [3]])
    try check("Clip", ["max": .float(1)], opset: 10)
    for target in [3, 6, 7, 9, 11] { try check("Cast", ["to": .int(target)]) }
  }

  @Test func pairsOfElements() throws {
    let constant: [Float] = [3, -1, 2, 5, 1]
    for name in ["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "PRelu"] {
      for code in [7, 11] { try check(name, of: code, with: [constant]) }
    }
    for name in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"] {
      for code in [1, 6] { try check(name, of: code, with: [constant]) }
    }
    for name in ["And", "Or", "Xor"] { try check(name, of: 9, with: [[1, 0, 0, 1, 1]]) }
  }

  @Test(arguments: [1, 2, 7, 9, 11]) func choicesOfAllElements(code: Int) throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 3, 5])
    try builder.constant("zero", [0] as [Float], [1])
    try builder.constant("f", [1, 0, 1, 4, 2] as [Float], [5])
    try builder.node("Less", ["x", "zero"], ["condition"])
    try builder.node("Cast", ["x"], ["a"], ["to": .int(code)])
    try builder.node("Cast", ["f"], ["b"], ["to": .int(code)])
    try builder.node("Where", ["condition", "a", "b"], ["r"])
    try builder.node("Cast", ["r"], ["y"], ["to": .int(1)])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees((0..<17 * 15).map { Float($0 * 7 % 11 - 5) })
  }

  @Test func divisionsByZeroAreRefused() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 2], .int64)
    try builder.constant("zero", [1, 0] as [Int64], [2])
    try builder.node("Div", ["x", "zero"], ["d"])
    try builder.node("Cast", ["d"], ["y"], ["to": .int(1)])
    #expect(throws: GraphError("n0: a whole number is divided by zero")) {
      try GraphCheck(builder).run([4, 5] as [Int64], rows: 1, isPlain: false)
    }
  }
}
