import Testing

@testable import ApusEngine

/// Quick moves of elements, compared with the operators' plain forms on random shapes.
@Suite struct MoveKernelTests {
  private let rows = 5

  private func count(_ shape: [Int]) -> Int { shape.reduce(1, *) }

  @Test(arguments: 0..<40) func transposes(seed: Int) throws {
    var random = SeededRandom(seed)
    let shape = random.shape(1...4, 1...21)
    var builder = GraphBuilder()
    builder.input("x", [nil] + shape)
    // The rows go anywhere, and come back.
    let there = (0...shape.count).shuffled(using: &random)
    let rest = there.indices.filter { there[$0] != 0 }.shuffled(using: &random)
    let back = [there.firstIndex(of: 0) ?? 0] + rest
    try builder.node("Transpose", ["x"], ["t"], ["perm": .ints(there)])
    try builder.node("Transpose", ["t"], ["y"], ["perm": .ints(back)])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees(random.floats(rows * count(shape)))
  }

  @Test func largeTransposesOfWholeAndRaggedSquares() throws {
    for (height, width) in [(64, 48), (67, 35), (4, 100), (3, 50), (100, 5), (16, 16)] {
      var builder = GraphBuilder()
      builder.input("x", [nil, height, width])
      try builder.node("Transpose", ["x"], ["y"], ["perm": .ints([0, 2, 1])])
      try GraphCheck(builder).agrees(numbers(3 * height * width))
    }
  }

  @Test(arguments: [ElementType.int64, .int32, .uint8, .float64, .bool])
  func otherElementsMove(_ element: ElementType) throws {
    var builder = GraphBuilder()
    let code: [ElementType: Int] = [.int64: 7, .int32: 6, .uint8: 2, .float64: 11, .bool: 9]
    builder.input("x", [nil, 8, 19])
    try builder.node("Cast", ["x"], ["c"], ["to": .int(code[element] ?? 0)])
    try builder.node("Transpose", ["c"], ["t"], ["perm": .ints([2, 0, 1])])
    try builder.node("Transpose", ["t"], ["u"], ["perm": .ints([1, 0, 2])])
    try builder.node("Split", ["u"], ["a", "b"], ["axis": .int(2)])
    try builder.node("Concat", ["b", "a"], ["j"], ["axis": .int(1)])
    try builder.node("Cast", ["j"], ["y"], ["to": .int(1)])
    try GraphCheck(builder).agrees((0..<3 * 8 * 19).map { Float($0 % 11) })
  }

  @Test(arguments: 0..<40) func slices(seed: Int) throws {
    var random = SeededRandom(seed + 100)
    let shape = random.shape(1...3)
    var builder = GraphBuilder()
    builder.input("x", [nil] + shape)
    var (starts, ends, steps): ([Int64], [Int64], [Int64]) = ([], [], [])
    for size in shape {
      let step = random.flag() ? random.integer(1...3) : -random.integer(1...3)
      let (low, high) = (random.integer(0...size - 1), random.integer(-2...2))
      starts.append(Int64(step > 0 ? low : size - 1 - low / 2))
      ends.append(step > 0 ? Int64(size - max(0, high)) : (high > 0 ? Int64(high - 1) : Int64.min))
      steps.append(Int64(step))
    }
    try builder.constant("starts", starts, [shape.count])
    try builder.constant("ends", ends, [shape.count])
    try builder.constant("axes", (1...shape.count).map { Int64($0) }, [shape.count])
    try builder.constant("steps", steps, [shape.count])
    try builder.node("Slice", ["x", "starts", "ends", "axes", "steps"], ["y"])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees(random.floats(rows * count(shape)))
  }

  @Test func stepsThatAreNeverTakenMayBeAnyNumber() throws {
    for (start, step) in [(2, Int64.max), (2, .min), (3, .max), (0, .min + 1)] {
      var builder = GraphBuilder()
      builder.input("x", [nil, 3, 4])
      try builder.constant("start", [Int64(start)], [1])
      try builder.constant("end", [step > 0 ? Int64.max : .min], [1])
      try builder.constant("axis", [Int64(1)], [1])
      try builder.constant("step", [step], [1])
      try builder.node("Slice", ["x", "start", "end", "axis", "step"], ["s"])
      try builder.node("Concat", ["s", "x"], ["y"], ["axis": .int(1)])
      try GraphCheck(builder).agrees(numbers(2 * 12))
    }
  }

  @Test(arguments: 0..<30) func partsAreJoinedAndSplit(seed: Int) throws {
    var random = SeededRandom(seed + 200)
    let shape = random.shape(1...4, 2...7)
    let axis = random.integer(1...shape.count)
    let first = random.integer(1...shape[axis - 1] - 1)
    var builder = GraphBuilder()
    builder.input("x", [nil] + shape)
    try builder.constant("sizes", [Int64(first), Int64(shape[axis - 1] - first)], [2])
    try builder.node("Split", ["x", "sizes"], ["a", "b"], ["axis": .int(axis - shape.count - 1)])
    try builder.node("Concat", ["b", "x", "a", "b"], ["y"], ["axis": .int(axis)])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees(random.floats(rows * count(shape)))
  }

  @Test(arguments: 0..<40) func pads(seed: Int) throws {
    var random = SeededRandom(seed + 300)
    let shape = random.shape(1...3)
    var (before, after): ([Int64], [Int64]) = ([0], [0])
    for size in shape {
      let first = random.integer(1 - size...4)
      before.append(Int64(first))
      after.append(Int64(random.integer((1 - size - first)...4)))
    }
    var builder = GraphBuilder()
    builder.input("x", [nil] + shape)
    try builder.constant("pads", before + after, [2 * before.count])
    try builder.constant("value", [Float(7)], [])
    try builder.node("Pad", random.flag() ? ["x", "pads", "value"] : ["x", "pads"], ["p"])
    try builder.node("Concat", ["p", "p"], ["y"], ["axis": .int(1)])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees(random.floats(rows * count(shape)))
  }

  @Test func hugePadsThatCancelEachOther() throws {
    var builder = GraphBuilder()
    builder.input("x", [nil, 3, 4])
    let far = Int64(1) << 39
    try builder.constant("pads", [0, -far, 0, 0, far, 0], [6])
    try builder.node("Pad", ["x", "pads"], ["y"])
    try GraphCheck(builder).agrees(numbers(2 * 12))
  }

  @Test(arguments: 0..<30) func expansionsAndTiles(seed: Int) throws {
    var random = SeededRandom(seed + 400)
    let wanted = random.shape(1...4, 1...5)
    let shape = wanted.map { random.flag() ? 1 : $0 }
    var builder = GraphBuilder()
    builder.input("x", [nil] + shape)
    try builder.constant("shape", [1] + wanted.map { Int64($0) }, [wanted.count + 1])
    try builder.node("Expand", ["x", "shape"], ["e"])
    let repeats = [1] + wanted.map { _ in Int64(random.integer(1...3)) }
    try builder.constant("repeats", repeats, [repeats.count])
    try builder.node("Tile", ["e", "repeats"], ["y"])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees(random.floats(rows * count(shape)))
  }

  @Test(arguments: 0..<30) func gathersOfBatches(seed: Int) throws {
    var random = SeededRandom(seed + 500)
    let shape = random.shape(1...3)
    let axis = random.integer(1...shape.count)
    let size = shape[axis - 1]
    let indices = (0..<random.integer(1...6)).map { _ in Int32(random.integer(-size...size - 1)) }
    var builder = GraphBuilder()
    builder.input("x", [nil] + shape)
    try builder.constant("indices", indices, [indices.count])
    try builder.node("Gather", ["x", "indices"], ["y"], ["axis": .int(axis)])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees(random.floats(rows * count(shape)))
  }

  @Test func gathersFromATable() throws {
    for width in [1, 2, 3, 64] {
      var builder = GraphBuilder()
      builder.input("x", [nil, 6], .int64)
      try builder.constant("table", numbers(10 * width), [10, width])
      try builder.node("Gather", ["table", "x"], ["y"])
      let check = try GraphCheck(builder)
      #expect(try check.isQuick())
      try check.agrees((0..<18).map { Int64($0 % 20 - 10) })
      #expect(throws: GraphError("n0: the index 10 leads out of a dimension of 10")) {
        try check.run([0, 1, 10, 3, 4, 5] as [Int64], rows: 1, isPlain: false)
      }
      #expect(throws: GraphError.self) {
        try check.run([0, 1, .min, 3, .max, 5] as [Int64], rows: 1, isPlain: false)
      }
    }
  }

  @Test(arguments: 0..<40) func choices(seed: Int) throws {
    var random = SeededRandom(seed + 600)
    let shape = random.shape(1...3, 1...20)
    func some() -> [Int] { [1] + shape.map { random.flag() ? 1 : $0 } }
    let (condition, other) = (some(), some())
    var builder = GraphBuilder()
    builder.input("x", [nil] + shape)
    try builder.constant("truths", (0..<count(condition)).map { _ in TensorBool(random.flag()) }, condition)
    try builder.constant("other", random.floats(count(other)), other)
    let isSwapped = random.flag()
    try builder.node("Where", ["truths"] + (isSwapped ? ["other", "x"] : ["x", "other"]), ["y"])
    let check = try GraphCheck(builder)
    #expect(try check.isQuick())
    try check.agrees(random.floats(rows * count(shape)))
  }
}
