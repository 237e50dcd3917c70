import Testing

@testable import ApusEngine

/// Quick arithmetic and reductions, compared with the operators' plain forms on random shapes.
@Suite struct NumberKernelTests {
  private let rows = 5

  private func count(_ shape: [Int]) -> Int { shape.reduce(1, *) }

  @Test(arguments: ["Add", "Sub", "Mul", "Div", "Max", "Min"], 0..<15)
  func pairsAreBroadcast(_ name: String, seed: Int) throws {
    var random = SeededRandom(seed + 1000)
    let shape = random.shape(1...4, 1...19)
    var other = shape.map { random.flag() ? 1 : $0 }
    other.removeFirst(random.integer(0...other.count))
    if random.flag(), other.count == shape.count { other = [1] + other }
    var builder = GraphBuilder()
    builder.input("x", [nil] + shape)
    try builder.constant("other", random.floats(count(other)), other)
    try builder.node(name, random.flag() ? ["x", "other"] : ["other", "x"], ["p"])
    // Two tensors of the batch, of which one is the same along an axis.
    try builder.node("ReduceMax", ["x"], ["m"], ["axes": .ints([random.integer(1...shape.count)])])
    try builder.node(name, ["p", "m"], ["y"])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees(random.floats(rows * count(shape)))
  }

  @Test func notANumberWinsInMaxAndMin() throws {
    for name in ["Max", "Min"] {
      var builder = GraphBuilder()
      builder.input("x", [nil, 20])
      try builder.constant("other", (0..<20).map { $0 % 3 == 0 ? Float.nan : 0.5 }, [20])
      try builder.node(name, ["x", "other"], ["y"])
      let input = (0..<60).map { $0 % 7 == 0 ? Float.nan : Float($0) - 30 }
      try GraphCheck(builder).agrees(input)
      #expect(try GraphCheck(builder).run(input, rows: 3, isPlain: false).count(where: \.isNaN) == 27)
    }
  }

  @Test(arguments: ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"], 0..<20)
  func reductions(_ name: String, seed: Int) throws {
    var random = SeededRandom(seed + 2000)
    let shape = random.shape(1...4, 1...40)
    guard count(shape) < 40_000 else { return }
    let first = random.integer(1...shape.count)
    let axes = Array(first...random.integer(first...shape.count)).shuffled(using: &random)
    let keeps = random.flag() || axes.count == shape.count
    var builder = GraphBuilder()
    builder.input("x", [nil] + shape)
    if name == "ReduceSum" {
      try builder.constant("axes", axes.map { Int64($0) }, [axes.count])
      try builder.node(name, ["x", "axes"], ["y"], ["keepdims": .int(keeps ? 1 : 0)])
    } else {
      try builder.node(name, ["x"], ["y"], ["axes": .ints(axes), "keepdims": .int(keeps ? 1 : 0)])
    }
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees(random.floats(rows * count(shape)), tolerance: 2e-7)
  }

  @Test(arguments: ["ReduceMax", "ReduceMin"]) func extremesWithNaN(_ name: String) throws {
    for axis in [1, 2] {
      var builder = GraphBuilder()
      builder.input("x", [nil, 21, 37])
      try builder.node(name, ["x"], ["y"], ["axes": .ints([axis]), "keepdims": .int(0)])
      let input = (0..<3 * 21 * 37).map { (place: Int) -> Float in
        if place % 113 == 5 { return .nan }
        return place % 50 == 0 ? -.infinity : Float(place % 71)
      }
      try GraphCheck(builder).agrees(input)
    }
  }

  @Test func theGreatestIsFound() throws {
    for (width, last) in [(1, 0), (3, 1), (16, 0), (33, 1), (214, 0)] {
      var builder = GraphBuilder()
      builder.input("x", [nil, 2, width])
      try builder.node(
        "ArgMax", ["x"], ["a"], ["axis": .int(-1), "keepdims": .int(0), "select_last_index": .int(last)])
      try builder.node("Cast", ["a"], ["y"], ["to": .int(1)])
      let check = try GraphCheck(builder)
      #expect(try check.isQuick())
      var input = (0..<rows * 2 * width).map { Float(($0 * 7919) % 5) }
      try check.agrees(input)
      input[0] = .nan
      input[input.count - 1] = .nan
      try check.agrees(input)
    }
  }

  @Test func numbersBecomeFloats() throws {
    func check<Element: TensorElement>(_ numbers: [Element]) throws {
      var builder = GraphBuilder()
      builder.input("x", [nil, 7], Element.elementType)
      try builder.node("Cast", ["x"], ["y"], ["to": .int(1)])
      let check = try GraphCheck(builder)
      #expect(try check.isQuick())
      try check.agrees(numbers)
    }
    let numbers = [0, 1, -1, 16_777_217, -16_777_219, Int(Int32.max), Int(Int32.min)] + Array(-7..<14)
    try check(numbers.map { Int32($0) })
    try check(numbers.map { Int64($0) &* 3_000_000_019 })
    try check(numbers.map { UInt8(truncatingIfNeeded: $0) })
    try check(numbers.map { TensorBool($0 % 2 == 0) })
  }

  @Test func functionsOfNumbers() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 37])
    try builder.constant("two", [Float(2)], [1])
    try builder.node("Pow", ["x", "two"], ["p"])
    try builder.node("Sqrt", ["p"], ["s"])
    try builder.node("Reciprocal", ["s"], ["y"])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    var input = numbers(5 * 37)
    for (place, number) in [Float.nan, .infinity, -.infinity, 0, -0.0, 1e-30].enumerated() {
      input[place] = number
    }
    try check.agrees(input)
  }
}
